//! A parent that waits until its child is ready, and knows at once if it never will be.

use std::io::{self, PipeReader, Read as _, pipe};
use std::os::fd::AsFd as _;
use std::process::{Child, Command};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How a start ended.
#[derive(Debug)]
pub enum Start {
    /// The child has written something: it is ready.
    Ready(Child),
    /// The child has ended before it was ready.
    Died,
    /// The child is still not ready; it has been killed.
    TooLate,
}

/// Starts `command`, whose standard output says that it is ready.
///
/// # Errors
/// If it cannot be started.
pub fn start(mut command: Command, patience: Duration) -> io::Result<Start> {
    let (mut reader, writer) = pipe()?;
    let child = command.stdout(writer).spawn()?;

    if !readable_within(&reader, patience)? {
        return Ok(Start::TooLate);
    }
    match reader.read(&mut [0])? {
        0 => Ok(Start::Died),
        _ => Ok(Start::Ready(child)),
    }
}

/// Whether there is something to read, or the end of the file, before `patience` is over.
fn readable_within(reader: &PipeReader, patience: Duration) -> io::Result<bool> {
    let patience = PollTimeout::try_from(patience).map_err(io::Error::other)?;
    Ok(poll(&mut [PollFd::new(reader.as_fd(), PollFlags::POLLIN)], patience)? > 0)
}
