//! Starting a successor, and ending one that is of no use.
//!
//! The invariant: every successor that was started serves in our place or is reaped; and the only process that is ever
//! signalled is our own child.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::thread;
use std::time::Duration;

use inherited_fds::{Child, PassedFds};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::channel::{Channel, Message};
use crate::program::Program;

/// How long one that is told to end may take, which it does only to remove the files of its sockets. One that hangs, or is no
/// program of ours, does not listen, and a stop waits for it meanwhile.
const STOP_GRACE: Duration = Duration::from_millis(250);

/// How long the kernel may take to end a process that was killed. It takes a millisecond; one that hangs in a system call
/// cannot be waited for.
const KILL_GRACE: Duration = Duration::from_secs(1);

/// A child that is to replace us, or has.
#[derive(Debug)]
pub(crate) struct Successor {
    program: Program,
    channel: Channel,
    process: Process,
}

#[derive(Debug)]
enum Process {
    /// Not yet at its exec(2), which another thread waits for.
    Starting(oneshot::Receiver<io::Result<Child>>),
    Running(Child),
    NotStarted,
}

impl Successor {
    // ANCHOR: start
    /// Starts `program` with what is passed. The other end of `channel` is among that, and on it `handshake` waits.
    ///
    /// # Errors
    /// If there is no thread to be had, or the runtime cannot wait on the channel.
    pub(crate) fn start(
        program: &Program,
        passed: PassedFds,
        channel: OwnedFd,
        handshake: &Message,
    ) -> io::Result<Successor> {
        let channel = Channel::new(channel)?;
        // Before it is started, so that it never has to wait for it.
        channel.send(handshake);
        let (started, starting) = oneshot::channel();
        let Program { path, arguments } = program.clone();
        // The call returns when the child has come to its exec, and a file system may be slow.
        thread::Builder::new().name("spawn".to_owned()).spawn(move || {
            let spawned = passed.spawn(&path, &arguments);
            if let Err(Ok(unwanted)) = started.send(spawned) {
                end(unwanted);
            }
        })?;
        Ok(Successor { program: program.clone(), channel, process: Process::Starting(starting) })
    }
    // ANCHOR_END: start

    pub(crate) fn send(&self, message: &Message) {
        self.channel.send(message);
    }

    /// A message that is there already.
    pub(crate) fn receive_now(&self) -> Option<Message> {
        self.channel.receive_now()
    }

    /// The next message. May be cancelled.
    ///
    /// # Errors
    /// Why it is of no use: it could not be started; or nothing, if it is gone, and its end tells.
    pub(crate) async fn receive(&mut self) -> Result<Message, Option<String>> {
        if let Process::Starting(starting) = &mut self.process {
            let started = starting.await.unwrap_or_else(|_| Err(io::Error::other("its thread died")));
            let path = self.program.path.display();
            match started {
                Ok(child) => {
                    tracing::info!(successor = %child.pid(), program = %path, "upgrading");
                    self.process = Process::Running(child);
                }
                Err(error) => {
                    let reason = format!("cannot start {path}: {error}");
                    self.process = Process::NotStarted;
                    return Err(Some(reason));
                }
            }
        }
        self.channel.receive().await.ok_or(None)
    }

    /// Tells it to end, kills it if it does not, and reaps it; says how it ended, if it ever began.
    pub(crate) async fn dismiss(self) -> Option<String> {
        let mut child = match self.process {
            Process::Running(child) => child,
            // Or it would begin to live when we are gone, and serve.
            Process::Starting(mut starting) => {
                if let Ok(started) = timeout(KILL_GRACE, &mut starting).await {
                    started.ok()?.ok()?
                } else {
                    // Closed, or the thread might put it there after we have looked. It ends then what we did not take.
                    starting.close();
                    starting.try_recv().ok()?.ok()?
                }
            }
            Process::NotStarted => return None,
        };
        self.channel.send(&Message::Stop);
        let end = end_of(&child);
        if let Ok(end) = &end {
            let _ = timeout(STOP_GRACE, end.readable()).await;
        }
        // A process that is about to end keeps the status it has. The channel is closed only after that: a successor that
        // sees its end believes that we are gone, and would serve.
        if let Err(error) = child.signal(Signal::SIGKILL) {
            return Some(format!("it cannot be killed: {error}"));
        }
        if let Ok(end) = end {
            // Either way its status tells.
            let _ = timeout(KILL_GRACE, end.readable()).await;
        }
        let status = child.try_wait().ok().flatten();
        Some(status.map_or_else(|| "it does not end".to_owned(), describe))
    }
}

/// Readable once the child has ended. It was not waited for, so its pid is its own.
///
/// # Errors
/// What pidfd_open(2) and epoll_ctl(2) say.
fn end_of(child: &Child) -> io::Result<AsyncFd<OwnedFd>> {
    let pid = Pid::from_raw(child.pid().as_raw()).ok_or(io::ErrorKind::InvalidInput)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    // SAFETY: the descriptor must stay open and the same for as long as it is registered; an `OwnedFd` is.
    unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) }.map_err(Into::into)
}

fn end(mut child: Child) {
    // `Err`: it has ended already.
    let _ = child.signal(Signal::SIGKILL);
    let _ = child.wait();
}

fn describe(end: ExitStatus) -> String {
    match (end.code(), end.signal()) {
        (Some(status), _) => format!("it exited with status {status}"),
        (None, Some(9)) => "it was killed".to_owned(),
        (None, Some(signal)) => match Signal::try_from(signal) {
            Ok(signal) => format!("it died by {signal}"),
            Err(_) => format!("it died by signal {signal}"),
        },
        (None, None) => "it ended".to_owned(),
    }
}

/// Makes the kernel keep our children until they are reaped, which it does not if SIGCHLD is ignored (wait(2)), as the
/// process that started us may have left it: how a child ended would be lost.
///
/// # Errors
/// None that sigaction(2) knows for this signal.
pub(crate) fn keep_children_until_reaped() -> io::Result<()> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: sigaction(2) may only install a handler that is async-signal-safe; SIG_DFL is no handler at all.
    unsafe { sigaction(Signal::SIGCHLD, &default) }?;
    Ok(())
}
