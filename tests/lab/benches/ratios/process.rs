//! What the kernel says about processes, and about the machine.
//!
//! The invariant: it only reads.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use nix::unistd::{Pid, SysconfVar, sysconf};

/// The processor time that the threads of a process have used. Threads that have ended are not in it: the servers keep
/// theirs.
pub(crate) fn cpu_time(pid: Pid) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the server is there");
    tasks.filter_map(|task| cpu_time_of_thread(&task.ok()?.path())).sum()
}

/// The same for the thread in this folder, `/proc/PID/task/TID`; `None` if it has ended.
pub(crate) fn cpu_time_of_thread(folder: &Path) -> Option<Duration> {
    // Nanoseconds, where /proc/PID/stat has ticks of ten milliseconds (proc(5)).
    let line = fs::read_to_string(folder.join("schedstat")).ok()?;
    line.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// The processor time that all children of ours have used that we have reaped, and what they have reaped. The
/// difference between two looks is all that one child has ever used; for a process that is gone, nothing else gives it.
pub(crate) fn cpu_time_of_reaped() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("a process may ask for this");
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(micros.unsigned_abs())
}

/// The processor time that the host of this virtual machine gave to others while we wanted it (steal, proc_stat(5)), in steps
/// of ten milliseconds; always zero on a real one.
pub(crate) fn stolen() -> Duration {
    let ticks_per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().and_then(|ticks| u32::try_from(ticks).ok());
    let stat = fs::read_to_string("/proc/stat").expect("every Linux has it");
    // The first line is about all processors: `cpu`, and eight times or more.
    let ticks = stat.split_whitespace().nth(8).and_then(|steal| steal.parse().ok()).unwrap_or(0);
    Duration::from_secs(ticks) / ticks_per_second.unwrap_or(100)
}

/// The memory of a process in KiB, each page that others map too in proportion (`Pss`).
pub(crate) fn memory(pid: Pid) -> f64 {
    f64::from(field(&format!("/proc/{pid}/smaps_rollup"), "Pss"))
}

/// The memory of a process in KiB that no other process maps and that is on no disk: what it alone costs.
pub(crate) fn private_memory(pid: Pid) -> u32 {
    field(&format!("/proc/{pid}/smaps_rollup"), "Private_Dirty")
}

/// The memory of a process in KiB that is no part of a file, changed or not. It is the measure for a program that was just
/// built: as long as that is not on the disk, all of its code counts as dirty.
pub(crate) fn anonymous_memory(pid: Pid) -> u32 {
    field(&format!("/proc/{pid}/smaps_rollup"), "Anonymous")
}

/// Memory in KiB that can be had without swapping.
pub(crate) fn available() -> u32 {
    field("/proc/meminfo", "MemAvailable")
}

fn field(path: &str, key: &str) -> u32 {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("cannot read {path}: {error}"));
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no number called {key} in {path}"))
}
