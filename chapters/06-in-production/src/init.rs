//! What runs as process 1, say in a container: not the server, but a supervisor that stays while generations come and go.
//!
//! The invariant: process 1 ends when the last generation has ended, and not before: when it ends, the kernel kills
//! every process of its namespace (`pid_namespaces(7)`), the successor among them. Other processes can take a container
//! with them, too, and there the supervisor stands in their place: the child of a small init, which ends with it, and the first
//! process of a container that shares its namespace (`shareProcessNamespace: true`), whose process 1 is another container's.
//!
//! Every generation inherits one end of a channel. The one that begins to accept sends a handle of its process on it (a
//! pidfd): a pid may be another process's by the time that it is read. The end of the channel says that no generation is left.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixDatagram as StdSocket;
use std::process::ExitCode;
use std::{env, fs};

use graceful_upgrade::lifecycle::Action;
use graceful_upgrade::{Observe, Program, StartError, Transition, Upgrader, container_init};
use inherited_fds::{Inherited, PassedFds};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::getppid;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use rustix::process::{Pid, PidfdFlags, getpid, pidfd_open, pidfd_send_signal};
use signal_channel::{Receiver, Signal, notify};
use tokio::io::Interest;
use tokio::net::UnixDatagram;

/// The name under which a generation finds its end of the channel.
pub(crate) const INIT: &str = "init";

/// If this is process 1, or a container ends with us, or a supervisor is wanted anywhere: starts this program once more,
/// as the first generation, passes signals on to the generations, and reaps orphans; returns the exit status once no
/// generation is left. `None` in any other process, which then serves. Call it first thing in `main`.
///
/// # Errors
/// If the first generation cannot be started.
pub fn supervise(anywhere: bool) -> Result<Option<ExitCode>, StartError> {
    // Every generation runs this, too, with the same options.
    let is_supervisor = std::process::id() == 1 || !is_a_generation() && (anywhere || a_container_ends_with_us());
    if !is_supervisor {
        return Ok(None);
    }
    // Process 1 reaps orphans anyway.
    set_child_subreaper(true).map_err(io::Error::from)?;
    let program = Program::of_this_process(false).map_err(StartError::Program)?;
    let inherited = Inherited::from_env()?;
    // A receiver of its own, as in every generation: a stop is never lost in a flood of other signals.
    let stops = notify(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT])?;
    let others = notify(&[Signal::SIGUSR2, Signal::SIGCHLD])?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(until_none_is_left(program, inherited, stops, others)).map(Some)
}

/// Whether a supervisor or a predecessor has started this process: its sockets are not addressed to its pid, as those of
/// systemd are. A successor whose predecessor has just ended is an orphan, and process 1 is its parent.
fn is_a_generation() -> bool {
    env::var_os("LISTEN_FDS").is_some() && env::var_os("LISTEN_PID").is_none()
}

/// Whether this is the first process of a container, or the child of a small init that is (`docker run --init`, tini, a
/// shell) and ends when its child does. If others stand between, say a second shell, an upgrade only logs a warning.
///
/// `docker exec` starts a process in the same way as a container's first one. There a supervisor does no harm.
fn a_container_ends_with_us() -> bool {
    let parent = getppid().as_raw();
    // In a PID namespace, a parent outside it has the pid 0. So it is for process 1, and for a process that a container engine
    // starts in there.
    parent == 0 || container_init().is_some() && parent_of(parent) == Some(0)
}

/// `None` if it has ended, or is hidden from us.
fn parent_of(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
}

async fn until_none_is_left(
    program: Program,
    inherited: Inherited,
    mut stops: Receiver,
    mut others: Receiver,
) -> Result<ExitCode, StartError> {
    let (channel, first, _vouched) = start(&program, inherited)?;
    let mut generations = Generations { alive: vec![first], serving: false, are_over: false, told: None, worst: 0 };
    // ANCHOR: supervise
    while !(generations.are_over && generations.alive.is_empty()) {
        let signal = tokio::select! {
            biased;
            Some(signal) = stops.recv() => Some(signal),
            Some(signal) = others.recv() => Some(signal),
            message = channel.async_io(Interest::READABLE, || receive(&channel)), if !generations.are_over => {
                generations.hear(message?);
                None
            }
        };
        // Messages from before the signal, even if the runtime does not know of them yet.
        while !generations.are_over {
            match receive(&channel) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                message => generations.hear(message?),
            }
        }
        // Each time, not only after SIGCHLD: in a flood of signals that may be the one that is dropped. And first: of two generations
        // the last one may be gone, and the other one in charge again.
        generations.reap();
        match signal {
            Some(Signal::SIGUSR2) => generations.upgrade(),
            Some(Signal::SIGCHLD) | None => {}
            Some(stop) => generations.stop(stop),
        }
    }
    Ok(ExitCode::from(generations.worst))
    // ANCHOR_END: supervise
}

/// The generations that process 1 knows.
struct Generations {
    /// Those that are not reaped yet: the first one, and those that have said that they serve, in this order. The last
    /// one serves.
    alive: Vec<Generation>,
    /// Whether one has said so. Before that, the first one may not listen to signals yet.
    serving: bool,
    /// Whether the channel has ended: there will be no other generation.
    are_over: bool,
    /// The signal that told us to stop.
    told: Option<Signal>,
    /// The worst exit status of those that have ended.
    worst: u8,
}

struct Generation {
    pid: i32,
    /// A signal that is sent to it reaches this process or none.
    handle: OwnedFd,
}

impl Generations {
    // ANCHOR: hear
    /// The handle of a generation that begins to serve, or the end of the channel.
    fn hear(&mut self, message: Option<OwnedFd>) {
        let Some(handle) = message else {
            self.are_over = true;
            return;
        };
        self.serving = true;
        // `None`: its predecessor has dismissed and reaped it.
        let Some(generation) = Generation::of(handle) else { return };
        // A known generation has come back. It has reaped its successor, so it is the last one again.
        if !self.alive.iter().any(|known| known.pid == generation.pid) {
            // A stop concerns every generation. This one was not known yet when the stop came.
            self.told.iter().for_each(|signal| generation.send(*signal));
            self.alive.push(generation);
        }
    }

    /// Tells every generation, since in the middle of an upgrade it cannot know which one is in charge; an old one
    /// drains in any case. A second stop ends all of them at once.
    fn stop(&mut self, signal: Signal) {
        self.told = Some(signal);
        self.alive.iter().for_each(|generation| generation.send(signal));
    }
    // ANCHOR_END: hear

    fn upgrade(&self) {
        match self.alive.last() {
            Some(generation) if self.serving => generation.send(Signal::SIGUSR2),
            _ => tracing::warn!("upgrade refused: no process serves yet; ask again when one does"),
        }
    }

    /// Reaps every process that has ended. A generation is an orphan once its predecessor has ended, so all of them end
    /// up here, except those that were dismissed.
    fn reap(&mut self) {
        loop {
            let (pid, status) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, status)) => (pid, u8::try_from(status).unwrap_or(u8::MAX)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => {
                    tracing::debug!(%pid, %signal, "reaped");
                    (pid, 128 + signal as u8)
                }
                _ => break,
            };
            let ended = |generation: &Generation| generation.pid == pid.as_raw();
            if self.alive.iter().any(ended) {
                self.worst = self.worst.max(status);
                if status > 128 {
                    tracing::error!(%pid, status, "a generation was killed");
                }
            }
        }
        self.alive.retain(|generation| !matches!(pid(&generation.handle), Ok(None)));
    }
}

impl Generation {
    /// `None` if it is reaped already.
    fn of(handle: OwnedFd) -> Option<Generation> {
        Some(Generation { pid: pid(&handle).ok()??, handle })
    }

    fn send(&self, signal: Signal) {
        let signal = rustix::process::Signal::from_named_raw(signal as i32);
        // `Err`: it has ended.
        signal.map(|signal| pidfd_send_signal(&self.handle, signal));
    }
}

/// The pid of the process that a pidfd stands for, until it is reaped (proc_pid_fdinfo(5)).
///
/// # Errors
/// If `/proc` cannot be read, for instance because the descriptor limit is reached. That says nothing about the process.
fn pid(handle: &OwnedFd) -> io::Result<Option<i32>> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", handle.as_raw_fd()))?;
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
    Ok(pid.filter(|pid| *pid > 0))
}

/// Starts the first generation, and passes it all that was inherited.
fn start(program: &Program, mut inherited: Inherited) -> Result<(UnixDatagram, Generation, OwnedFd), StartError> {
    let mut passed = PassedFds::new();
    let vouched = Upgrader::vouch(&mut passed)?;
    let channel = StdSocket::from(passed.add_channel(INIT)?);
    channel.set_nonblocking(true)?;
    let channel = UnixDatagram::from_std(channel)?;
    let names: Vec<_> = inherited.names().map(str::to_owned).collect();
    for (index, name) in names.iter().enumerate() {
        // systemd gives all sockets of a unit one name; they are claimed by address.
        let again = names[..index].contains(name);
        let unique = if again { format!("{name}-{index}") } else { name.clone() };
        if let Some(fd) = inherited.take(name) {
            passed.add(&unique, fd.as_fd())?;
        }
    }
    let first = passed.spawn(&program.path, &program.arguments)?.pid();
    tracing::info!(pid = std::process::id(), server = %first, "supervising");
    let first = Pid::from_raw(first.as_raw()).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    // It is our child, and not reaped yet.
    let handle = pidfd_open(first, PidfdFlags::empty()).map_err(io::Error::from)?;
    Ok((channel, Generation { pid: first.as_raw_nonzero().get(), handle }, vouched))
}

/// The process that begins to serve; `None` if no generation is left.
fn receive(channel: &UnixDatagram) -> io::Result<Option<OwnedFd>> {
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut message = [0];
        let mut room = [IoSliceMut::new(&mut message)];
        let received = recvmsg(channel, &mut room, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        let handle = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut handles) => handles.next(),
            _ => None,
        });
        if handle.is_some() || received.bytes == 0 {
            return Ok(handle);
        }
        tracing::error!("a generation serves, and its handle has not come: this process passes no signals on to it");
    }
}

/// Tells the [supervisor](supervise) when this generation begins to serve. Does nothing where there is none.
///
/// # Errors
/// If the descriptor limit is reached.
pub fn report(upgrader: &mut Upgrader) -> io::Result<()> {
    let Some(channel) = upgrader.take(INIT) else { return Ok(()) };
    let passed = channel.try_clone()?;
    upgrader.pass(move || Ok(vec![(INIT.to_owned(), passed.try_clone()?)]));
    let handle = pidfd_open(getpid(), PidfdFlags::empty())?;
    upgrader.observe(Report { channel, handle });
    Ok(())
}

struct Report {
    channel: OwnedFd,
    /// This process.
    handle: OwnedFd,
}

impl Observe for Report {
    fn after(&mut self, transition: &Transition) {
        if !transition.actions.contains(&Action::Accept) {
            return;
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let handle = [self.handle.as_fd()];
        control.push(SendAncillaryMessage::ScmRights(&handle));
        if let Err(error) = sendmsg(&self.channel, &[IoSlice::new(b"s")], &mut control, SendFlags::NOSIGNAL) {
            tracing::error!(%error, "the supervisor does not know that this process serves");
        }
    }
}
