//! Machines do not speak: words of speech and persons in comments and documents.
//!
//! Code, literals, fenced blocks and quoted words are left alone, so a document may name a word that it
//! advises against.

use super::{
    config::Language,
    files::File,
    finding::{Finding, Rule},
    lexer::{self, Kind},
};

/// Checks one file.
pub(crate) fn check(file: &File, language: &Language) -> Vec<Finding> {
    let words: Vec<(usize, String)> =
        prose(file).into_iter().flat_map(|(line, text)| words(line, &text)).collect();
    let mut findings = Vec::new();
    for advice in &language.words {
        let phrase: Vec<&str> = advice.word.split(' ').collect();
        for window in words.windows(phrase.len()) {
            if window.iter().map(|(_, word)| word.as_str()).eq(phrase.iter().copied()) {
                findings.push(Finding {
                    rule: Rule::Language,
                    path: file.path.clone(),
                    line: window[0].0,
                    subject: advice.word.clone(),
                    what: format!("the prose says `{}`", advice.word),
                    hint: advice.say.clone(),
                });
            }
        }
    }
    findings.sort_by_key(|finding| finding.line);
    findings
}

/// The lines of prose of a file with their numbers: comments of Rust and SQL, and Markdown, without fenced
/// blocks.
fn prose(file: &File) -> Vec<(usize, String)> {
    let lines: Vec<(usize, &str)> = if file.is_markdown() {
        file.text.lines().enumerate().map(|(index, line)| (index + 1, line)).collect()
    } else if file.is_rust() || file.is_sql() {
        let tokens = if file.is_sql() { lexer::sql(&file.text) } else { lexer::rust(&file.text) };
        let comments = tokens.into_iter().filter(|token| token.kind == Kind::Comment);
        comments
            .flat_map(|token| {
                token.text.lines().enumerate().map(move |(offset, line)| (token.line + offset, line))
            })
            .collect()
    } else {
        Vec::new()
    };
    let mut is_fenced = false;
    let mut prose = Vec::new();
    for (number, line) in lines {
        let text = line.trim_start_matches(['/', '!', '*', '-', ' ']);
        if text.starts_with("```") {
            is_fenced = !is_fenced;
        } else if !is_fenced {
            prose.push((number, without_quotes(text)));
        }
    }
    prose
}

/// The text without what stands in backquotes or double quotes on its line.
fn without_quotes(text: &str) -> String {
    let mut kept = String::new();
    let mut closing = None;
    for character in text.chars() {
        match closing {
            Some(quote) if quote == character => closing = None,
            Some(_) => {}
            None if matches!(character, '`' | '"') => {
                closing = Some(character);
                kept.push(' ');
            }
            None => kept.push(character),
        }
    }
    kept
}

fn words(line: usize, text: &str) -> Vec<(usize, String)> {
    let words = text.split(|character: char| !character.is_alphanumeric());
    words.filter(|word| !word.is_empty()).map(|word| (line, word.to_lowercase())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        let language = toml::from_str(
            "words = [{ word = \"told\", say = \"x\" }, { word = \"of the same sort\", say = \"x\" }]",
        );
        let file = File { path: path.to_owned(), text: text.to_owned() };
        check(&file, &language.expect("it parses")).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn words_are_found_in_comments_and_documents_alone() {
        let rust = "/// It is Told.\nfn told() { said(\"told\") } // told, untold\n/* a\n told */";
        assert_eq!(lines("crates/cli/src/a.rs", rust), [1, 2, 4]);
        assert_eq!(lines("docs/a.md", "it is told\nof the same\nsort\n"), [1, 2]);
        assert!(lines("crates/cli/a.toml", "# told").is_empty());
    }

    #[test]
    fn quoted_words_and_fenced_blocks_may_say_anything() {
        assert!(lines("docs/a.md", "not \"told\", nor `told`\n```\ntold\n```\n").is_empty());
        assert!(lines("crates/cli/src/a.rs", "/// ```\n/// // told\n/// ```\n").is_empty());
        assert_eq!(lines("docs/a.md", "```\na\n```\ntold"), [4]);
    }
}
