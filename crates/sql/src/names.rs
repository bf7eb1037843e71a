//! Names that many rows share, and queues by number.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use gristmill_core::{InvalidName, Name};

/// Names that are remembered at most; beyond, it starts anew.
const REMEMBERED: usize = 16_384;

/// Names that many rows share, so that each is allocated once. It remembers 16 384 of them at most.
#[derive(Debug, Default)]
pub struct Interner {
    latest: Option<Name>,
    names: HashSet<Name>,
}

impl Interner {
    /// The name with this text.
    ///
    /// # Errors
    /// Where the text is no name, which is then not what a backend stored.
    #[inline]
    pub fn name(&mut self, text: &str) -> Result<Name, InvalidName> {
        // Neighbours in a queue are mostly of one kind: a comparison is cheaper than a hash.
        if let Some(latest) = self.latest.as_ref().filter(|latest| latest.as_str() == text) {
            return Ok(latest.clone());
        }
        let name = match self.names.get(text) {
            Some(name) => name.clone(),
            None => self.remember(text)?,
        };
        self.latest = Some(name.clone());
        Ok(name)
    }

    fn remember(&mut self, text: &str) -> Result<Name, InvalidName> {
        if self.names.len() >= REMEMBERED {
            self.names.clear();
        }
        let name = Name::new(text)?;
        self.names.insert(name.clone());
        Ok(name)
    }
}

/// The numbers of queues that a process has met: rows hold the number, requests the name.
///
/// A queue is never forgotten by its store, so what is known stays true, unless it was read in a transaction
/// that is rolled back: then [`forget`](Self::forget). It remembers 16 384 queues at most.
#[derive(Debug)]
pub struct QueueNumbers<N> {
    numbers: HashMap<Name, N>,
    names: HashMap<N, Name>,
}

impl<N> Default for QueueNumbers<N> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), names: HashMap::new() }
    }
}

impl<N: Copy + Eq + Hash> QueueNumbers<N> {
    /// The number of a queue, if it is known.
    #[inline]
    pub fn number(&self, name: &Name) -> Option<N> {
        self.numbers.get(name).copied()
    }

    /// The name of a queue, if it is known.
    #[inline]
    pub fn name(&self, number: N) -> Option<&Name> {
        self.names.get(&number)
    }

    /// All that are known, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (N, &Name)> {
        self.names.iter().map(|(number, name)| (*number, name))
    }

    /// Notes the number of a queue.
    pub fn remember(&mut self, number: N, name: Name) {
        if self.names.len() >= REMEMBERED {
            self.forget();
        }
        self.names.insert(number, name.clone());
        self.numbers.insert(name, number);
    }

    /// Knows nothing any more.
    pub fn forget(&mut self) {
        self.numbers.clear();
        self.names.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }

    #[test]
    fn a_text_is_a_name_once_and_the_errors_of_others_are_told() {
        let mut names = Interner::default();
        let first = names.name("mail").expect("a name");
        assert_ne!(names.name("resize").expect("a name"), first);
        let again = names.name("mail").expect("a name");
        assert_eq!(again.as_str().as_ptr(), first.as_str().as_ptr());
        assert!(names.name("").is_err());
    }

    #[test]
    fn names_are_not_remembered_without_end() {
        let (mut names, mut queues) = (Interner::default(), QueueNumbers::default());
        for number in 0..=REMEMBERED {
            let of = names.name(&format!("name-{number}")).expect("a name");
            queues.remember(number, of);
        }
        assert_eq!((names.names.len(), queues.iter().count()), (1, 1));
        assert_eq!(queues.number(&name("name-0")), None);
    }

    #[test]
    fn a_queue_is_known_both_ways_until_it_is_forgotten() {
        let mut queues = QueueNumbers::default();
        queues.remember(7, name("mail"));
        assert_eq!((queues.number(&name("mail")), queues.name(7)), (Some(7), Some(&name("mail"))));
        queues.forget();
        assert_eq!((queues.number(&name("mail")), queues.name(7)), (None, None));
    }
}
