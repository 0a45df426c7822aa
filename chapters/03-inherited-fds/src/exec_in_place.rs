//! Replacing the program of this process: execve(2) alone. The pid stays.
//!
//! The invariant: it happens or it does not. A descriptor that has to make room is kept until exec has succeeded, and
//! put back if it has not.

use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::execve;

use crate::bequest::{Bequest, Placements, copy_above};
use crate::image::Image;
use crate::process;
use crate::protocol::PID;

impl Bequest<'_> {
    // ANCHOR: exec
    /// Replaces the program that runs in this process by `program`, which gets this bequest.
    ///
    /// Returns only if that failed, and then this process is as it was. What is not in the bequest ends: no destructor
    /// runs, and handlers of signals are gone. The rest is as with [`Bequest::fork_exec`].
    ///
    /// # Errors
    /// What execve(2) says; also if other threads run: exec would end them wherever they are, and until then they would
    /// see descriptors change under their hands.
    pub fn exec(&self, program: &Path, args: &[OsString]) -> io::Result<Infallible> {
        let threads = process::threads()?;
        if threads != 1 {
            return Err(io::Error::other(format!("{threads} threads run, and exec would end them; join all but one")));
        }
        let mut image = Image::new(self, program, args)?;
        image.environment.push(CString::new(format!("{PID}={}", std::process::id()))?);
        let placements = self.placements()?;
        let _displaced = Displaced::by(&placements)?;
        let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        // SAFETY: sigaction(2) may only install a handler that is async-signal-safe; SIG_DFL is none at all.
        let before = unsafe { sigaction(Signal::SIGPIPE, &default) }?;
        let Err(errno) = execve(&image.program, &image.arguments, &image.environment);
        // SAFETY: this action was installed before.
        unsafe { sigaction(Signal::SIGPIPE, &before) }?;
        Err(errno.into())
    }
    // ANCHOR_END: exec
}

// ANCHOR: displaced
/// The descriptors that had to make room. Dropping it puts them back.
struct Displaced(Vec<(RawFd, Option<Kept>)>);
// ANCHOR_END: displaced

/// A descriptor that stood where another one has to be.
struct Kept {
    /// A copy above all targets.
    copy: OwnedFd,
    /// Whether the original had CLOEXEC.
    cloexec: bool,
}

impl Displaced {
    /// Puts each placement at its target.
    fn by(placements: &Placements) -> io::Result<Displaced> {
        let mut displaced = Displaced(Vec::new());
        for (copy, target) in placements.iter() {
            let kept = keep(target, placements.above())?;
            // SAFETY: dup2(2) takes two numbers. The owner of `target`, if any, is not running (there is one thread),
            // and finds its descriptor in its place when we return.
            Errno::result(unsafe { libc::dup2(copy.as_raw_fd(), target) })?;
            displaced.0.push((target, kept));
        }
        Ok(displaced)
    }
}

impl Drop for Displaced {
    fn drop(&mut self) {
        for (target, kept) in &self.0 {
            match kept {
                Some(Kept { copy, cloexec }) => {
                    let flags = if *cloexec { libc::O_CLOEXEC } else { 0 };
                    // SAFETY: at `target` is what we put there, and that has no owner. Both descriptors are open.
                    unsafe { libc::dup3(copy.as_raw_fd(), *target, flags) };
                }
                // SAFETY: as above.
                None => drop(unsafe { OwnedFd::from_raw_fd(*target) }),
            }
        }
    }
}

/// Copies what stands at `target` out of the way. `None`: nothing does.
fn keep(target: RawFd, above: RawFd) -> io::Result<Option<Kept>> {
    // SAFETY: F_GETFD reads a flag, takes no pointer, and says EBADF if the number is not open (fcntl(2)).
    let flags = unsafe { libc::fcntl(target, libc::F_GETFD) };
    if flags == -1 {
        return Ok(None);
    }
    // SAFETY: it is open, and no other thread could close it meanwhile (there is none).
    let original = unsafe { BorrowedFd::borrow_raw(target) };
    Ok(Some(Kept { copy: copy_above(original, above)?, cloexec: flags & libc::FD_CLOEXEC != 0 }))
}
