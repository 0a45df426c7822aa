// ANCHOR: all
//! Starting a successor, and ending one that is of no use.
//!
//! The invariant: every successor that was started is either serving in our place or reaped; and the only process that
//! is ever signalled is our own child, not yet reaped, whose pid cannot be anybody else's.

use std::io;
use std::os::fd::AsFd as _;

use inherited_fds::Bequest;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::task::spawn_blocking;

use crate::channel::{Channel, Word};
use crate::program::Program;
use crate::spawn::spawn;

/// The name under which a successor finds its end of the channel.
pub(crate) const CHANNEL: &str = "predecessor";

/// A child that is to replace us, or has.
#[derive(Debug)]
pub(crate) struct Successor {
    pid: Pid,
    channel: Channel,
}

impl Successor {
    // ANCHOR: start
    /// Prepares to start `program` with what is bequeathed and a channel on which `hello` waits for it. Takes all the
    /// descriptors that this takes, and starts it when awaited.
    ///
    /// # Errors
    /// If the descriptor limit is reached; then, what execve(2) says: no such file, not executable, …
    pub(crate) fn start(
        program: &Program,
        bequest: Bequest<'_>,
        hello: &Word,
    ) -> io::Result<impl Future<Output = io::Result<Successor>> + use<>> {
        let (channel, theirs) = Channel::new()?;
        // Before it is started, so that it never has to wait for it.
        channel.say(hello);
        let mut bequest = bequest;
        bequest.add(CHANNEL, theirs.as_fd()).map_err(io::Error::other)?;
        let (placements, environment) = (bequest.placements()?, bequest.environment());
        let program = program.clone();
        // Our copies of the far end, this one and the one in its place, are closed when it has its own: or the end of a
        // dead successor would never show.
        Ok(async move { Ok(Successor { pid: spawn(program, placements, environment).await?, channel }) })
    }
    // ANCHOR_END: start

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    pub(crate) fn channel(&self) -> &Channel {
        &self.channel
    }

    // ANCHOR: dismiss
    /// Kills it, if it is still there, and reaps it; says how it ended.
    pub(crate) async fn dismiss(self) -> String {
        let pid = self.pid;
        // A process that is about to end keeps the status it has; one that is not ends now, so the wait is short. The
        // channel is closed only after that: whoever hears its end believes that we are gone, and would serve.
        let _ = kill(pid, Signal::SIGKILL);
        match spawn_blocking(move || waitpid(pid, None)).await {
            Ok(Ok(WaitStatus::Exited(_, status))) => format!("it exited with status {status}"),
            Ok(Ok(WaitStatus::Signaled(_, Signal::SIGKILL, _))) => "it was killed".to_owned(),
            Ok(Ok(WaitStatus::Signaled(_, signal, _))) => format!("it died by {signal}"),
            _ => "it ended".to_owned(),
        }
    }
    // ANCHOR_END: dismiss
}

// ANCHOR: keep_children
/// Makes the kernel keep our children until they are reaped, which it does not if whoever started us ignores SIGCHLD
/// (wait(2)): a pid could be somebody else's before we know that the child has ended.
///
/// # Errors
/// None that sigaction(2) knows for this signal.
pub(crate) fn keep_children_until_reaped() -> io::Result<()> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: sigaction(2) may only install a handler that is async-signal-safe; SIG_DFL is no handler at all.
    unsafe { sigaction(Signal::SIGCHLD, &default) }?;
    Ok(())
}
// ANCHOR_END: keep_children
// ANCHOR_END: all
