//! The processes below this one: found, killed and waited for.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fs;

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, wait};

/// Orphans below this process become its children, however they were made.
#[cfg(target_os = "linux")]
pub(super) fn adopt_orphans() {
    // A kernel that cannot do it is older than any that Rust runs on.
    let _ = rustix::process::set_child_subreaper(Some(getpid()));
}

/// Only Linux has it: elsewhere what leaves its process group is not found again.
#[cfg(not(target_os = "linux"))]
pub(super) fn adopt_orphans() {}

/// The name that `ps` and `pkill` see.
#[cfg(target_os = "linux")]
pub(super) fn set_name(name: &CStr) {
    let _ = rustix::thread::set_name(name);
}

#[cfg(not(target_os = "linux"))]
pub(super) fn set_name(_: &CStr) {}

/// The children that were waited for.
#[derive(Debug, Default)]
pub(super) struct Reaped {
    statuses: BTreeMap<i32, i32>,
    /// Not even one that runs is left.
    pub(super) none_left: bool,
}

impl Reaped {
    pub(super) fn status_of(&self, pid: Pid) -> Option<i32> {
        self.statuses.get(&pid.as_raw_pid()).copied()
    }

    pub(super) fn pids(&self) -> impl Iterator<Item = i32> + '_ {
        self.statuses.keys().copied()
    }
}

/// Waits for every child that has ended, adopted ones included; never blocks.
pub(super) fn reap() -> Reaped {
    let mut reaped = Reaped::default();
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => {
                reaped.statuses.insert(pid.as_raw_pid(), status.as_raw());
            }
            Ok(None) => return reaped,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => {
                reaped.none_left = true;
                return reaped;
            }
        }
    }
}

/// Kills every process below this one. Says how many there were: a killed one may have started another
/// before.
pub(super) fn kill_descendants() -> usize {
    let own = getpid().as_raw_pid();
    let mut found = 0;
    let mut parents = vec![own];
    while let Some(parent) = parents.pop() {
        for pid in children_of(parent) {
            found += 1;
            // Its own children are read before it dies and they change their parent.
            parents.push(pid);
        }
        if parent != own {
            kill(parent, own);
        }
    }
    found
}

/// Kills one process below this one.
#[cfg(target_os = "linux")]
fn kill(pid: i32, own: i32) {
    use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};

    let Some(process) = Pid::from_raw(pid) else { return };
    // The number of a process that its parent has waited for may be another one's by now: the descriptor
    // holds on to one process, and only then its place in the tree is looked at again.
    match pidfd_open(process, PidfdFlags::empty()) {
        Ok(descriptor) if is_below(pid, own) => drop(pidfd_send_signal(&descriptor, Signal::KILL)),
        Ok(_) | Err(rustix::io::Errno::SRCH) => {}
        // No such call, or no descriptor is free.
        Err(_) => drop(kill_process(process, Signal::KILL)),
    }
}

#[cfg(not(target_os = "linux"))]
fn kill(pid: i32, _: i32) {
    if let Some(process) = Pid::from_raw(pid) {
        let _ = kill_process(process, Signal::KILL);
    }
}

/// Kills a child of this process, whose number stays its own until it is waited for.
pub(super) fn kill_child(pid: i32) {
    if let Some(process) = Pid::from_raw(pid) {
        let _ = kill_process(process, Signal::KILL);
    }
}

/// Whether a process descends from another.
#[cfg(target_os = "linux")]
fn is_below(pid: i32, ancestor: i32) -> bool {
    let mut next = pid;
    // A tree this deep is a loop of numbers that were given out again meanwhile.
    for _ in 0..10_000 {
        match parent_of(next) {
            Some(parent) if parent == ancestor => return true,
            Some(parent) if parent > 1 => next = parent,
            _ => return false,
        }
    }
    false
}

/// The children of a process, as its threads started or adopted them.
pub(super) fn children_of(pid: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let mut children = Vec::new();
    for thread in threads.flatten() {
        match fs::read_to_string(thread.path().join("children")) {
            Ok(text) => children.extend(text.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok())),
            // The thread has ended.
            Err(_) if !thread.path().exists() => {}
            // This kernel lists no children.
            Err(_) => return children_by_search(pid),
        }
    }
    children
}

fn children_by_search(pid: i32) -> Vec<i32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|candidate| parent_of(*candidate) == Some(pid)).collect()
}

/// The fourth field of `stat`; the name before it stands in brackets and may hold anything.
fn parent_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_listed_the_same_by_both_ways() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().expect("it starts");
        let pid = i32::try_from(child.id()).expect("a number");
        let own = getpid().as_raw_pid();
        assert_eq!(parent_of(pid), Some(own));
        assert!(is_below(pid, own) && !is_below(own, pid));
        assert!(children_of(own).contains(&pid) && children_by_search(own).contains(&pid));
        child.kill().and_then(|()| child.wait()).expect("it is ours");
        assert!(!children_of(own).contains(&pid));
    }
}
