//! What a NOTIFY carries: `PROCESS ITEM ITEM …`, for example `9f3c a7:0:1700000000000:0190…ef
//! d1700000060000`.
//!
//! An item is a letter and what it is about: `a` a queue's number with the priority, due time (ms) and id of
//! its first new job; `k` the number of a queue in which jobs were parked; `d` an instant at which a waiting
//! job is due (ms); `c` a running job whose cancel is asked for; `q` the name of a queue that was paused or
//! resumed; `e` a job that ended; `w` the sender watches ends; `p` a ping to itself. What a reader does not
//! know, it passes over.

use std::fmt::Write as _;

use gristmill_core::{JobId, Name, Timestamp};
use uuid::Uuid;

use crate::hint_sum::{HintSum, Position};
use crate::row;

/// A text is shorter than 8000 bytes.
const MOST_BYTES: usize = 7_900;
/// The sender watches ends.
pub(crate) const WATCHES: &str = "w";
/// The sender listens whether it hears itself.
pub(crate) const PING: &str = "p";

/// A text as it was read.
#[derive(Debug, PartialEq, Eq, Default)]
pub(crate) struct Notice {
    pub(crate) process: u64,
    pub(crate) hints: HintSum,
    pub(crate) watches: bool,
    pub(crate) pings: bool,
}

/// The channel of a schema. The name is short, whatever the schema's is; two schemas that share one only wake
/// each other for nothing.
pub(crate) fn channel(schema: &str) -> String {
    // FNV-1a, which stays the same from version to version.
    let hash = schema.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("gristmill_{hash:016x}")
}

/// The texts that carry this.
pub(crate) fn write(process: u64, hints: &HintSum) -> Vec<String> {
    let mut texts = Texts { process, done: Vec::new() };
    for (queue, Position { priority, run_at_ms, id }) in &hints.available {
        texts.add(&format!("a{queue}:{priority}:{run_at_ms}:{}", id.simple()));
    }
    for queue in &hints.parked {
        texts.add(&format!("k{queue}"));
    }
    if let Some(due) = hints.due {
        texts.add(&format!("d{}", due.as_millis()));
    }
    for id in &hints.cancels {
        texts.add(&format!("c{}", row::uuid(*id).simple()));
    }
    for queue in &hints.changed {
        texts.add(&format!("q{queue}"));
    }
    for id in &hints.ended {
        texts.add(&format!("e{}", row::uuid(*id).simple()));
    }
    texts.done
}

/// A text of single words.
pub(crate) fn write_words(process: u64, words: &[&str]) -> String {
    format!("{process:x} {}", words.join(" "))
}

struct Texts {
    process: u64,
    done: Vec<String>,
}

impl Texts {
    fn add(&mut self, item: &str) {
        let fits = |text: &&mut String| text.len() + 1 + item.len() <= MOST_BYTES;
        if let Some(text) = self.done.last_mut().filter(fits) {
            text.push(' ');
            text.push_str(item);
            return;
        }
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = write!(text, "{:x} {item}", self.process);
        self.done.push(text);
    }
}

/// Reads a notification. `None` if it is not one of ours: any role may send on the channel.
pub(crate) fn read(text: &str) -> Option<Notice> {
    let mut words = text.split(' ');
    let process = u64::from_str_radix(words.next()?, 16).ok()?;
    let mut notice = Notice { process, ..Notice::default() };
    for word in words {
        match word {
            WATCHES => notice.watches = true,
            PING => notice.pings = true,
            _ => read_item(word, &mut notice.hints).unwrap_or_default(),
        }
    }
    Some(notice)
}

fn read_item(word: &str, hints: &mut HintSum) -> Option<()> {
    let (letter, rest) = word.split_at_checked(1)?;
    match letter {
        "a" => {
            let mut parts = rest.split(':');
            let queue = parts.next()?.parse().ok()?;
            let priority = parts.next()?.parse().ok()?;
            let run_at_ms = parts.next()?.parse().ok()?;
            hints.available(queue, Position { priority, run_at_ms, id: parts.next()?.parse().ok()? });
        }
        "k" => hints.parked(rest.parse().ok()?),
        "d" => hints.due(Timestamp::from_millis(rest.parse().ok()?)),
        "c" => hints.cancel_requested(id(rest)?),
        "q" => hints.queue_changed(Name::new(rest).ok()?),
        "e" => hints.ended(id(rest)?),
        _ => {}
    }
    Some(())
}

fn id(text: &str) -> Option<JobId> {
    Uuid::parse_str(text).ok().map(row::job_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_read_as_it_was_written_and_in_pieces_that_fit() {
        let mut hints = HintSum::default();
        for queue in 0..300_i32 {
            let id = Uuid::from_u128(u128::from(queue.unsigned_abs()) << 64);
            hints.available(queue, Position { priority: -10, run_at_ms: 253_402_207_200_000, id });
            hints.ended(row::job_id(id));
            hints.parked(queue);
        }
        hints.due(Timestamp::from_millis(7));
        hints.cancel_requested(JobId::from_bytes([9; 16]));
        hints.queue_changed(Name::new("mail:eu/1").expect("it is a name"));

        let texts = write(0xab, &hints);

        assert!(texts.len() > 2 && texts.iter().all(|text| text.len() < 8_000));
        let mut all = HintSum::default();
        for text in &texts {
            let notice = read(text).expect("it is a notice");
            assert_eq!((notice.process, notice.pings), (0xab, false));
            all.merge(notice.hints);
        }
        assert_eq!(all, hints);
    }

    #[test]
    fn what_is_not_known_is_passed_over() {
        for text in ["", "x", "zz a1", "hello world"] {
            assert_eq!(read(text), None, "{text:?}");
        }
        let notice = read("1 a a1 a1:2 aé:1:2:3 é z9 d d-1x p w").expect("it names a process");
        assert_eq!(notice, Notice { process: 1, hints: HintSum::default(), watches: true, pings: true });
    }

    #[test]
    fn a_channel_is_an_identifier_that_is_not_cut() {
        assert_eq!(channel("gristmill"), channel("gristmill"));
        assert_ne!(channel("a\"b;--"), channel(&"x".repeat(63)));
        assert!(channel(&"x".repeat(63)).len() < 63);
    }
}
