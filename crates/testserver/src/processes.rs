//! Other processes: who descends from whom, in which state, and signals to them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::waiting::until;

/// How long the kernel may take to stop or end a process.
const PATIENCE: Duration = Duration::from_secs(30);

/// One process of the machine.
#[derive(Clone, Copy, Debug)]
struct Process {
    pid: u32,
    parent: u32,
    /// The letter `ps` shows: `T` is stopped, `Z` ended and not yet waited for.
    state: char,
}

/// Sends `signal`; a process that is gone is none to send to.
pub(crate) fn send(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process(pid, signal);
    }
}

/// The processes that `parent` has started and that still run.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let all = table().into_iter();
    all.filter(|process| process.parent == parent && process.state != 'Z')
        .map(|process| process.pid)
        .collect()
}

/// Stops `parent`, so that it starts nothing any more, then its children, and waits until all of them stand
/// still.
pub(crate) fn stop_family(parent: u32) -> Vec<u32> {
    send(parent, Signal::STOP);
    let stands = |state| matches!(state, Some('T' | 'Z') | None);
    wait_for("stop", &[parent], stands);
    let children = children(parent);
    for child in &children {
        send(*child, Signal::STOP);
    }
    wait_for("stop", &children, stands);
    children
}

/// Lets what [`stop_family`] stopped go on.
pub(crate) fn resume_family(parent: u32) {
    for child in children(parent) {
        send(child, Signal::CONT);
    }
    send(parent, Signal::CONT);
}

/// Waits until none of `pids` runs.
pub(crate) fn wait_for_end(pids: &[u32]) {
    wait_for("end", pids, |state| matches!(state, Some('Z') | None));
}

fn wait_for(what: &str, pids: &[u32], reached: impl Fn(Option<char>) -> bool) {
    let came = until(PATIENCE, || {
        let table = table();
        let state = |pid: &u32| table.iter().find(|process| process.pid == *pid).map(|process| process.state);
        pids.iter().all(|pid| reached(state(pid)))
    });
    assert!(came, "processes {pids:?} did not {what} in {PATIENCE:?}");
}

/// Every process, from `/proc`, or from `ps` where there is none.
fn table() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return table_of_ps() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: u32| parse_stat(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?))
        .collect()
}

/// One line of `/proc/PID/stat` is `PID (NAME) STATE PARENT …`, and NAME may hold anything, proc(5).
fn parse_stat(pid: u32, line: &str) -> Option<Process> {
    let mut words = line.rsplit_once(')')?.1.split_whitespace();
    let state = words.next()?.chars().next()?;
    Some(Process { pid, state, parent: words.next()?.parse().ok()? })
}

fn table_of_ps() -> Vec<Process> {
    let output = Command::new("ps").args(["-A", "-o", "pid=", "-o", "ppid=", "-o", "state="]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let parse = |line: &str| {
        let mut words = line.split_whitespace();
        let (pid, parent) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Process { pid, parent, state: words.next()?.chars().next()? })
    };
    text.lines().filter_map(parse).collect()
}

/// The files whose names begin with `prefix` that a process and its children have in their memory.
pub(crate) fn mapped_files(parent: u32, children: &[u32], prefix: &str) -> BTreeSet<PathBuf> {
    let all = children.iter().chain([&parent]);
    let maps = all.filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/maps")).ok());
    let maps: Vec<String> = maps.collect();
    let words = maps.iter().flat_map(|text| text.split_whitespace());
    words.filter(|word| word.starts_with(prefix)).map(PathBuf::from).collect()
}

/// True if `pid` was started with `path` on its command line, so that it is no other process of the same
/// number.
pub(crate) fn was_started_with(pid: u32, path: &Path) -> bool {
    let command_line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let path = path.as_os_str().as_encoded_bytes();
    command_line.split(|byte| *byte == 0).any(|word| word == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_line_is_read_whatever_the_name_holds() {
        let process = parse_stat(7, "7 (a) b (c)) T 42 7 7").unwrap();
        assert_eq!((process.pid, process.parent, process.state), (7, 42, 'T'));
        assert!(parse_stat(7, "7 nothing").is_none());
    }

    #[test]
    fn own_children_are_found_stopped_and_ended() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(children(std::process::id()).contains(&child.id()));
        stop_family(child.id());
        resume_family(child.id());
        child.kill().unwrap();
        wait_for_end(&[child.id()]);
        child.wait().unwrap();
    }
}
