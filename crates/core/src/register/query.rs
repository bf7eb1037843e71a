//! Which registers a page shows.

use bytes::Bytes;

use super::Register;
use crate::{MAX_BATCH_BYTES, Name, Timestamp};

/// Which registers of a space. Exhaustive on purpose: a backend that does not know one would show nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegisterSelect {
    /// All registers, in the order of their keys.
    All,
    /// Those with one of these keys, in the order of the keys. A key that does not exist is left out.
    Keys(Vec<Bytes>),
    /// Those whose keys begin with these bytes, in the order of the keys.
    Prefix(Bytes),
    /// Those that are due before this instant, by due time and then by key. One without a due time is left
    /// out.
    DueBefore(Timestamp),
}

/// Keyset position of a list of registers: the next page begins behind this register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterCursor {
    /// Its due time, if the list is in the order of due times.
    pub due: Option<Timestamp>,
    /// Its key.
    pub key: Bytes,
}

/// Request for one page of registers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegisterQuery {
    /// The space to read; exactly this one, not those whose names begin with it.
    pub space: Name,
    /// Which registers of it, and their order.
    pub select: RegisterSelect,
    /// Whether the order is reversed. Default: no.
    pub descending: bool,
    /// The page begins behind this register. Default: at the first one.
    pub cursor: Option<RegisterCursor>,
    /// How many registers at most. Default and bound: [`Self::MAX_LIMIT`]. Zero returns none, and no cursor.
    pub limit: usize,
}

impl RegisterQuery {
    /// The most registers of a page.
    pub const MAX_LIMIT: usize = 1_000;
    /// A page ends with the value that makes it reach so many bytes.
    pub const MAX_BYTES: usize = MAX_BATCH_BYTES / 2;

    /// Creates a request for the first page, ascending, with as many registers as a page takes.
    pub fn new(space: Name, select: RegisterSelect) -> Self {
        Self { space, select, descending: false, cursor: None, limit: Self::MAX_LIMIT }
    }

    /// Reverses the order.
    pub fn descending(mut self) -> Self {
        self.descending = true;
        self
    }

    /// Sets how many registers the page has at most.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Sets where the page begins: at the `next` of the page before.
    pub fn after(mut self, cursor: Option<RegisterCursor>) -> Self {
        self.cursor = cursor;
        self
    }

    /// Where the next page begins after this register.
    pub fn cursor_at(&self, key: &Bytes, register: &Register) -> RegisterCursor {
        let by_due = matches!(self.select, RegisterSelect::DueBefore(_));
        RegisterCursor { due: register.due.filter(|_| by_due), key: key.clone() }
    }

    /// The page, from registers in order, of which one more than the limit is given where more follow.
    pub fn page(&self, found: impl IntoIterator<Item = (Bytes, Register)>) -> RegisterPage {
        let limit = self.limit.min(Self::MAX_LIMIT);
        let (mut items, mut bytes) = (Vec::new(), 0);
        let mut found = found.into_iter().peekable();
        while items.len() < limit && bytes < Self::MAX_BYTES {
            let Some((key, register)) = found.next() else { break };
            bytes += register.value.len();
            items.push((key, register));
        }
        let more = found.peek().is_some();
        let last = items.last().filter(|_| more);
        let next = last.map(|(key, register): &(Bytes, Register)| self.cursor_at(key, register));
        RegisterPage { items, next }
    }
}

/// A page of registers. It may be short although more follows: only `next` says whether it is the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterPage {
    /// Keys and registers. Forgotten ones are left out.
    pub items: Vec<(Bytes, Register)>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<RegisterCursor>,
}

/// Places from the first one, included, to the last one, excluded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterRange<T> {
    /// The first one.
    pub from: T,
    /// What comes after the last one.
    pub before: T,
}

/// Greater than every key.
const BEYOND: [u8; Register::MAX_KEY_BYTES + 1] = [0xff; Register::MAX_KEY_BYTES + 1];

impl RegisterQuery {
    /// The keys that a page by key goes through, for stores that keep keys in order.
    pub fn keys(&self) -> RegisterRange<Vec<u8>> {
        let (mut from, mut before) = match &self.select {
            RegisterSelect::Prefix(prefix) => (prefix.to_vec(), successor_of_prefix(prefix)),
            RegisterSelect::All | RegisterSelect::Keys(_) | RegisterSelect::DueBefore(_) => {
                (Vec::new(), BEYOND.to_vec())
            }
        };
        match &self.cursor {
            Some(cursor) if self.descending => before = before.min(cursor.key.to_vec()),
            Some(cursor) => from = from.max(successor(&cursor.key)),
            None => {}
        }
        RegisterRange { from, before }
    }

    /// The due times and keys that a page of what is due before an instant goes through.
    pub fn dues(&self, before: Timestamp) -> RegisterRange<(Timestamp, Vec<u8>)> {
        let mut range = RegisterRange { from: (Timestamp::EPOCH, Vec::new()), before: (before, Vec::new()) };
        match &self.cursor {
            Some(RegisterCursor { due: Some(due), key }) if self.descending => {
                range.before = range.before.min((*due, key.to_vec()));
            }
            Some(RegisterCursor { due: Some(due), key }) => {
                range.from = range.from.max((*due, successor(key)));
            }
            // A cursor of a page by key says nothing here.
            Some(RegisterCursor { due: None, .. }) | None => {}
        }
        range
    }
}

/// The key that comes right after.
fn successor(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

/// The first key after all that begin so.
fn successor_of_prefix(prefix: &[u8]) -> Vec<u8> {
    let kept = prefix.iter().rposition(|byte| *byte < 0xff).map(|last| &prefix[..=last]);
    match kept {
        None => BEYOND.to_vec(),
        Some(kept) => {
            let mut next = kept.to_vec();
            if let Some(last) = next.last_mut() {
                *last += 1;
            }
            next
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(select: RegisterSelect) -> RegisterQuery {
        RegisterQuery::new(Name::new("x.test").expect("a name"), select)
    }

    fn at(due: Option<i64>, key: &'static [u8]) -> RegisterCursor {
        RegisterCursor { due: due.map(Timestamp::from_millis), key: Bytes::from_static(key) }
    }

    #[test]
    fn a_page_by_key_goes_from_its_cursor_to_the_end_of_its_prefix() {
        let prefix = |prefix: &'static [u8]| query(RegisterSelect::Prefix(Bytes::from_static(prefix)));
        let cases = [
            (query(RegisterSelect::All), (&b""[..], &BEYOND[..])),
            (query(RegisterSelect::All).after(Some(at(None, b"k"))), (b"k\0", &BEYOND)),
            (query(RegisterSelect::All).descending().after(Some(at(None, b"k"))), (b"", b"k")),
            (prefix(b"ab"), (b"ab", b"ac")),
            (prefix(b"a\xff\xff"), (b"a\xff\xff", b"b")),
            (prefix(b"\xff"), (b"\xff", &BEYOND)),
            (prefix(b"ab").after(Some(at(None, b"abc"))), (b"abc\0", b"ac")),
            (prefix(b"ab").descending().after(Some(at(None, b"abc"))), (b"ab", b"abc")),
        ];
        for (query, (from, before)) in cases {
            assert_eq!(query.keys(), RegisterRange { from: from.to_vec(), before: before.to_vec() });
        }
    }

    #[test]
    fn a_page_by_due_time_goes_from_its_cursor_to_the_instant() {
        let before = Timestamp::from_millis(9);
        let place = |millis, key: &[u8]| (Timestamp::from_millis(millis), key.to_vec());
        let due = query(RegisterSelect::DueBefore(before));
        let cases = [
            (due.clone(), place(0, b""), place(9, b"")),
            (due.clone().after(Some(at(Some(5), b"k"))), place(5, b"k\0"), place(9, b"")),
            (due.clone().descending().after(Some(at(Some(5), b"k"))), place(0, b""), place(5, b"k")),
            (due.descending().after(Some(at(Some(12), b"k"))), place(0, b""), place(9, b"")),
        ];
        for (query, from, until) in cases {
            assert_eq!(query.dues(before), RegisterRange { from, before: until });
        }
    }
}
