//! The lines of the log on their way to stderr.
//!
//! A log is best effort: a reader that has gone, a full disk or a pipe that is not read never stops, slows or
//! fails a job. A thread writes the lines; while it is held up as many as fit wait, and what is too much is
//! counted and left out.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

/// Lines that wait for the writer at most.
const WAITING: usize = 1_000;
/// How long the end of the program waits for the last lines.
const LAST_LINES: Duration = Duration::from_millis(500);

static LINES: OnceLock<SyncSender<Message>> = OnceLock::new();
/// Lines that were left out since the last one that was written.
static LEFT_OUT: AtomicU64 = AtomicU64::new(0);

enum Message {
    Line(Vec<u8>),
    /// Everything before it is written.
    Flush(SyncSender<()>),
}

/// Takes one line, and hands it to the writer when it is dropped.
pub(crate) struct Line(Vec<u8>);

/// A writer for the next line; for the subscriber.
pub(crate) fn lines() -> Line {
    Line(Vec::new())
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let line = std::mem::take(&mut self.0);
        if !line.is_empty() && writer().try_send(Message::Line(line)).is_err() {
            LEFT_OUT.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Waits until the lines so far are written, for a moment at most.
pub(crate) fn flush() {
    let Some(lines) = LINES.get() else { return };
    let (written, done) = sync_channel(1);
    let mut message = Message::Flush(written);
    let began = std::time::Instant::now();
    while let Err(TrySendError::Full(back)) = lines.try_send(message) {
        if began.elapsed() > LAST_LINES {
            return;
        }
        message = back;
        std::thread::yield_now();
    }
    let _ = done.recv_timeout(LAST_LINES);
}

fn writer() -> &'static SyncSender<Message> {
    LINES.get_or_init(|| {
        let (lines, waiting) = sync_channel(WAITING);
        // Without a thread to write them lines are left out, as with a disk that is full.
        let _ = std::thread::Builder::new().name("log".to_owned()).spawn(move || write_all(&waiting));
        lines
    })
}

fn write_all(waiting: &Receiver<Message>) {
    for message in waiting {
        match message {
            Message::Line(mut line) => {
                let left_out = LEFT_OUT.swap(0, Ordering::Relaxed);
                if left_out > 0 {
                    let mut note = String::new();
                    let _ = writeln!(note, "{left_out} lines of the log were left out: stderr is not read");
                    line.splice(0..0, note.into_bytes());
                }
                let _ = io::stderr().lock().write_all(&line);
            }
            Message::Flush(written) => drop(written),
        }
    }
}
