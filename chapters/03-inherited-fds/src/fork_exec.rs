//! Starting a program in a new process, by hand: fork(2), then execve(2).
//!
//! The invariant: between fork and exec the child calls only async-signal-safe functions (signal-safety(7)). It is a
//! copy of one thread: a lock that another one held at that moment, the allocator's say, is never released there.
//!
//! Fork copies the page tables, so it takes the longer the more memory the parent has. posix_spawn(3) does not;
//! chapter 4 uses it.

use std::ffi::{CString, OsString, c_char, c_int};
use std::fs::File;
use std::io::{self, Read as _};
use std::mem;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::Path;
use std::process;
use std::ptr;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::unistd::{ForkResult, fork, pipe2};

use crate::bequest::{Bequest, Placements, copy_above};
use crate::child::Child;
use crate::image::Image;

impl Bequest<'_> {
    // ANCHOR: fork_exec
    /// Starts `program` as a child process that gets this bequest, with `LISTEN_PID` set as `sd_listen_fds(3)` wants
    /// it.
    ///
    /// The child keeps this thread's signal mask, and signals that are ignored stay ignored, as always across exec.
    /// Only SIGPIPE gets its default action back: Rust's runtime ignores it, and other programs do not expect that.
    ///
    /// # Errors
    /// What fork(2) or execve(2) say, and `EMFILE` if there are no descriptors left. No child is left behind then.
    pub fn fork_exec(&self, program: &Path, args: &[OsString]) -> io::Result<Child> {
        let placements = self.placements()?;
        let image = Image::new(self, program, args)?;
        let (failure, report) = failure_pipe(&placements)?;
        let newborn = Newborn::new(&image, &placements, &report);

        // A signal that came between fork and exec would run our handler in the child, which shares our self-pipes: we
        // would hear of it, and the child would not. Blocked, it waits for the new program.
        let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        // SAFETY: the child of a process with threads may call only async-signal-safe functions (fork(2)). It calls
        // `become_the_program`, which is made of them and never returns.
        let forked = match unsafe { fork() } {
            Ok(ForkResult::Child) => newborn.become_the_program(&mask),
            Ok(ForkResult::Parent { child }) => Ok(Child::new(child)),
            Err(errno) => Err(errno),
        };
        mask.thread_set_mask()?;
        let mut child = forked?;

        // As long as we hold this end, the other one never reads EOF.
        drop(report);
        match read_failure(failure) {
            None => Ok(child),
            Some(errno) => {
                child.wait()?;
                Err(errno.into())
            }
        }
    }
    // ANCHOR_END: fork_exec
}

// ANCHOR: newborn
/// What the child needs, and where. Nothing in it is allocated, grown or freed after the fork.
struct Newborn<'parent> {
    program: *const c_char,
    arguments: Vec<*const c_char>,
    /// Has room for two more: `LISTEN_PID` and the NULL that ends it.
    environment: Vec<*const c_char>,
    placements: &'parent Placements,
    /// Where the errno of a failed exec goes.
    report: &'parent OwnedFd,
}
// ANCHOR_END: newborn

impl<'parent> Newborn<'parent> {
    fn new(image: &'parent Image, placements: &'parent Placements, report: &'parent OwnedFd) -> Newborn<'parent> {
        let mut arguments = pointers(&image.arguments);
        arguments.push(ptr::null());
        let environment = pointers(&image.environment);
        Newborn { program: image.program.as_ptr(), arguments, environment, placements, report }
    }

    // ANCHOR: become
    /// The child's way from fork to exec. Allocates nothing, takes no lock, does not panic, runs no destructor.
    fn become_the_program(mut self, mask: &SigSet) -> ! {
        let listen_pid = listen_pid(process::id());
        self.environment.push(listen_pid.as_ptr().cast());
        self.environment.push(ptr::null());

        restore_default_actions();
        // SAFETY: the mask is valid, and nobody asks for the old one. A signal that waits now meets its default action.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask.as_ref(), ptr::null_mut()) };

        for (copy, target) in self.placements.iter() {
            // SAFETY: dup2(2) takes two numbers. What it closes at `target` is this process's copy, and nothing in this
            // process uses it any more.
            if unsafe { libc::dup2(copy.as_raw_fd(), target) } == -1 {
                self.fail();
            }
        }
        // SAFETY: all three point to NUL-terminated strings, the arrays end in NULL, and all of them are alive:
        // `listen_pid` in this frame, the rest in the copy of the parent's (execve(2)).
        unsafe { libc::execve(self.program, self.arguments.as_ptr(), self.environment.as_ptr()) };
        self.fail()
    }
    // ANCHOR_END: become

    // ANCHOR: fail
    /// Says why through the pipe, which otherwise closes with the exec.
    fn fail(&self) -> ! {
        let errno = Errno::last_raw().to_ne_bytes();
        // SAFETY: the buffer is as long as we say. _exit(2) runs no destructor: everything here is the parent's.
        unsafe {
            libc::write(self.report.as_raw_fd(), errno.as_ptr().cast(), errno.len());
            libc::_exit(127)
        }
    }
    // ANCHOR_END: fail
}

// ANCHOR: default
/// Gives every signal that has a handler its default action, as exec is about to do, and SIGPIPE as well.
fn restore_default_actions() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: zeroes are a valid `sigaction`, to be overwritten; SIG_DFL is no handler that could be unsafe.
        // Numbers that glibc keeps for itself are refused with EINVAL.
        unsafe {
            let mut action: libc::sigaction = mem::zeroed();
            libc::sigaction(signal, ptr::null(), &raw mut action);
            if action.sa_sigaction != libc::SIG_IGN || signal == libc::SIGPIPE {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
    }
}
// ANCHOR_END: default

// ANCHOR: listen_pid
/// `LISTEN_PID=` and the pid, NUL-terminated: `format!` would allocate.
fn listen_pid(pid: u32) -> [u8; 22] {
    let mut variable = *b"LISTEN_PID=\0\0\0\0\0\0\0\0\0\0\0";
    let length = 1 + pid.checked_ilog10().unwrap_or(0) as usize;
    let mut rest = pid;
    for digit in variable.iter_mut().skip(11).take(length).rev() {
        *digit = b"0123456789"[(rest % 10) as usize];
        rest /= 10;
    }
    variable
}
// ANCHOR_END: listen_pid

/// A pipe that exec closes, its writing end above all targets, so no dup2 overwrites it.
fn failure_pipe(placements: &Placements) -> io::Result<(OwnedFd, OwnedFd)> {
    let (reading, writing) = pipe2(OFlag::O_CLOEXEC)?;
    let above = copy_above(writing.as_fd(), placements.above())?;
    Ok((reading, above))
}

/// The errno of a failed exec; `None` once exec has closed the other end.
fn read_failure(from: OwnedFd) -> Option<Errno> {
    let mut errno = [0; size_of::<c_int>()];
    File::from(from).read_exact(&mut errno).ok()?;
    Some(Errno::from_raw(c_int::from_ne_bytes(errno)))
}

/// As execve(2) takes them; the room for two more is what [`Newborn::environment`] needs.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    let mut pointers = Vec::with_capacity(strings.len() + 2);
    pointers.extend(strings.iter().map(|string| string.as_ptr()));
    pointers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_is_written_without_allocating() {
        for pid in [1, 9, 10, 4_194_304, u32::MAX] {
            let variable = listen_pid(pid);
            let text = std::ffi::CStr::from_bytes_until_nul(&variable).expect("it ends in NUL");
            assert_eq!(text.to_str(), Ok(format!("LISTEN_PID={pid}").as_str()));
        }
    }
}
