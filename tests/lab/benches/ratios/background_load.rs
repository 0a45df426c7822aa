//! How much processor time other programs have used.
//!
//! The invariant: it only reads. Whatever is neither this program nor a descendant of it is background load, and so are
//! the other guests of a virtual machine's host; the kernel's own threads work for every process, and belong to none.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process;
use std::time::Duration;

use crate::process::{cpu_time_of_thread, stolen};

/// A thread that runs for the kernel (`PF_KTHREAD` among the flags of proc_pid_stat(5)).
const KERNEL_THREAD: u64 = 0x0020_0000;

/// The processor time that other programs have used so far.
pub(crate) struct BackgroundLoad {
    threads: HashMap<String, Duration>,
    stolen: Duration,
}

/// What is read of a process.
struct Process {
    pid: String,
    parent: String,
    flags: u64,
}

impl BackgroundLoad {
    pub(crate) fn so_far() -> BackgroundLoad {
        let processes: HashMap<_, _> = names("/proc").filter_map(|pid| Some((pid.clone(), look(pid)?))).collect();
        let others = processes.values().filter(|it| it.flags & KERNEL_THREAD == 0 && !is_ours(it, &processes));
        let threads = others.flat_map(|it| {
            let folder = format!("/proc/{}/task", it.pid);
            names(&folder).map(move |thread| format!("{folder}/{thread}"))
        });
        let times = threads.filter_map(|thread| Some((thread.clone(), cpu_time_of_thread(Path::new(&thread))?)));
        BackgroundLoad { threads: times.collect(), stolen: stolen() }
    }

    /// What they have used since then. Threads that have ended since are not counted.
    pub(crate) fn since(&self, then: &BackgroundLoad) -> Duration {
        let before = |thread| then.threads.get(thread).copied().unwrap_or_default();
        let here: Duration = self.threads.iter().map(|(thread, time)| time.saturating_sub(before(thread))).sum();
        here + self.stolen.saturating_sub(then.stolen)
    }
}

fn is_ours(process: &Process, all: &HashMap<String, Process>) -> bool {
    let us = process::id().to_string();
    let ancestors = std::iter::successors(Some(process), |child| all.get(&child.parent));
    ancestors.into_iter().any(|ancestor| ancestor.pid == us)
}

/// `None` if it has ended meanwhile.
fn look(pid: String) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The process's name comes in parentheses, and may hold some.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some(Process { pid, parent: fields.nth(1)?.to_owned(), flags: fields.nth(4)?.parse().ok()? })
}

/// The entries of this folder whose names are numbers.
fn names(folder: &str) -> impl Iterator<Item = String> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok().filter(|name| name.parse::<u32>().is_ok()))
}
