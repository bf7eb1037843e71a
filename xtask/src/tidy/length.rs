//! A file tells one thing: 400 lines at most before its tests, 80 for an example.

use super::{
    config::LongFile,
    files::File,
    finding::{Finding, Rule},
    lexer::{self, Token},
};

/// The most lines a source file may have, its tests not counted.
pub(crate) const LIMIT: usize = 400;
/// What a file should stay below; more is counted in the summary, not an error.
pub(crate) const AIM: usize = 250;
/// The most lines of an example, which is one lesson.
const EXAMPLE_LIMIT: usize = 80;

/// Checks one Rust file.
pub(crate) fn check(file: &File, exceptions: &[LongFile]) -> Vec<Finding> {
    let lines = lines_before_tests(file);
    let exception = exceptions.iter().find(|exception| exception.path == file.path);
    let limit = if file.path.starts_with("examples/") { EXAMPLE_LIMIT } else { LIMIT };
    let (what, hint) = match exception {
        None if lines > limit => (
            format!("{lines} lines before the tests, {limit} are allowed"),
            "a file tells one thing; give the second thing a file of its own".to_owned(),
        ),
        Some(exception) if lines > exception.lines => (
            format!("{lines} lines before the tests, its exception allows {}", exception.lines),
            "exceptions only shrink; move something out".to_owned(),
        ),
        Some(_) if lines <= limit => (
            format!("{lines} lines need no exception any more"),
            "delete its entry from tidy.toml".to_owned(),
        ),
        Some(exception) if lines < exception.lines => (
            format!("{lines} lines, but its exception allows {}", exception.lines),
            format!("lower the entry in tidy.toml to {lines}"),
        ),
        _ => return Vec::new(),
    };
    vec![Finding {
        rule: Rule::Length,
        path: file.path.clone(),
        line: lines,
        subject: "lines".to_owned(),
        what,
        hint,
    }]
}

/// Lines of `file` outside its `#[cfg(test)] mod … { … }`; 0 for a file of tests.
pub(crate) fn lines_before_tests(file: &File) -> usize {
    if file.is_test() {
        return 0;
    }
    let total = file.text.lines().count();
    let tokens = lexer::code(&lexer::rust(&file.text));
    let tests: usize = test_modules(&tokens).iter().map(|(first, last)| last - first + 1).sum();
    total - tests
}

/// First and last line of every inline module under `#[cfg(test)]`. `tokens` are without comments.
pub(crate) fn test_modules(tokens: &[Token<'_>]) -> Vec<(usize, usize)> {
    const HEAD: [&str; 8] = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
    let mut modules = Vec::new();
    let mut from = 0;
    while let Some(found) = tokens[from..].windows(HEAD.len()).position(|window| starts(window, &HEAD)) {
        let head = from + found;
        // After the head come the name and either `;` or the body.
        let body = head + HEAD.len() + 1;
        let last = match tokens.get(body) {
            Some(token) if token.is("{") => closing(tokens, body),
            _ => body.min(tokens.len() - 1),
        };
        modules.push((tokens[head].line, tokens[last].line));
        from = last;
    }
    modules
}

fn starts(window: &[Token<'_>], texts: &[&str]) -> bool {
    window.iter().zip(texts).all(|(token, text)| token.is(text))
}

/// The index of the brace that closes the one at `open`; the last token if there is none.
pub(crate) fn closing(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        if token.is("{") {
            depth += 1;
        } else if token.is("}") {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return index;
            }
        }
    }
    tokens.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, lines: usize) -> File {
        let text = format!("{}#[cfg(test)]\nmod tests {{\n    fn f() {{}}\n}}\n", "x;\n".repeat(lines));
        File { path: path.to_owned(), text }
    }

    fn exception(lines: usize) -> [LongFile; 1] {
        [LongFile { path: "crates/core/src/a.rs".to_owned(), lines, reason: "a table".to_owned() }]
    }

    fn hints(file: &File, exceptions: &[LongFile]) -> Vec<String> {
        check(file, exceptions).into_iter().map(|finding| finding.hint).collect()
    }

    #[test]
    fn tests_do_not_count() {
        assert_eq!(lines_before_tests(&file("crates/core/src/a.rs", 400)), 400);
        assert!(hints(&file("crates/core/src/a.rs", 400), &[]).is_empty());
        assert_eq!(hints(&file("crates/core/src/a.rs", 401), &[]).len(), 1);
        assert!(hints(&file("crates/core/tests/a.rs", 900), &[]).is_empty());
    }

    #[test]
    fn code_after_the_tests_counts() {
        let mut file = file("crates/core/src/a.rs", 399);
        file.text.push_str("y;\nz;\n");
        assert_eq!(lines_before_tests(&file), 401);
    }

    #[test]
    fn test_module_in_its_own_file_is_one_declaration() {
        let text = "#[cfg(test)]\nmod tests;\nfn f() {}\n".to_owned();
        assert_eq!(lines_before_tests(&File { path: "crates/core/src/a.rs".to_owned(), text }), 1);
    }

    #[test]
    fn examples_are_shorter() {
        assert_eq!(hints(&file("examples/examples/01_first.rs", 81), &[]).len(), 1);
    }

    #[test]
    fn exceptions_only_shrink() {
        let long = file("crates/core/src/a.rs", 500);
        assert!(hints(&long, &exception(500)).is_empty());
        assert_eq!(hints(&long, &exception(499)), ["exceptions only shrink; move something out"]);
        assert_eq!(hints(&long, &exception(501)), ["lower the entry in tidy.toml to 500"]);
        let short = file("crates/core/src/a.rs", 400);
        assert_eq!(hints(&short, &exception(500)), ["delete its entry from tidy.toml"]);
    }
}
