//! What the server spends on a run.

use std::fs;
use std::time::Duration;

/// What the server has spent up to one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// Bytes of log ever written.
    pub(super) wal_bytes: f64,
    /// Processor time of all processes of the server; `None` where they cannot be seen.
    pub(super) cpu: Option<Duration>,
}

impl Cost {
    /// Bytes of log a job since `earlier`.
    pub(super) fn wal_bytes_per_job(self, earlier: Self, jobs: u32) -> f64 {
        (self.wal_bytes - earlier.wal_bytes) / f64::from(jobs)
    }

    /// Microseconds of processor time a job since `earlier`.
    pub(super) fn cpu_us_per_job(self, earlier: Self, jobs: u32) -> Option<f64> {
        let spent = self.cpu?.checked_sub(earlier.cpu?)?;
        Some(spent.as_secs_f64() * 1e6 / f64::from(jobs))
    }
}

/// Processor time of the server that `backend_pid` belongs to, if it runs on this machine: its first process,
/// that one's children, and those of them that have ended.
pub(super) fn server_cpu(backend_pid: i32) -> Option<Duration> {
    /// As proc(5) has it: the clock of `stat` ticks a hundred times a second wherever Linux runs Rust.
    const TICK: Duration = Duration::from_millis(10);
    let server = Process::read(&backend_pid.to_string()).filter(|backend| backend.name == "postgres")?.parent;
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
    fn name_with_blanks_and_brackets_is_read() {
        let stat = "7 (a) b) S 3 7 7 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 99";
        let process = Process::parse(stat).unwrap();
        assert_eq!((process.name.as_str(), process.parent.as_str()), ("a) b", "3"));
        assert_eq!((process.ticks, process.ticks_of_ended_children), (30, 70));
    }
}
