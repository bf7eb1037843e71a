//! `lib.rs` and `mod.rs` only declare and re-export.

use super::{
    files::File,
    finding::{Finding, Rule},
    length::closing,
    lexer::{self, Token},
};

/// Checks a module root.
pub(crate) fn check(file: &File) -> Vec<Finding> {
    let tokens = lexer::code(&lexer::rust(&file.text));
    let mut findings = Vec::new();
    check_items(&tokens, file, &mut findings);
    findings
}

/// True for the files this rule is about. An adapter of the outbox is one page, and its root is that page.
pub(crate) fn applies(file: &File) -> bool {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    let is_adapter = file.path.starts_with("outbox/") && !file.path.starts_with("outbox/testkit/");
    matches!(name, "lib.rs" | "mod.rs") && !file.is_test() && !is_adapter
}

fn check_items(tokens: &[Token<'_>], file: &File, findings: &mut Vec<Finding>) {
    let mut at = 0;
    while at < tokens.len() {
        let attributes = at;
        while tokens[at..].first().is_some_and(|token| token.is("#")) {
            at = bracket_end(tokens, at);
        }
        // Functions of a procedural macro must stand in the root; what is compiled for tests alone may.
        let excused = tokens[attributes..at]
            .iter()
            .any(|token| token.text.starts_with("proc_macro") || token.is("doctest") || token.is("test"));
        if tokens.get(at).is_some_and(|token| token.is("pub")) {
            at += 1;
            if tokens.get(at).is_some_and(|token| token.is("(")) {
                at += tokens[at..].iter().position(|token| token.is(")")).map_or(1, |end| end + 1);
            }
        }
        let Some(keyword) = tokens.get(at) else { return };
        let end = item_end(tokens, at);
        match keyword.text {
            "use" | "extern" | ";" => {}
            "mod" if excused => {}
            "mod" => {
                if let Some(open) = tokens[at..end].iter().position(|token| token.is("{")) {
                    check_items(&tokens[at + open + 1..end - 1], file, findings);
                }
            }
            _ if excused => {}
            _ => findings.push(finding(file, *keyword, tokens.get(at + 1))),
        }
        at = end;
    }
}

fn finding(file: &File, keyword: Token<'_>, name: Option<&Token<'_>>) -> Finding {
    let name = name.map_or("", |name| name.text);
    Finding {
        rule: Rule::ModuleRoots,
        path: file.path.clone(),
        line: keyword.line,
        subject: name.to_owned(),
        what: format!("`{} {name}` stands in a module root", keyword.text),
        hint: "a root only declares and re-exports; give it a module".to_owned(),
    }
}

/// The index behind the `]` that closes the attribute at `at`.
fn bracket_end(tokens: &[Token<'_>], at: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(at) {
        if token.is("[") {
            depth += 1;
        } else if token.is("]") {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return index + 1;
            }
        }
    }
    tokens.len()
}

/// The index behind the `;` or the body that ends the item at `at`.
fn item_end(tokens: &[Token<'_>], at: usize) -> usize {
    let uses = tokens[at].is("use");
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(at) {
        match token.text {
            // Braces of a `use` hold names, not a body.
            "{" if !uses && depth == 0 && token.is("{") => return closing(tokens, index) + 1,
            "(" | "[" if token.is(token.text) => depth += 1,
            ")" | "]" if token.is(token.text) => depth = depth.saturating_sub(1),
            ";" if depth == 0 => return index + 1,
            _ => {}
        }
    }
    tokens.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        let file = File { path: "crates/core/src/lib.rs".to_owned(), text: text.to_owned() };
        assert!(applies(&file));
        check(&file).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn declarations_and_reexports_pass() {
        let text = "//! Docs.\n#![warn(x)]\n#[cfg(feature = \"a\")]\npub mod a;\nmod b;\n\
                    pub use a::{B, c::D};\npub(crate) use b::E;\nextern crate alloc;\n\
                    pub mod prelude {\n    pub use crate::a::B;\n}\n#[cfg(test)]\nmod tests { fn f() {} }\n";
        assert!(lines(text).is_empty());
    }

    #[test]
    fn logic_is_found_also_in_an_inline_module() {
        let text = "mod a;\npub fn f(x: [u8; 3]) -> u8 {\n    x[0]\n}\npub mod b {\n    struct S { a: u8 }\n}\n\
                    const C: u8 = { 1 };\nmod d;\n";
        assert_eq!(lines(text), [2, 6, 8]);
    }

    #[test]
    fn entry_of_a_procedural_macro_must_stand_there() {
        assert!(
            lines("#[proc_macro_derive(Job, attributes(job))]\npub fn derive(i: T) -> T {\n    x\n}\n")
                .is_empty()
        );
    }
}
