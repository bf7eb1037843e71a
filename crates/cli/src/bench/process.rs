//! What the processes of a server on this machine have used of the processor, as proc(5) tells it.

use std::fs;
use std::time::Duration;

/// The clock of `stat` ticks a hundred times a second wherever Linux runs Rust.
const TICK: Duration = Duration::from_millis(10);

/// Processor time of the PostgreSQL server that a process of it belongs to: its first process, that one's
/// children, and those of them that have ended. `None` where they cannot be seen.
pub(super) fn server_cpu(pid: u32) -> Option<Duration> {
    let server = Process::read(&pid.to_string()).filter(|process| process.name == "postgres")?.parent;
    let first = Process::read(&server)?;
    let mut ticks = first.ticks + first.ticks_of_ended_children;
    for entry in fs::read_dir("/proc").ok()? {
        let Some(pid) = entry.ok()?.file_name().to_str().map(str::to_owned) else { continue };
        // A process may end between the two reads; its parent counts it from then on.
        if let Some(process) = Process::read(&pid).filter(|process| process.parent == server) {
            ticks += process.ticks;
        }
    }
    Some(TICK * ticks)
}

/// One line of `/proc/PID/stat`.
#[derive(Debug)]
struct Process {
    name: String,
    parent: String,
    ticks: u32,
    ticks_of_ended_children: u32,
}

impl Process {
    fn read(pid: &str) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The name stands in brackets and may hold blanks, hence the two cuts.
    fn parse(stat: &str) -> Option<Self> {
        let (head, tail) = stat.rsplit_once(") ")?;
        let name = head.split_once('(')?.1.to_owned();
        let fields: Vec<&str> = tail.split(' ').collect();
        let ticks = |first: usize| -> Option<u32> {
            Some(fields.get(first)?.parse::<u32>().ok()? + fields.get(first + 1)?.parse::<u32>().ok()?)
        };
        Some(Self {
            name,
            parent: (*fields.get(1)?).to_owned(),
            ticks: ticks(11)?,
            ticks_of_ended_children: ticks(13)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Process;

    #[test]
    fn a_name_with_blanks_and_brackets_is_read() {
        let stat = "7 (a) b) S 3 7 7 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 99";
        let process = Process::parse(stat).expect("it is a line of proc(5)");
        assert_eq!((process.name.as_str(), process.parent.as_str()), ("a) b", "3"));
        assert_eq!((process.ticks, process.ticks_of_ended_children), (30, 70));
    }
}
