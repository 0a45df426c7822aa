//! How a process that can be replaced begins: what it inherits, what it listens on, and which program would succeed it.
//!
//! The invariant: everything that can fail fails before this process says that it is ready. Then nothing is left behind, and
//! its predecessor goes on serving.

use std::collections::BTreeSet;
use std::ffi::c_int;
use std::fs;
use std::io;
use std::mem;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use graceful_shutdown::Address;
use inherited_fds::{AddError, Inherited, PassedFds};
use signal_channel::{Receiver, Signal, notify, outlives_its_terminal};
use signal_hook::low_level::unregister;
use signal_hook::{SigId, flag};
use tokio::sync::mpsc;

use crate::channel::{Files, Message, receive_now, send_now};
use crate::error::StartError;
use crate::listeners::Listeners;
use crate::observe::Observe;
use crate::program::Program;
use crate::runner::{Runner, Step};
use crate::serve::Serve;
use crate::successor::keep_children_until_reaped;

/// The name under which a successor finds its end of the channel to its predecessor.
pub(crate) const CHANNEL: &str = "predecessor";

/// How many other descriptors a server needs to start a successor: for the runtime, the channel, what is open only for
/// a moment, and a few clients.
const OTHERS: usize = 16;

/// The signals that mean a graceful stop.
const STOPS: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a drain may take, at the end of the server or of an old generation, before the rest is cut. One that is too
    /// long for the clock, such as [`Duration::MAX`], means no deadline.
    pub drain_timeout: Duration,
    /// How long a successor may take until it is ready; then it is killed, and the old process goes on serving.
    pub ready_timeout: Duration,
}

/// What else a successor gets, by name.
pub(crate) type Pass = Box<dyn FnMut() -> io::Result<Vec<(String, OwnedFd)>> + Send>;

/// A process that can replace its own program.
///
/// The order matters. [`from_env`](Self::from_env) comes first in `main`, while there is one thread; then
/// [`listen`](Self::listen); then a runtime, and whatever the server needs; and once it could accept, [`run`](Self::run). A
/// wrong order is an error.
///
/// ```no_run
/// # use std::{convert::Infallible, process::ExitCode, time::Duration};
/// # use graceful_upgrade::{Limits, Services, Upgrader};
/// # use hyper::{Request, Response, body::Incoming, service::service_fn};
/// fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
///     let limits = Limits { drain_timeout: Duration::from_secs(5), ready_timeout: Duration::from_secs(10) };
///     let mut upgrader = Upgrader::from_env(limits)?;
///     upgrader.listen([("web".to_owned(), "127.0.0.1:48567".parse()?)])?;
///     let runtime = tokio::runtime::Runtime::new()?;
///     let ended = runtime.block_on(async {
///         let mut services = Services::new();
///         services.add("web", service_fn(async |_: Request<Incoming>| {
///             Ok::<_, Infallible>(Response::new("hello\n".to_owned()))
///         }));
///         upgrader.run(services).await
///     });
///     // Waits for nothing: a handler that blocks its thread would outlive every deadline.
///     runtime.shutdown_background();
///     Ok(ended?)
/// }
/// ```
pub struct Upgrader {
    pub(crate) limits: Limits,
    pub(crate) stop_timeout: Duration,
    pub(crate) generation: u64,
    pub(crate) older: u8,
    pub(crate) program: Program,
    /// A receiver of its own: a stop is never lost behind a flood of other signals.
    pub(crate) stops: Receiver,
    /// Whether a stop was ever caught: true from the moment its handler ran.
    pub(crate) stop_caught: Arc<AtomicBool>,
    /// The handler that counts SIGHUP as a stop; `None` if it is ignored, or means an upgrade.
    hangup: Option<SigId>,
    pub(crate) upgrades: Receiver,
    inherited: Inherited,
    /// Whether a predecessor started this process, or a supervisor that outlives it: no other one waits for its end.
    pub(crate) started_by_us: bool,
    pub(crate) predecessor: Option<OwnedFd>,
    /// Files of unix sockets that the predecessor leaves to the last generation.
    files: Files,
    pub(crate) listeners: Listeners,
    /// What the predecessor passed on and this program has no use for.
    pub(crate) unused: BTreeSet<String>,
    pub(crate) pass: Vec<Pass>,
    pub(crate) observers: Vec<Box<dyn Observe>>,
    rejecter: Rejecter,
    pub(crate) rejections: mpsc::UnboundedReceiver<String>,
}

/// Takes the turn back from a successor that accepts and is no good, while this process still drains.
#[derive(Debug, Clone)]
pub struct Rejecter(mpsc::UnboundedSender<String>);

impl Rejecter {
    /// Kills the successor and accepts again. Does nothing if there is no successor, or if it is too late to come back.
    pub fn reject(&self, reason: impl Into<String>) {
        // `Err`: this process is about to end.
        let _ = self.0.send(reason.into());
    }
}

impl Upgrader {
    /// Takes what this process was started with: by its predecessor, by a service manager with sockets, or by a shell. From
    /// now on, SIGINT, SIGTERM, SIGHUP and SIGQUIT wait for [`run`](Self::run) and mean a graceful stop, and SIGUSR2 an
    /// upgrade.
    ///
    /// # Errors
    /// If other threads run: a signal that one of them got would be lost, and they might read the environment, from which
    /// the variables of the protocol are removed. `#[tokio::main]` starts threads first; use it with
    /// `flavor = "current_thread"`, or build the runtime afterwards. Also if what was inherited is not what was promised.
    pub fn from_env(limits: Limits) -> Result<Upgrader, StartError> {
        let threads = fs::read_dir("/proc/self/task").map_err(StartError::Program)?.count();
        if threads != 1 {
            return Err(StartError::Threads(threads));
        }
        keep_children_until_reaped()?;
        let (inherited, mut predecessor) = Inherited::from_parent(CHANNEL)?;
        let program = Program::of_this_process(predecessor.is_some()).map_err(StartError::Program)?;
        let handshake = predecessor.as_ref().map(receive_now).transpose().map_err(StartError::Handshake)?;
        let (generation, older, files) = match handshake {
            // The one after it has a number, too.
            Some(Message::Handshake { generation, older, files }) if generation < u64::MAX => {
                (generation, older, files)
            }
            Some(_) => return Err(StartError::Handshake(io::ErrorKind::InvalidData.into())),
            None => (1, 0, Files::default()),
        };
        let started_by_us = predecessor.is_some();
        if older == 0 {
            // A supervisor started us, and is not a generation.
            predecessor = None;
        }
        // Long before we say that we are ready: a process that serves must hear its signals.
        let stop_caught = Arc::new(AtomicBool::new(false));
        let mut hangup = None;
        for signal in STOPS.into_iter().filter(|signal| !outlives_its_terminal(*signal)) {
            let id = flag::register(signal as c_int, Arc::clone(&stop_caught))?;
            hangup = hangup.or((signal == Signal::SIGHUP).then_some(id));
        }
        let stops = notify(&STOPS)?;
        let upgrades = notify(&[Signal::SIGUSR2])?;
        let (listeners, unused) = (Listeners::default(), BTreeSet::new());
        let (pass, observers, stop_timeout) = (Vec::new(), Vec::new(), limits.drain_timeout);
        let (sender, rejections) = mpsc::unbounded_channel();
        let rejecter = Rejecter(sender);
        #[rustfmt::skip]
        let begun = Upgrader {
            limits, stop_timeout, generation, older, program, stops, stop_caught, hangup, upgrades, inherited, started_by_us,
            predecessor, files, listeners, unused, pass, observers, rejecter, rejections,
        };
        Ok(begun)
    }

    /// Makes SIGHUP mean an upgrade, as it does to a service manager that asks for a reload with it. Call it right after
    /// [`from_env`](Self::from_env): a SIGHUP that came before is a stop, and a SIGUSR2 is lost.
    ///
    /// # Errors
    /// If no descriptor or no thread is left.
    pub fn upgrade_on_hangup(&mut self) -> io::Result<()> {
        let stops: Vec<_> = STOPS.into_iter().filter(|signal| *signal != Signal::SIGHUP).collect();
        let stops = notify(&stops)?;
        let upgrades = notify(&[Signal::SIGUSR2, Signal::SIGHUP])?;
        self.hangup.take().map(unregister);
        // A stop that came before is in the old receiver. One that comes after this is in both, or in the new one.
        if !self.stop_caught.load(SeqCst) {
            (self.stops, self.upgrades) = (stops, upgrades);
        }
        Ok(())
    }

    /// For a supervisor that starts the first generation and passes it sockets: adds the channel that shows the new
    /// process that they are for it. Keep the returned end open until the process has begun.
    ///
    /// # Errors
    /// If the descriptor limit is reached.
    pub fn vouch(passed: &mut PassedFds) -> Result<OwnedFd, StartError> {
        let channel = passed.add_channel(CHANNEL)?;
        send_now(&channel, &Message::Handshake { generation: 1, older: 0, files: Files::default() })?;
        Ok(channel)
    }

    /// 1 for the first process, and one more with each upgrade.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The path of the program that an upgrade would start.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program.path
    }

    /// Takes an inherited descriptor that is not a listener, by name: see [`pass`](Self::pass). Call it before
    /// [`listen`](Self::listen), which closes what was not taken.
    pub fn take(&mut self, name: &str) -> Option<OwnedFd> {
        self.inherited.take(name)
    }

    /// Listens on these addresses: with the sockets that were inherited for them, or with new ones. The sockets go to
    /// the successor under these names: 1 to 255 printable ASCII characters without a colon (`FileDescriptorName=` in
    /// systemd.socket(5)). Call it once, with all of them: what was inherited and is not among them is closed.
    ///
    /// # Errors
    /// If one cannot be listened on, or cannot be passed on. Nothing is left behind.
    pub fn listen(&mut self, asked: impl IntoIterator<Item = (String, Address)>) -> Result<(), StartError> {
        let mut inherited = std::mem::take(&mut self.inherited);
        self.listeners = Listeners::claim_or_bind(asked, &mut inherited, &self.files)?;
        // An inherited listener that is held and never accepted from would keep its clients waiting for ever. Our
        // predecessor answers those that wait; if there is none, `finish` logs a warning.
        self.unused = inherited.names().map(str::to_owned).collect();
        if self.predecessor.is_none() {
            inherited.finish()?;
        }
        // What cannot be passed on is refused now, not at the first upgrade. By then, the server has copies as well.
        let copies = [self.listeners.pass()?, self.listeners.pass()?];
        // Fewer for a successor, which has a channel to its predecessor: where the first generation had enough, a
        // successor must not find that it lacks some.
        let others = if self.predecessor.is_none() { OTHERS } else { OTHERS / 2 };
        let others: io::Result<Vec<_>> = (0..others).map(|_| io::stdin().as_fd().try_clone_to_owned()).collect();
        others.map_err(AddError::Copy)?;
        drop(copies);
        Ok(())
    }

    /// Gives each successor more than the listeners: `pass` makes it anew for each, by name. The successor
    /// [takes](Self::take) it; what it does not take is closed. If `pass` fails, so does the upgrade.
    pub fn pass(&mut self, pass: impl FnMut() -> io::Result<Vec<(String, OwnedFd)>> + Send + 'static) {
        self.pass.push(Box::new(pass));
    }

    /// Tells `observer` of every [`Transition`](crate::Transition) in the life of this process.
    pub fn observe(&mut self, observer: impl Observe + 'static) {
        self.observers.push(Box::new(observer));
    }

    /// Gives a drain after a stop another timeout than [`Limits::drain_timeout`], which is then that of an old generation.
    pub fn stop_within(&mut self, stop_timeout: Duration) {
        self.stop_timeout = stop_timeout;
    }

    /// Waits for `work`, which has to be done before this process is ready. A stop ends the first generation meanwhile: `Err` is
    /// the signal. A successor goes on: its predecessor has to hear of the stop, and does once this process is ready.
    ///
    /// # Errors
    /// The signal that asked for a stop.
    pub async fn unless_stopped<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Signal> {
        tokio::select! {
            biased;
            Some(signal) = self.stops.recv(), if self.predecessor.is_none() => Err(signal),
            done = work => Ok(done),
        }
    }

    /// For code that watches how a successor does.
    #[must_use]
    pub fn rejecter(&self) -> Rejecter {
        self.rejecter.clone()
    }

    // ANCHOR: run
    /// Says that this process is ready, and serves until it is replaced or stopped: SIGINT, SIGTERM, SIGHUP or SIGQUIT stop it
    /// gracefully, SIGUSR2 starts the program on disk in its place. Returns the exit status of the outcome (see
    /// [`Outcome::code`](graceful_shutdown::Outcome::code)), or dies by the second signal that asked it to stop.
    ///
    /// # Errors
    /// If the runtime cannot wait on a descriptor, or the listeners cannot be accepted from.
    pub async fn run(self, mut server: impl Serve) -> io::Result<ExitCode> {
        let mut runner = self.ready()?;
        let ending = loop {
            match runner.next(server.drained()).await {
                Step::Accept(listeners) => {
                    if let Err(error) = server.accept(listeners) {
                        runner.cannot_accept(error);
                    }
                }
                Step::Retire(abandoned) => server.retire(abandoned),
                Step::Stop => server.stop(),
                Step::End(ending) => break ending,
            }
        };
        let outcome = server.cut().await;
        outcome.report();
        // Observers first: a process that dies by a signal drops nothing.
        drop(runner);
        ending.code(outcome)
    }

    /// Says that this process is ready to accept, and returns the runner, which tells it when to. For code that drives
    /// a server itself; [`run`](Self::run) is a loop around it.
    ///
    /// # Errors
    /// If the runtime cannot wait on the channel to the predecessor: epoll_ctl(2).
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn ready(self) -> io::Result<Runner> {
        Runner::new(self)
    }
    // ANCHOR_END: run
}

impl Drop for Upgrader {
    /// Leaves the channel open, as a [`Runner`] does: `main` still has to say what went wrong.
    fn drop(&mut self) {
        mem::forget(self.predecessor.take());
    }
}
