//! Starting a successor, and ending one that is of no use.
//!
//! The invariant: every successor that was started serves in our place, or is reaped and leaves nothing behind that holds our
//! listeners; and we signal only our own child and the processes to which it has passed on its end of the channel.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::thread;
use std::time::Duration;

use inherited_fds::{AddError, Child, PassedFds};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

use crate::channel::{Channel, Message, receive_now};
use crate::holders::Socket;
use crate::program::Program;
use crate::upgrader::CHANNEL;

/// How long a successor may take to end when it is told to: it only has to remove its socket files. One that hangs, or
/// is not a program of ours, does not react, and a stop waits for it meanwhile.
const STOP_GRACE: Duration = Duration::from_millis(250);

/// How long the kernel may take to end a process that was killed. It takes a millisecond; a process that hangs in a
/// system call may never end.
const KILL_GRACE: Duration = Duration::from_secs(1);

/// How long a process that was killed may hold the channel before we look for another one, which it may have started at
/// the last moment. To look is to read all of `/proc`.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A child that will replace us, or has.
#[derive(Debug)]
pub(crate) struct Successor {
    program: Program,
    channel: Channel,
    /// Its end of the channel.
    far_end: Socket,
    process: Process,
    /// When it counts as gone at the latest, once it was killed.
    gone_by: Option<Instant>,
}

#[derive(Debug)]
enum Process {
    /// Not yet at its exec(2); another thread waits for that.
    Starting(oneshot::Receiver<io::Result<Running>>),
    Running(Running),
    NotStarted,
}

#[derive(Debug)]
struct Running {
    child: Child,
    /// Readable once it has ended. Opened at the start: later, there may be no descriptor left for it.
    end: AsyncFd<OwnedFd>,
}

impl Successor {
    // ANCHOR: start
    /// Starts `program` with what is passed, and with the other end of a new channel, on which `handshake` waits.
    ///
    /// # Errors
    /// If no descriptor or no thread is left, or the runtime cannot wait on the channel.
    pub(crate) fn start(program: &Program, mut passed: PassedFds, handshake: &Message) -> Result<Successor, AddError> {
        let (channel, far_end) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
            .map_err(io::Error::from)?;
        passed.add(CHANNEL, &far_end)?;
        let (channel, far_end) = (Channel::new(channel)?, Socket::of(far_end)?);
        // Before the process is started, so that it never has to wait for the handshake.
        channel.send(handshake);
        let (started, starting) = oneshot::channel();
        let Program { path, arguments } = program.clone();
        let runtime = Handle::current();
        // The call returns when the child has reached its exec, and a file system may be slow.
        thread::Builder::new().name("spawn".to_owned()).spawn(move || {
            let _context = runtime.enter();
            let spawned = passed.spawn(&path, &arguments).and_then(Running::new);
            if let Err(Ok(unwanted)) = started.send(spawned) {
                end(unwanted.child);
            }
        })?;
        Ok(Successor {
            program: program.clone(),
            channel,
            far_end,
            process: Process::Starting(starting),
            gone_by: None,
        })
    }
    // ANCHOR_END: start

    pub(crate) fn send(&self, message: &Message) {
        self.channel.send(message);
    }

    /// The next message. Cancel safe.
    ///
    /// # Errors
    /// Why it could not be started; or `None`, if it is gone, and its exit status tells why.
    pub(crate) async fn receive(&mut self) -> Result<Message, Option<String>> {
        if let Process::Starting(starting) = &mut self.process {
            let started = starting.await.unwrap_or_else(|_| Err(io::Error::other("its thread died")));
            let path = self.program.path.display();
            match started {
                Ok(running) => {
                    tracing::info!(successor = %running.child.pid(), program = %path, "upgrading");
                    self.process = Process::Running(running);
                }
                Err(error) => {
                    let reason = format!("cannot start {path}: {error}");
                    self.process = Process::NotStarted;
                    return Err(Some(reason));
                }
            }
        }
        let Process::Running(running) = &self.process else { return self.channel.receive().await.ok_or(None) };
        tokio::select! {
            // In this order: what it has sent counts, even if it has ended since.
            biased;
            message = self.channel.receive() => message.ok_or(None),
            // The channel does not end with the process if a process that it started in the background holds it, too.
            _ = running.end.readable() => receive_now(&self.channel).map_err(|_| None),
            // It may hang in a system call for ever, and runs no code of its own any more.
            () = sleep_until(self.gone_by.unwrap_or_else(Instant::now)), if self.gone_by.is_some() => Err(None),
        }
    }

    /// Tells it to end, kills it if it does not, reaps it, and kills what it has left behind. Returns how it ended, if it ever
    /// began; and whether it was asked to stop before, and meant the service.
    pub(crate) async fn dismiss(self) -> (Option<String>, bool) {
        // First: a successor that starts to run when we are gone reads it before the end of the channel, and ends.
        self.channel.send(&Message::Stop);
        let running = match self.process {
            Process::Running(running) => Some(running),
            Process::Starting(starting) => started_or_killed(starting, &self.far_end).await,
            Process::NotStarted => None,
        };
        let Some(running) = running else { return (None, false) };
        let end = running.end(STOP_GRACE).await;
        let mut was_told_to_stop = false;
        // The channel ends once no process holds the other end. Until then, some process holds our listeners, too.
        let all_ended = async {
            let mut rest = async || {
                while let Some(message) = self.channel.receive().await {
                    was_told_to_stop |= message == Message::Stop;
                }
            };
            while timeout(LOOK_AGAIN, rest()).await.is_err() {
                kill_holders(&self.far_end);
            }
        };
        let end = match timeout(KILL_GRACE, all_ended).await {
            Ok(()) => end,
            Err(_) => format!("{end}, but a process that it started still holds the listeners"),
        };
        (Some(end), was_told_to_stop)
    }

    /// Kills it. [`receive`](Self::receive) then returns what it has said before, and that it is gone. For one that accepts:
    /// told to stop, it would stop the service, and remove the files of sockets that we are about to accept from.
    pub(crate) fn kill(&mut self) {
        if let Process::Running(running) = &self.process
            && let Err(error) = running.child.signal(Signal::SIGKILL)
        {
            tracing::error!(%error, "cannot kill the successor");
        }
        self.gone_by = Some(Instant::now() + KILL_GRACE);
    }
}

impl Running {
    /// # Errors
    /// If pidfd_open(2) or epoll_ctl(2) fails, so that we cannot wait for it. It is then killed.
    fn new(child: Child) -> io::Result<Running> {
        match end_of(&child) {
            Ok(end) => Ok(Running { child, end }),
            Err(error) => {
                end(child);
                Err(error)
            }
        }
    }

    /// Gives it this long to end, kills it if it does not, and returns how it ended.
    async fn end(mut self, grace: Duration) -> String {
        let _ = timeout(grace, self.end.readable()).await;
        // A process that is already exiting keeps its status. The channel is closed only after this: a successor that
        // sees the end of the channel believes that we are gone, and would serve.
        if let Err(error) = self.child.signal(Signal::SIGKILL) {
            return format!("it cannot be killed: {error}");
        }
        // Its status tells whether it did.
        let _ = timeout(KILL_GRACE, self.end.readable()).await;
        let status = self.child.try_wait().ok().flatten();
        status.map_or_else(|| "it does not end".to_owned(), describe)
    }
}

/// The child once it has reached its exec; one that does not is killed.
async fn started_or_killed(mut starting: oneshot::Receiver<io::Result<Running>>, holds: &Socket) -> Option<Running> {
    if let Ok(started) = timeout(STOP_GRACE, &mut starting).await {
        return started.ok()?.ok();
    }
    // Its pid is not known yet: only its end of the channel leads to it.
    kill_holders(holds);
    if let Ok(started) = timeout(KILL_GRACE, &mut starting).await {
        return started.ok()?.ok();
    }
    // Closed, or the thread might send the child after we have looked. The thread then ends a child that is not taken.
    starting.close();
    starting.try_recv().ok()?.ok()
}

fn kill_holders(socket: &Socket) {
    if let Err(error) = socket.kill_holders() {
        tracing::debug!(%error, "cannot look for the processes of the successor");
    }
}

/// Readable once the child has ended. It has not been waited for, so its pid is still its own.
///
/// # Errors
/// If pidfd_open(2) or epoll_ctl(2) fails.
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

/// Makes the kernel keep our children until they are reaped. If SIGCHLD is ignored (wait(2)), as the process that
/// started us may have left it, the kernel does not, and how a child ended would be lost.
///
/// # Errors
/// None is expected: sigaction(2) accepts this signal.
pub(crate) fn keep_children_until_reaped() -> io::Result<()> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: sigaction(2) may only install a handler that is async-signal-safe; SIG_DFL is no handler at all.
    unsafe { sigaction(Signal::SIGCHLD, &default) }?;
    Ok(())
}
