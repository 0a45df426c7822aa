// ANCHOR: all
//! Starting a process, at the same cost however large this one is.
//!
//! The invariant: what the new process does not get is not copied for it either, neither memory nor descriptors.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, RawFd};
use std::thread;

use inherited_fds::Placements;
use nix::errno::Errno;
use nix::libc;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::Pid;
use tokio::sync::oneshot;

use crate::program::Program;

// ANCHOR: apart
/// Starts `program` with copies of what is in `placements`, from a thread of its own.
///
/// # Errors
/// If there can be no more threads; what execve(2) says: no such file, not executable, …
pub(crate) async fn spawn(program: Program, placements: Placements, environment: Vec<CString>) -> io::Result<Pid> {
    let (started, starts) = oneshot::channel();
    let start = move || {
        let above = placements.iter().map(|(copy, _)| copy.as_raw_fd() + 1).max().unwrap_or(0);
        leave_descriptors(above);
        let pid = posix_spawn_with(&placements, above, &program, &environment);
        // The placements go back: closed here, they would still be open everywhere else.
        let _ = started.send((pid, placements));
    };
    // The call returns when the child has come to its exec, and its thread cannot do anything else until then.
    thread::Builder::new().name("spawn".to_owned()).spawn(start)?;
    let (pid, _placements) = starts.await.map_err(io::Error::other)?;
    Ok(pid?)
}

/// Gives this thread a descriptor table of its own, without those that are numbered `above` or higher.
///
/// A child gets a copy of the table, and its exec(2) closes one by one what is CLOEXEC. With ten thousand connections that is
/// three milliseconds in the kernel, which lets nobody else run on that processor meanwhile. `CLOSE_RANGE_UNSHARE`
/// (close_range(2)) copies only what is below.
fn leave_descriptors(above: RawFd) {
    let above = libc::c_uint::try_from(above).unwrap_or(libc::c_uint::MAX);
    let flags = libc::c_int::try_from(libc::CLOSE_RANGE_UNSHARE).unwrap_or(0);
    // SAFETY: all of this process's other threads keep the table that they have, and this one uses nothing that was in it
    // but what is below. Should the kernel not know the call (before Linux 5.9), nothing happens.
    unsafe { libc::close_range(above, libc::c_uint::MAX, flags) };
}
// ANCHOR_END: apart

// ANCHOR: spawn
/// Starts a process without copying this one's memory.
///
/// fork(2) copies the page tables, which takes a large server tens of milliseconds in which its threads stall on page
/// faults. posix_spawn(3) shares the memory until exec, so it takes the same time for every size.
fn posix_spawn_with(
    placements: &Placements,
    above: RawFd,
    program: &Program,
    environment: &[CString],
) -> Result<Pid, Errno> {
    let mut actions = PosixSpawnFileActions::init()?;
    if let Some((copy, _)) = placements.iter().next()
        && let Some(highest) = highest_descriptor()
        && highest >= above
    {
        // A table grows by doubling, and each time all threads of a process wait for a grace period of RCU: eight times some
        // ten milliseconds, if ten thousand connections come over. In a process with one thread, it costs nothing.
        actions.add_dup2(copy.as_raw_fd(), highest)?;
        actions.add_close(highest)?;
    }
    for (copy, target) in placements.iter() {
        actions.add_dup2(copy.as_raw_fd(), target)?;
    }
    // Rust ignores SIGPIPE from the start, ignored signals stay ignored across exec, and the program on disk need not be
    // one in Rust. All else — the mask, the other dispositions — is passed on as we got it.
    let mut attributes = PosixSpawnAttr::init()?;
    let mut flags = PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF;
    attributes.set_sigdefault(&SigSet::from(Signal::SIGPIPE))?;
    if std::process::id() == 1 {
        // A keeper passes signals on: the terminal's, which go to a whole process group, must not come twice.
        flags |= PosixSpawnFlags::POSIX_SPAWN_SETPGROUP;
        attributes.set_pgroup(Pid::from_raw(0))?;
    }
    attributes.set_flags(flags)?;
    posix_spawn(program.c_path().as_c_str(), &actions, &attributes, program.arguments(), environment)
}

/// The highest number for which this process's table has room (`FDSize`, proc_pid_status(5)) and its limit, too; `None` if
/// that is no more than every table has.
fn highest_descriptor() -> Option<RawFd> {
    const EVERY: u64 = 64;
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let size = status.lines().find_map(|line| line.strip_prefix("FDSize:")?.trim().parse::<u64>().ok())?;
    let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    let room = size.min(limit);
    if room > EVERY { RawFd::try_from(room - 1).ok() } else { None }
}
// ANCHOR_END: spawn
// ANCHOR_END: all
