//! The modules of a crate, and which of them needs which: paths in code, resolved through re-exports.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    files::File,
    length::test_modules,
    lexer::{self, Kind, Token},
};

/// The names from the root of the crate to a module; empty for the root.
pub(crate) type ModulePath = Vec<String>;

/// A re-export of a re-export of one is followed this often.
const DEPTH: usize = 8;

/// The modules of one crate that have a file.
pub(crate) struct Crate {
    modules: BTreeMap<ModulePath, Module>,
}

struct Module {
    file: String,
    /// What `use` brings in, by the name that it has here.
    imports: BTreeMap<String, Vec<String>>,
    /// The paths that its own code names. A `pub use` only passes a name on.
    needs: Vec<Vec<String>>,
}

impl Crate {
    /// Reads the files of one `src` folder.
    pub(crate) fn read(files: Vec<&File>) -> Self {
        let mut modules = BTreeMap::new();
        for file in files {
            modules.insert(module_path(&file.path), Module::read(file));
        }
        Self { modules }
    }

    /// The file of a module.
    pub(crate) fn file(&self, module: &ModulePath) -> String {
        self.modules.get(module).map(|module| module.file.clone()).unwrap_or_default()
    }

    /// Every module with the modules that its code needs.
    pub(crate) fn edges(&self) -> BTreeMap<ModulePath, Vec<ModulePath>> {
        let of = |(path, module): (&ModulePath, &Module)| {
            let needs = module.needs.iter().filter_map(|need| self.resolve(path, need, DEPTH));
            let needs: BTreeSet<ModulePath> = needs.filter(|need| need != path).collect();
            (path.clone(), needs.into_iter().collect())
        };
        self.modules.iter().map(of).collect()
    }

    /// The module in which the item of a path is defined, as seen from the module `from`; `None` for another
    /// crate.
    fn resolve(&self, from: &ModulePath, path: &[String], depth: usize) -> Option<ModulePath> {
        let (first, mut rest) = path.split_first()?;
        let mut at = match first.as_str() {
            "crate" => Vec::new(),
            "self" => from.clone(),
            "super" => parent(from)?,
            name => self.named(from, name, depth)?,
        };
        while let Some((name, after)) = rest.split_first() {
            rest = after;
            at = match name.as_str() {
                "super" => parent(&at)?,
                name => match self.named(&at, name, depth) {
                    Some(module) => module,
                    // An item of this module.
                    None => break,
                },
            };
        }
        Some(at)
    }

    /// The module that a name of the module `at` leads to: a child, or whatever `use` brings in.
    fn named(&self, at: &ModulePath, name: &str, depth: usize) -> Option<ModulePath> {
        let mut child = at.clone();
        child.push(name.to_owned());
        if self.modules.contains_key(&child) {
            return Some(child);
        }
        let import = self.modules.get(at)?.imports.get(name)?;
        self.resolve(at, import, depth.checked_sub(1)?)
    }
}

impl Module {
    fn read(file: &File) -> Self {
        let tokens = lexer::code(&lexer::rust(&file.text));
        let tests = test_modules(&tokens);
        let is_tested = |line: usize| tests.iter().any(|(first, last)| (*first..=*last).contains(&line));
        let tokens: Vec<Token<'_>> = tokens.iter().copied().filter(|token| !is_tested(token.line)).collect();
        let mut module = Self { file: file.path.clone(), imports: BTreeMap::new(), needs: Vec::new() };
        let mut at = 0;
        while at < tokens.len() {
            // `use<'a>` in a return type captures lifetimes and imports nothing.
            if tokens[at].is("use") && !tokens.get(at + 1).is_some_and(|next| next.is("<")) {
                let passes_on = at > 0 && (tokens[at - 1].is("pub") || tokens[at - 1].is(")"));
                let mut leaves = Vec::new();
                at = leaves_of(&tokens, at + 1, &[], &mut leaves);
                for (path, name) in leaves {
                    if !passes_on {
                        module.needs.push(path.clone());
                    }
                    module.imports.insert(name, path);
                }
                continue;
            }
            let path = path_at(&tokens, at);
            if path.len() > 1 {
                at += path.len() * 3 - 2;
                module.needs.push(path);
            } else {
                at += 1;
            }
        }
        module
    }
}

/// The module of a file: `crates/a/src/b/c.rs` is `[b, c]`.
fn module_path(path: &str) -> ModulePath {
    let inside = path.split_once("/src/").map_or(path, |(_, inside)| inside);
    let inside = inside.trim_end_matches(".rs");
    let inside = inside.strip_suffix("/mod").unwrap_or(inside);
    match inside {
        "lib" | "main" => Vec::new(),
        inside => inside.split('/').map(str::to_owned).collect(),
    }
}

fn parent(module: &ModulePath) -> Option<ModulePath> {
    module.split_last().map(|(_, parent)| parent.to_vec())
}

/// True if `::` stands at `at`.
fn is_joint(tokens: &[Token<'_>], at: usize) -> bool {
    let is_colon = |at: usize| tokens.get(at).is_some_and(|token| token.is(":"));
    is_colon(at) && is_colon(at + 1)
}

/// The words of a path that begins at `at`, joined by `::`; empty in the middle of a path.
fn path_at(tokens: &[Token<'_>], at: usize) -> Vec<String> {
    let mut words = Vec::new();
    if at >= 2 && is_joint(tokens, at - 2) {
        return words;
    }
    let mut next = at;
    while let Some(token) = tokens.get(next).filter(|token| token.kind == Kind::Word) {
        words.push(token.text.to_owned());
        if !is_joint(tokens, next + 1) {
            break;
        }
        next += 3;
    }
    words
}

/// Adds every path below `at` of a `use`, with the name that it gets; returns the place behind it.
fn leaves_of(
    tokens: &[Token<'_>],
    at: usize,
    prefix: &[String],
    leaves: &mut Vec<(Vec<String>, String)>,
) -> usize {
    let mut at = if is_joint(tokens, at) { at + 2 } else { at };
    let mut path = prefix.to_vec();
    while let Some(token) = tokens.get(at) {
        if token.is("{") {
            at += 1;
            while tokens.get(at).is_some_and(|token| !token.is("}")) {
                let after = leaves_of(tokens, at, &path, leaves);
                at = if tokens.get(after).is_some_and(|token| token.is(",")) { after + 1 } else { after };
                if after == at && !tokens.get(at).is_some_and(|token| token.is("}")) {
                    return at + 1;
                }
            }
            return at + 1;
        }
        let is_of_prefix = token.is("self") && !path.is_empty();
        if !is_of_prefix {
            path.push(token.text.to_owned());
        }
        at += 1;
        if is_joint(tokens, at) {
            at += 2;
            continue;
        }
        let mut name = path.last().cloned().unwrap_or_default();
        if tokens.get(at).is_some_and(|token| token.is("as")) {
            name = tokens.get(at + 1).map(|token| token.text.to_owned()).unwrap_or_default();
            at += 2;
        }
        leaves.push((path, name));
        return at;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_of_use_are_flattened() {
        let tokens = lexer::rust("use crate::{a, b::{self, c as d, *}, ::e};");
        let mut leaves = Vec::new();
        let end = leaves_of(&tokens, 1, &[], &mut leaves);
        assert!(tokens[end].is(";"));
        let texts: Vec<String> =
            leaves.iter().map(|(path, name)| format!("{} {name}", path.join("::"))).collect();
        assert_eq!(texts, ["crate::a a", "crate::b b", "crate::b::c d", "crate::b::* *", "crate::e e"]);
    }

    #[test]
    fn files_are_modules() {
        assert_eq!(module_path("crates/a/src/b/mod.rs"), ["b"]);
        assert_eq!(module_path("crates/a/src/b/c.rs"), ["b", "c"]);
        assert!(module_path("crates/a/src/lib.rs").is_empty());
    }
}
