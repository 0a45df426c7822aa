//! What a process holds, as the kernel sees it in `/proc` (proc(5)).
//!
//! The invariant: a census only reads. Two of them, before and after, say what `exec` kept and what leaked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// What one process holds at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Census {
    /// Open descriptors by number.
    pub descriptors: BTreeMap<i32, Descriptor>,
    /// Numbers of the blocked signals (`SigBlk` of the main thread).
    pub blocked: BTreeSet<u32>,
    /// Numbers of the ignored signals (`SigIgn`).
    pub ignored: BTreeSet<u32>,
    /// Numbers of the signals with a handler (`SigCgt`).
    pub caught: BTreeSet<u32>,
    /// The working directory.
    pub cwd: PathBuf,
    /// The environment the process was started with; what it changed since does not show.
    pub environment: BTreeMap<String, String>,
    /// `/proc/PID/limits`, line by line.
    pub limits: Vec<String>,
    /// Resident memory in KiB (`VmRSS`).
    pub resident_kib: u64,
    /// Threads in the process.
    pub threads: u64,
}

/// One open descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// What it leads to: a path, `socket:[inode]`, `pipe:[inode]`, `anon_inode:[eventpoll]` …
    pub target: String,
    /// Whether `exec` closes it.
    pub cloexec: bool,
}

impl Census {
    /// Takes the census of `pid`.
    ///
    /// # Panics
    /// If the process is gone or not ours to look into.
    #[must_use]
    pub fn of(pid: Pid) -> Census {
        let proc = PathBuf::from(format!("/proc/{pid}"));
        let read = |name: &str| {
            fs::read(proc.join(name)).unwrap_or_else(|error| panic!("cannot read {name} of pid {pid}: {error}"))
        };
        let status = String::from_utf8_lossy(&read("status")).into_owned();
        let number =
            |key: &str| value(&status, key).split(' ').next().and_then(|word| word.parse().ok()).unwrap_or_default();
        Census {
            descriptors: descriptors(&proc),
            blocked: signal_set(value(&status, "SigBlk")),
            ignored: signal_set(value(&status, "SigIgn")),
            caught: signal_set(value(&status, "SigCgt")),
            cwd: fs::read_link(proc.join("cwd")).expect("the cwd of our own process can be read"),
            environment: environment(&read("environ")),
            limits: String::from_utf8_lossy(&read("limits")).lines().map(str::to_owned).collect(),
            resident_kib: number("VmRSS"),
            threads: number("Threads"),
        }
    }

    /// The descriptors whose target starts with `prefix`, say `"socket:"`.
    pub fn targets<'census>(&'census self, prefix: &'census str) -> impl Iterator<Item = (i32, &'census Descriptor)> {
        let matching = self.descriptors.iter().filter(move |(_, descriptor)| descriptor.target.starts_with(prefix));
        matching.map(|(number, descriptor)| (*number, descriptor))
    }
}

/// Whether a signal is in one of a process's masks, say `ShdPnd`: the signals that wait for it (proc_pid_status(5)).
/// `false` if the process is gone.
#[must_use]
pub fn is_in_mask(pid: Pid, mask: &str, signal: Signal) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    signal_set(value(&status, mask)).contains(&(signal as u32))
}

fn value<'status>(status: &'status str, key: &str) -> &'status str {
    status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).unwrap_or_default().trim()
}

fn descriptors(proc: &Path) -> BTreeMap<i32, Descriptor> {
    let entries = fs::read_dir(proc.join("fd")).expect("the descriptors of our own process can be listed");
    let number = |entry: std::io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse::<i32>().ok();
    // A descriptor that is closed while we look is not part of the census.
    let look = |number: i32| {
        let target = fs::read_link(proc.join(format!("fd/{number}"))).ok()?.to_string_lossy().into_owned();
        let info = fs::read_to_string(proc.join(format!("fdinfo/{number}"))).ok()?;
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
        let flags = i32::from_str_radix(flags.trim(), 8).ok()?;
        Some((number, Descriptor { target, cloexec: flags & OFlag::O_CLOEXEC.bits() != 0 }))
    };
    entries.filter_map(number).filter_map(look).collect()
}

/// Bit `n - 1` of the hexadecimal mask stands for signal `n`.
fn signal_set(mask: &str) -> BTreeSet<u32> {
    let mask = u64::from_str_radix(mask, 16).unwrap_or_default();
    (1..=64).filter(|signal| mask >> (signal - 1) & 1 == 1).collect()
}

fn environment(environ: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(environ);
    let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}
