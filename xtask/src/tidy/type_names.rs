//! Type names that occur more than once in the workspace. They are listed, and no finding yet.

use std::collections::BTreeMap;

use super::{
    files::File,
    length::test_modules,
    lexer::{self, Kind, Token},
};

/// The names that are defined more than once, with the places of their definitions.
pub(crate) fn repeated(files: &[File]) -> BTreeMap<String, Vec<String>> {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in files.iter().filter(|file| applies(file)) {
        for (name, line) in definitions(&file.text) {
            places.entry(name).or_default().push(format!("{}:{line}", file.path));
        }
    }
    places.retain(|_, places| places.len() > 1);
    places
}

/// True for the sources of the main workspace, without tests. Each example is a program of its own.
fn applies(file: &File) -> bool {
    let is_of_workspace = ["crates/", "xtask/", "tests/system/src/"];
    file.is_rust() && !file.is_test() && is_of_workspace.iter().any(|folder| file.path.starts_with(folder))
}

/// What a pair of braces belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    /// An `impl` or a trait, in which `type` names an associated type.
    Associated,
    Other,
}

/// Name and line of every type that a file defines outside its tests.
fn definitions(source: &str) -> Vec<(String, usize)> {
    let tokens = lexer::code(&lexer::rust(source));
    let tests = test_modules(&tokens);
    let mut found = Vec::new();
    let (mut blocks, mut next) = (Vec::new(), Block::Other);
    for (index, token) in tokens.iter().enumerate() {
        if token.is("{") {
            blocks.push(std::mem::replace(&mut next, Block::Other));
        } else if token.is("}") {
            blocks.pop();
        } else if token.is(";") {
            next = Block::Other;
        } else if token.is("impl") || token.is("trait") {
            next = Block::Associated;
        }
        let is_tested = tests.iter().any(|(first, last)| (*first..=*last).contains(&token.line));
        if let Some(name) = tokens.get(index + 1).filter(|_| !is_tested)
            && defines(&tokens[..=index], *name, &blocks)
        {
            found.push((name.text.to_owned(), name.line));
        }
    }
    found
}

/// True if the last token of `until` is a keyword that defines the type `name`.
fn defines(until: &[Token<'_>], name: Token<'_>, blocks: &[Block]) -> bool {
    let [before @ .., keyword] = until else { return false };
    // A `$name` of a macro is not a name, and `r#type` is no keyword.
    if name.kind != Kind::Word || before.last().is_some_and(|token| token.is("#") || token.is(".")) {
        return false;
    }
    ["struct", "enum", "trait", "union"].iter().any(|text| keyword.is(text)) && is_type_name(name.text)
        || keyword.is("type") && is_type_name(name.text) && !blocks.contains(&Block::Associated)
}

/// True for `CamelCase`: `union` and the like are also names of functions and variables.
fn is_type_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_found_and_associated_types_and_tests_left_out() {
        let source = "pub struct A;\nenum B { C }\ntrait D { type E; }\nimpl D for A { type E = u8; }\n\
                      type F = u8;\nfn f() -> impl D { g::<A>() }\ntype G = u8;\n\
                      #[cfg(test)]\nmod tests { struct H; }\n";
        let names: Vec<String> = definitions(source).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["A", "B", "D", "F", "G"]);
    }

    #[test]
    fn names_of_several_files_are_listed_with_their_places() {
        let file = |path: &str| File { path: path.to_owned(), text: "struct Held;\n".to_owned() };
        let files = [
            file("crates/a/src/b.rs"),
            file("crates/c/src/d.rs"),
            file("crates/c/tests/e.rs"),
            file("examples/f.rs"),
        ];
        let places = repeated(&files);
        assert_eq!(places.get("Held").map(Vec::len), Some(2));
    }
}
