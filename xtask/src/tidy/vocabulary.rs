//! One word, one meaning: identifiers of Rust and SQL use the words of GLOSSARY.md.
//!
//! Identifiers are cut into words at `_` and at capitals, so `RequeueReason` and `requeue_reason` are the
//! same to this check. Comments and strings may say what they like.

use std::collections::BTreeSet;

use super::{
    config::Vocabulary,
    files::File,
    finding::{Finding, Rule},
    length::closing,
    lexer::{self, Kind, Token},
};

/// Checks one Rust or SQL file.
pub(crate) fn check(file: &File, vocabulary: &Vocabulary) -> Vec<Finding> {
    let tokens = lexer::code(&if file.is_sql() { lexer::sql(&file.text) } else { lexer::rust(&file.text) });
    let mut findings = Findings { file, seen: BTreeSet::new(), list: Vec::new() };
    check_words(file.stem(), 1, vocabulary, &mut findings);
    for (index, token) in tokens.iter().enumerate() {
        if token.kind != Kind::Word {
            continue;
        }
        if !is_foreign(&tokens[..=index], vocabulary) {
            check_words(token.text, token.line, vocabulary, &mut findings);
        }
        if let Some(next) = tokens.get(index + 1).filter(|next| next.kind == Kind::Word && file.is_rust()) {
            check_definition(*token, *next, vocabulary, &mut findings);
            if token.is("enum") && next.text.ends_with("State") {
                check_states(&tokens[index + 2..], vocabulary, &mut findings);
            }
        }
    }
    findings.list
}

struct Findings<'a> {
    file: &'a File,
    seen: BTreeSet<(usize, String)>,
    list: Vec<Finding>,
}

impl Findings<'_> {
    /// Adds a finding unless the line has the same one already.
    fn push(&mut self, line: usize, subject: &str, what: String, hint: String) {
        if self.seen.insert((line, subject.to_owned())) {
            let (path, subject) = (self.file.path.clone(), subject.to_owned());
            self.list.push(Finding { rule: Rule::Vocabulary, path, line, subject, what, hint });
        }
    }
}

fn check_words(identifier: &str, line: usize, vocabulary: &Vocabulary, findings: &mut Findings<'_>) {
    let words = words(identifier);
    for banned in &vocabulary.banned {
        let phrase: Vec<&str> = banned.word.split('_').collect();
        let used = words
            .windows(phrase.len())
            .any(|window| window.iter().zip(&phrase).all(|(word, part)| word == part));
        if used {
            let what = format!("`{identifier}` uses the word `{}`", banned.word);
            let hint = format!("GLOSSARY.md says {}; tidy.toml excuses with a reason", banned.say);
            findings.push(line, &banned.word, what, hint);
        }
    }
}

/// Names that say nothing, on the things we define ourselves.
fn check_definition(
    keyword: Token<'_>,
    name: Token<'_>,
    vocabulary: &Vocabulary,
    findings: &mut Findings<'_>,
) {
    if matches!(keyword.text, "struct" | "enum" | "trait" | "type" | "union" | "mod") {
        let words = words(name.text);
        if let Some(empty) = words.last().filter(|last| vocabulary.empty_words.contains(last)) {
            let what = format!("`{} {}` is named after what it is not", keyword.text, name.text);
            findings.push(name.line, empty, what, format!("name what it does; `{empty}` fits everything"));
        }
    } else if keyword.is("fn") && name.text.starts_with("get_") {
        let what = format!("`fn {}` starts with `get_`", name.text);
        findings.push(name.line, "get_", what, format!("call it `{}`", &name.text["get_".len()..]));
    }
}

/// The variants of an enum that names states; `tokens` start behind its name.
fn check_states(tokens: &[Token<'_>], vocabulary: &Vocabulary, findings: &mut Findings<'_>) {
    let Some(open) = tokens.iter().position(|token| token.is("{")) else { return };
    let body = &tokens[open..closing(tokens, open)];
    for pair in body.windows(2) {
        // An attribute of a variant ends with `]`.
        let starts = pair[0].is("{") || pair[0].is(",") || pair[0].is("]");
        let name = pair[1].text.to_lowercase();
        if starts && pair[1].kind == Kind::Word && vocabulary.not_a_state.contains(&name) {
            let what = format!("`{}` is no name for a state", pair[1].text);
            let hint =
                "other systems mean opposite things by it; GLOSSARY.md has the eight states".to_owned();
            findings.push(pair[1].line, &name, what, hint);
        }
    }
}

/// True if the last of `tokens` is a name that another crate has given.
fn is_foreign(tokens: &[Token<'_>], vocabulary: &Vocabulary) -> bool {
    vocabulary.foreign.iter().any(|foreign| {
        let name = lexer::rust(&foreign.name);
        let tail = tokens.len().checked_sub(name.len()).map(|start| &tokens[start..]);
        tail.is_some_and(|tail| tail.iter().zip(&name).all(|(token, part)| token.text == part.text))
    })
}

/// The words of an identifier in lower case: `HTTPServer_id2` is `http server id2`.
fn words(identifier: &str) -> Vec<String> {
    let mut words = Vec::new();
    for part in identifier.split('_').filter(|part| !part.is_empty()) {
        let characters: Vec<char> = part.chars().collect();
        let mut word = String::new();
        for (index, character) in characters.iter().enumerate() {
            let after_small = index > 0 && characters[index - 1].is_lowercase();
            let before_small = characters.get(index + 1).is_some_and(|next| next.is_lowercase());
            if character.is_uppercase() && !word.is_empty() && (after_small || before_small) {
                words.push(std::mem::take(&mut word));
            }
            word.extend(character.to_lowercase());
        }
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"
        empty_words = ["manager", "info"]
        not_a_state = ["failed", "active"]
        banned = [
            { word = "requeue", say = "release" },
            { word = "pending", say = "available" },
            { word = "visibility_timeout", say = "lease" },
        ]
        foreign = [
            { name = "Poll::Pending", reason = "the standard library's" },
            { name = "is_pending", reason = "the standard library's" },
            { name = ".requeue", reason = "another crate's method" },
        ]
    "#;

    fn subjects(path: &str, text: &str) -> Vec<String> {
        let vocabulary = toml::from_str(CONFIG).expect("the list parses");
        let file = File { path: path.to_owned(), text: text.to_owned() };
        check(&file, &vocabulary).into_iter().map(|finding| finding.subject).collect()
    }

    fn in_rust(text: &str) -> Vec<String> {
        subjects("crates/core/src/a.rs", text)
    }

    #[test]
    fn identifiers_are_cut_into_words() {
        assert_eq!(words("HTTPServer_id2"), ["http", "server", "id2"]);
        assert_eq!(words("MAX_PENDING"), ["max", "pending"]);
        assert_eq!(words("__requeueNow"), ["requeue", "now"]);
    }

    #[test]
    fn banned_words_are_found_in_any_case_but_only_whole() {
        assert_eq!(in_rust("fn requeue_all() {}\nstruct RequeueReason;\nconst REQUEUE: u8 = 1;").len(), 3);
        assert!(in_rust("fn requeued() {} fn spending() {}").is_empty());
    }

    #[test]
    fn several_words_are_banned_side_by_side() {
        assert_eq!(in_rust("let visibility_timeout_ms = 1;"), ["visibility_timeout"]);
        assert!(in_rust("let visibility = 1; let timeout = 2;").is_empty());
    }

    #[test]
    fn comments_and_strings_are_free() {
        assert!(in_rust("// pending\n/// `requeue`\nlet a = \"pending\";").is_empty());
    }

    #[test]
    fn names_of_others_are_allowed_where_they_are_theirs() {
        assert!(in_rust("match x { Poll::Pending => y.is_pending() }").is_empty());
        assert_eq!(in_rust("match x { State::Pending => 1 }"), ["pending"]);
        assert!(in_rust("x.requeue()").is_empty());
        assert_eq!(in_rust("fn requeue(&self) {}"), ["requeue"]);
    }

    #[test]
    fn names_of_files_and_sql_count() {
        assert_eq!(subjects("crates/sqlite/sql/requeue.sql", "SELECT 'pending'"), ["requeue"]);
        assert_eq!(subjects("crates/sqlite/sql/a.sql", "SELECT \"pending\" FROM t -- requeue"), ["pending"]);
    }

    #[test]
    fn definitions_need_a_name_that_says_something() {
        assert_eq!(in_rust("struct JobManager;\ntrait WorkerInfo {}\nfn info() {}"), ["manager", "info"]);
        assert_eq!(in_rust("fn get_job() {}"), ["get_"]);
        assert!(in_rust("let info = crate::manager();").is_empty());
    }

    #[test]
    fn enum_of_states_has_no_ambiguous_variant() {
        assert_eq!(in_rust("enum JobState { Running, #[x] Failed { a: B }, Active }"), ["failed", "active"]);
        assert!(in_rust("enum Outcome { Failed }").is_empty());
    }
}
