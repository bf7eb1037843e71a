//! Constructs that no file may hold, whatever a lint says.

use super::{
    files::File,
    finding::{Finding, Rule},
    length::test_modules,
    lexer::{self, Kind, Token},
};

/// Names of modules that say nothing about what lies in them.
const EMPTY_MODULES: &[&str] = &["common", "helper", "helpers", "misc", "types", "util", "utils"];

/// Macros that mark something as unfinished, or are left over from looking for a fault.
const UNFINISHED: &[&str] = &["dbg", "todo", "unimplemented"];

/// Marks of unfinished work in comments.
const MARKS: &[&str] = &["TODO", "FIXME", "XXX"];

/// The most characters of a line of comment, which rustfmt leaves alone.
const COMMENT_WIDTH: usize = 110;

/// Checks one Rust file.
pub(crate) fn check(file: &File) -> Vec<Finding> {
    let tokens = lexer::rust(&file.text);
    let code = lexer::code(&tokens);
    let mut findings = check_comments(file, &tokens);
    findings.extend(check_width(file));
    check_names(file, &code, &mut findings);
    for (index, token) in code.iter().enumerate().filter(|(_, token)| token.kind == Kind::Word) {
        let next_is = |text: &str| code.get(index + 1).is_some_and(|next| next.is(text));
        if token.is("unsafe") {
            findings.push(finding(file, *token, "`unsafe` code", "the crate forbids it; find a safe way"));
        } else if token.is("allow") && next_is("(") && in_attribute(&code[..index]) {
            let hint = "write `#[expect(lint, reason = \"…\")]`, which speaks up once it is no longer needed";
            findings.push(finding(file, *token, "a lint is silenced by `allow`", hint));
        } else if UNFINISHED.contains(&token.text) && next_is("!") {
            findings.push(finding(
                file,
                *token,
                &format!("`{}!` is unfinished work", token.text),
                "finish it",
            ));
        }
    }
    if !file.is_test() {
        check_globs(file, &code, &mut findings);
    }
    findings
}

/// The comments of an SQL file, which may not hold unfinished work either.
pub(crate) fn check_sql(file: &File) -> Vec<Finding> {
    check_comments(file, &lexer::sql(&file.text))
}

fn finding(file: &File, at: Token<'_>, what: &str, hint: &str) -> Finding {
    Finding {
        rule: Rule::Source,
        path: file.path.clone(),
        line: at.line,
        subject: at.text.to_owned(),
        what: what.to_owned(),
        hint: hint.to_owned(),
    }
}

/// Reports comment lines that are too long, apart from tables and links, which cannot be broken.
fn check_width(file: &File) -> impl Iterator<Item = Finding> + '_ {
    let is_long = |line: &str| {
        let text = line.trim_start();
        let can_be_broken =
            !text.contains("://") && !text.trim_start_matches(['/', '!', ' ']).starts_with('|');
        text.starts_with("//") && can_be_broken && line.chars().count() > COMMENT_WIDTH
    };
    let long = file.text.lines().enumerate().filter(move |(_, line)| is_long(line));
    long.map(|(index, line)| {
        let at = Token { kind: Kind::Comment, text: "comment", line: index + 1 };
        let what = format!("a comment line of {} characters", line.chars().count());
        finding(file, at, &what, &format!("break it at {COMMENT_WIDTH}"))
    })
}

fn check_comments(file: &File, tokens: &[Token<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for comment in tokens.iter().filter(|token| token.kind == Kind::Comment) {
        for (offset, line) in comment.text.lines().enumerate() {
            let mut words = line.split(|character: char| !character.is_alphanumeric());
            if let Some(mark) = words.find(|word| MARKS.contains(word)) {
                let at = Token { kind: Kind::Comment, text: mark, line: comment.line + offset };
                findings.push(finding(
                    file,
                    at,
                    &format!("a comment says `{mark}`"),
                    "do it, or plan it elsewhere",
                ));
            }
        }
    }
    findings
}

fn check_names(file: &File, code: &[Token<'_>], findings: &mut Vec<Finding>) {
    let hint = "name the module after what it is about";
    for part in file.path.trim_end_matches(".rs").split('/') {
        if EMPTY_MODULES.contains(&part) {
            let at = Token { kind: Kind::Word, text: part, line: 1 };
            findings.push(finding(file, at, &format!("a module is called `{part}`"), hint));
        }
    }
    for pair in code.windows(3) {
        // A module in a file of its own is found by the file's name.
        if pair[0].is("mod") && pair[2].is("{") && EMPTY_MODULES.contains(&pair[1].text) {
            findings.push(finding(file, pair[1], &format!("a module is called `{}`", pair[1].text), hint));
        }
    }
}

/// True if the last unclosed `[` of `before` opens an attribute.
fn in_attribute(before: &[Token<'_>]) -> bool {
    let mut depth = 0_usize;
    for (index, token) in before.iter().enumerate().rev() {
        if token.is("]") {
            depth += 1;
        } else if token.is("[") {
            if depth == 0 {
                return index > 0 && (before[index - 1].is("#") || before[index - 1].is("!"));
            }
            depth -= 1;
        } else if token.is(";") || token.is("{") || token.is("}") {
            return false;
        }
    }
    false
}

fn check_globs(file: &File, code: &[Token<'_>], findings: &mut Vec<Finding>) {
    let tests = test_modules(code);
    for (index, token) in code.iter().enumerate() {
        // `use<'a>` in a return type captures lifetimes and imports nothing.
        if !token.is("use") || code.get(index + 1).is_some_and(|next| next.is("<")) {
            continue;
        }
        let statement = code[index..].iter().take_while(|token| !token.is(";"));
        let statement: Vec<Token<'_>> = statement.copied().collect();
        let star = statement.iter().position(|token| token.is("*"));
        let is_prelude = star.is_some_and(|star| star >= 3 && statement[star - 3].is("prelude"));
        let in_tests = tests.iter().any(|(first, last)| (*first..=*last).contains(&token.line));
        if let Some(star) = star.filter(|_| !is_prelude && !in_tests) {
            findings.push(finding(file, statement[star], "a glob import", "name what is imported"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_of_comment_are_found_and_tables_and_links_left_alone() {
        let long = "word ".repeat(30);
        let text = format!(
            "/// {long}\n    // {long}\n/// | {long}|\n/// <https://x/> {long}\nlet s = \"{long}\";\n"
        );
        let file = File { path: "crates/core/src/a.rs".to_owned(), text };
        let lines: Vec<usize> = check(&file).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [1, 2]);
    }

    fn found(path: &str, text: &str) -> Vec<(usize, String)> {
        let file = File { path: path.to_owned(), text: text.to_owned() };
        check(&file).into_iter().map(|finding| (finding.line, finding.subject)).collect()
    }

    fn in_source(text: &str) -> Vec<(usize, String)> {
        found("crates/core/src/a.rs", text)
    }

    fn at(line: usize, subject: &str) -> (usize, String) {
        (line, subject.to_owned())
    }

    #[test]
    fn allow_is_found_in_every_kind_of_attribute() {
        let text = "#![allow(a)]\n#[allow(b)]\nfn f() { allow(1); g[allow(2)] }\n#[cfg_attr(x, allow(c))]\nfn g() {}";
        assert_eq!(in_source(text), [at(1, "allow"), at(2, "allow"), at(4, "allow")]);
        assert!(in_source("#[expect(a, reason = \"allow(b)\")]\nfn f() {}").is_empty());
    }

    #[test]
    fn unfinished_work_is_found_in_code_and_comments() {
        let text = format!("fn f() {{ todo!() }}\n/* one\n {}: two */\nlet todo = 1;", MARKS[1]);
        assert_eq!(in_source(&text), [at(3, MARKS[1]), at(1, "todo")]);
    }

    #[test]
    fn unsafe_is_found_but_not_in_strings() {
        assert_eq!(in_source("unsafe { x }\nlet a = \"unsafe\"; #![forbid(unsafe_code)]"), [at(1, "unsafe")]);
    }

    #[test]
    fn globs_are_for_preludes_and_tests() {
        let text = "use a::*;\nuse b::{c, d::*};\nuse e::prelude::*;\nfn f() -> impl T + use<'a> { 2 * 3 }\n\
                    #[cfg(test)]\nmod tests {\n    use super::*;\n}\n";
        assert_eq!(in_source(text), [at(1, "*"), at(2, "*")]);
        assert!(found("crates/core/tests/a.rs", "use a::*;").is_empty());
    }

    #[test]
    fn modules_have_names_that_say_something() {
        assert_eq!(in_source("mod utils { }\nmod types;"), [at(1, "utils")]);
        assert_eq!(found("crates/core/src/types.rs", ""), [at(1, "types")]);
        assert_eq!(found("crates/core/src/helpers/a.rs", ""), [at(1, "helpers")]);
    }
}
