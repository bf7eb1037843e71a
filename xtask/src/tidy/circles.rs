//! Circles of files inside a crate: files of which each needs the others. They are listed, and no finding
//! yet.

use std::collections::BTreeMap;

use super::{
    files::File,
    modules::{Crate, ModulePath},
};

/// A file of a circle, with the files of the circle that it needs.
pub(crate) type Member = (String, Vec<String>);

/// The circles of all crates, the largest first, each with its files in order.
pub(crate) fn find(files: &[File]) -> Vec<Vec<Member>> {
    let mut sources: BTreeMap<&str, Vec<&File>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.is_rust() && !file.is_test()) {
        if let Some((root, _)) = file.path.split_once("/src/") {
            sources.entry(root).or_default().push(file);
        }
    }
    let mut circles: Vec<Vec<Member>> = sources.into_values().flat_map(of_crate).collect();
    circles.sort_by(|left, right| right.len().cmp(&left.len()).then_with(|| left.cmp(right)));
    circles
}

fn of_crate(files: Vec<&File>) -> Vec<Vec<Member>> {
    let modules = Crate::read(files);
    let edges = modules.edges();
    let mut components = Components::of(&edges);
    for module in edges.keys() {
        if !components.index.contains_key(module) {
            components.visit(module);
        }
    }
    let circles = components.found.into_iter().filter(|component| component.len() > 1);
    let named = circles.map(|component| {
        let needs = |module: &ModulePath| {
            let needs = edges.get(module).into_iter().flatten();
            needs.filter(|need| component.contains(need)).map(|need| modules.file(need)).collect()
        };
        let mut members: Vec<Member> =
            component.iter().map(|module| (modules.file(module), needs(module))).collect();
        members.sort();
        members
    });
    named.collect()
}

/// Tarjan's algorithm: the strongly connected components of a graph.
struct Components<'a> {
    edges: &'a BTreeMap<ModulePath, Vec<ModulePath>>,
    index: BTreeMap<&'a ModulePath, usize>,
    stack: Vec<&'a ModulePath>,
    found: Vec<Vec<&'a ModulePath>>,
}

impl<'a> Components<'a> {
    fn of(edges: &'a BTreeMap<ModulePath, Vec<ModulePath>>) -> Self {
        Self { edges, index: BTreeMap::new(), stack: Vec::new(), found: Vec::new() }
    }

    /// Visits a module and everything it reaches; returns the smallest index of its component.
    fn visit(&mut self, module: &'a ModulePath) -> usize {
        let index = self.index.len();
        self.index.insert(module, index);
        self.stack.push(module);
        let mut lowest = index;
        for next in self.edges.get(module).into_iter().flatten() {
            if !self.index.contains_key(next) {
                lowest = lowest.min(self.visit(next));
            } else if self.stack.contains(&next) {
                lowest = lowest.min(self.index[next]);
            }
        }
        if lowest == index {
            let start = self.stack.iter().position(|other| *other == module).unwrap_or(0);
            self.found.push(self.stack.split_off(start));
        }
        lowest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(sources: &[(&str, &str)]) -> Vec<Vec<String>> {
        let file = |(path, text): &(&str, &str)| File {
            path: format!("crates/a/src/{path}"),
            text: (*text).to_owned(),
        };
        let files: Vec<File> = sources.iter().map(file).collect();
        let names = |circle: Vec<Member>| circle.into_iter().map(|(name, _)| name).collect();
        find(&files).into_iter().map(names).collect()
    }

    fn named(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| format!("crates/a/src/{name}")).collect()
    }

    #[test]
    fn files_that_need_each_other_are_a_circle() {
        let sources = [
            ("lib.rs", "mod one; mod two; mod three; pub use one::One;"),
            ("one.rs", "use crate::two::Two; pub struct One;"),
            ("two.rs", "fn f() { super::three::go() } pub struct Two;"),
            ("three.rs", "use crate::One; pub fn go() {}"),
        ];
        assert_eq!(circles(&sources), [named(&["one.rs", "three.rs", "two.rs"])]);
    }

    #[test]
    fn a_root_that_declares_and_reexports_closes_no_circle() {
        let sources = [
            ("lib.rs", "mod one; mod two; pub use one::One; pub(crate) use two::{Two as Second};"),
            ("one.rs", "use crate::Second; pub struct One;"),
            ("two.rs", "pub struct Two;\n#[cfg(test)]\nmod tests { use crate::One; }"),
        ];
        assert!(circles(&sources).is_empty());
    }

    #[test]
    fn a_parent_and_a_child_that_need_each_other_are_a_circle() {
        let sources = [
            ("lib.rs", "mod one;"),
            ("one.rs", "mod child;\nfn f() { child::go() }\npub struct One;"),
            ("one/child.rs", "use super::One;\npub fn go() {}"),
        ];
        assert_eq!(circles(&sources), [named(&["one.rs", "one/child.rs"])]);
    }
}
