//! A service in one place: what it listens on, how long things may take, and what operations get.
//!
//! The invariant: everything that can fail fails before this process says that it is ready; then nothing is left behind, and the
//! old process serves on.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use connection_handover::Server;
use graceful_shutdown::{Address, ClientTimeouts, block_on};
use graceful_upgrade::{Limits, Upgrader};
use inherited_fds::PassedFds;
use rustix::io::{FdFlags, fcntl_setfd, ioctl_fionbio};
use signal_channel::die_by;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::control::{self, CONTROL, Control};
use crate::counters::{COUNTERS, Counters};
use crate::fd_reserve::FdReserve;
use crate::init::{self, INIT};
use crate::pid_file::{DIRECTORY, PidFile};
use crate::probation::Probation;
use crate::progress::{Observer, Progress};
use crate::serve::{Parts, Phase};
use crate::setup::Setup;
use crate::systemd::{SYSTEMD, Systemd};

type BoxError = Box<dyn StdError + Send + Sync>;
type Make = fn() -> io::Result<OwnedFd>;

/// Why a service could not be started, in a sentence.
pub struct Error(BoxError);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The sentence, for a `main` that returns it.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl<E: Into<BoxError>> From<E> for Error {
    fn from(error: E) -> Error {
        Error(error.into())
    }
}

impl From<Error> for Box<dyn StdError> {
    fn from(error: Error) -> Box<dyn StdError> {
        error.0
    }
}

/// A service that can be replaced, and how.
///
/// ```no_run
/// use std::process::ExitCode;
///
/// fn main() -> Result<ExitCode, graceful::Error> {
///     graceful::Builder::new().listen("web", "127.0.0.1:48567").run(async |setup| {
///         setup.hyper("web", hyper::service::service_fn(async |_| {
///             Ok::<_, std::convert::Infallible>(hyper::Response::new("hello\n".to_owned()))
///         }));
///         Ok(())
///     })
/// }
/// ```
#[derive(Debug)]
pub struct Builder {
    listen: Vec<(String, String)>,
    udp: Vec<(String, SocketAddr)>,
    keep: Vec<(String, Make)>,
    handover: bool,
    drain_timeout: Duration,
    stop_timeout: Duration,
    ready_timeout: Duration,
    client_timeouts: ClientTimeouts,
    pause: Duration,
    probation: Duration,
    health: Option<(String, String)>,
    control: Option<PathBuf>,
    pid_file: Option<PathBuf>,
    supervised: bool,
    version: String,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder::new()
    }
}

/// A process that listens, and has no service yet.
pub struct Prepared {
    upgrader: Upgrader,
    builder: Builder,
    server: Server,
    shared: Vec<(String, Arc<OwnedFd>)>,
    progress: Progress,
    counters: Arc<Counters>,
    addresses: Arc<Mutex<Vec<(String, Address)>>>,
    program: String,
    systemd: Option<Systemd>,
}

impl Builder {
    /// Listens on nothing yet; hands connections over; waits an hour for the old process's last requests after an upgrade, 25 s
    /// after a stop, 10 s for a new process to be ready, and watches it for 10 s more.
    #[must_use]
    pub fn new() -> Builder {
        Builder {
            listen: Vec::new(),
            udp: Vec::new(),
            keep: Vec::new(),
            handover: true,
            drain_timeout: Duration::from_secs(3600),
            stop_timeout: Duration::from_secs(25),
            ready_timeout: Duration::from_secs(10),
            client_timeouts: ClientTimeouts::default(),
            pause: Duration::ZERO,
            probation: Duration::from_secs(10),
            health: None,
            control: None,
            pid_file: None,
            supervised: false,
            version: String::new(),
        }
    }

    /// Listens at `address`, which is `HOST:PORT` or `unix:PATH`. The name is that of the socket in every generation, and in a
    /// systemd unit (`FileDescriptorName=`).
    #[must_use]
    pub fn listen(mut self, name: impl Into<String>, address: impl Into<String>) -> Builder {
        self.listen.push((name.into(), address.into()));
        self
    }

    /// Binds a UDP socket, which all generations share: see [`Setup::udp`].
    #[must_use]
    pub fn udp(mut self, name: impl Into<String>, address: SocketAddr) -> Builder {
        self.udp.push((name.into(), address));
        self
    }

    /// Keeps a descriptor that all generations share, such as memory: the first one that knows this name makes it. See
    /// [`Setup::kept`].
    #[must_use]
    pub fn keep(mut self, name: impl Into<String>, make: fn() -> io::Result<OwnedFd>) -> Builder {
        self.keep.push((name.into(), make));
        self
    }

    /// Whether open HTTP/1.1 connections go to the new process, or are closed politely. With handover, the old process has
    /// nothing left to do within milliseconds; it stays for the probation all the same.
    #[must_use]
    pub fn handover(self, handover: bool) -> Builder {
        Builder { handover, ..self }
    }

    /// How long an old process may take for its last requests after an upgrade, before it cuts the rest; or a second more than
    /// the [probation](Self::probation), if that is longer.
    #[must_use]
    pub fn drain_timeout(self, drain_timeout: Duration) -> Builder {
        Builder { drain_timeout, ..self }
    }

    /// How long a stop may take, not counting the [pause](Self::pause_before_stop).
    #[must_use]
    pub fn stop_timeout(self, stop_timeout: Duration) -> Builder {
        Builder { stop_timeout, ..self }
    }

    /// How long a new process may take until it is ready. Then it is killed, and the old one serves on.
    #[must_use]
    pub fn ready_timeout(self, ready_timeout: Duration) -> Builder {
        Builder { ready_timeout, ..self }
    }

    /// How long clients may keep a connection without a request, and take for a request's head.
    #[must_use]
    pub fn client_timeouts(self, client_timeouts: ClientTimeouts) -> Builder {
        Builder { client_timeouts, ..self }
    }

    /// How long the service goes on after it was told to stop: [`Setup::readiness`] says no, and everything else is as before.
    /// Balancers and kube-proxy hear of a stop a few seconds late. It is for TCP: the file of a unix socket goes at once.
    #[must_use]
    pub fn pause_before_stop(self, pause: Duration) -> Builder {
        Builder { pause, ..self }
    }

    /// How long the old process stays ready to take over again, from the moment at which the new one accepts. The memory of a
    /// second process is the price.
    #[must_use]
    pub fn probation(self, probation: Duration) -> Builder {
        Builder { probation, ..self }
    }

    /// On probation, the old process asks the new one for `path` on the listener `name`, four times a second. Two answers in a
    /// row that are not 2xx, or take longer than two seconds, and it takes over again.
    #[must_use]
    pub fn health_check(self, name: impl Into<String>, path: impl Into<String>) -> Builder {
        Builder { health: Some((name.into(), path.into())), ..self }
    }

    /// Answers the command `graceful` on a unix socket there (mode 0600).
    #[must_use]
    pub fn control(self, path: impl Into<PathBuf>) -> Builder {
        Builder { control: Some(path.into()), ..self }
    }

    /// Keeps the pid of the process in charge in a file.
    #[must_use]
    pub fn pid_file(self, path: impl Into<PathBuf>) -> Builder {
        Builder { pid_file: Some(path.into()), ..self }
    }

    /// Whether a [supervisor](init::supervise) is wanted wherever this runs: the process that was started then stays until the
    /// last generation has ended. Without, there is one only where a container would end with that process, as far as it can tell.
    #[must_use]
    pub fn supervised(self, supervised: bool) -> Builder {
        Builder { supervised, ..self }
    }

    /// What `graceful status` shows as the version.
    #[must_use]
    pub fn version(self, version: impl Into<String>) -> Builder {
        Builder { version: version.into(), ..self }
    }

    // ANCHOR: run
    /// Runs the service until it is stopped or replaced, on a runtime of its own. Call it first in `main`, while there is one
    /// thread. `init` says what serves each listener, and may wait for what that needs.
    ///
    /// # Errors
    /// Why the service could not be started.
    pub fn run(self, init: impl AsyncFnOnce(&mut Setup) -> Result<(), BoxError>) -> Result<ExitCode, Error> {
        match self.prepare()? {
            ControlFlow::Break(status) => Ok(status),
            ControlFlow::Continue(prepared) => block_on(prepared.serve(init)),
        }
    }
    // ANCHOR_END: run

    /// The first half of [`run`](Self::run), for a `main` with a runtime of its own: call it before that runtime is built. `Break`
    /// if this process was the supervisor ([`supervised`](Self::supervised)): the service has ended, and this is its status.
    ///
    /// # Errors
    /// Why the service could not be started.
    pub fn prepare(self) -> Result<ControlFlow<ExitCode, Prepared>, Error> {
        let mut addresses = Vec::new();
        for (name, address) in &self.listen {
            addresses.push((name.clone(), address.parse::<Address>()?));
        }
        check_names(&self)?;
        if let Some(control) = &self.control {
            addresses.push((CONTROL.to_owned(), Address::Unix(control.clone())));
        }
        if let Some((name, _)) =
            self.health.as_ref().filter(|(name, _)| !self.listen.iter().any(|(known, _)| known == name))
        {
            return Err(format!("the health check asks the listener {name:?}, and there is none").into());
        }
        if let Some(status) = init::supervise(self.supervised)? {
            return Ok(ControlFlow::Break(status));
        }
        // The drain begins before the probation.
        let for_probation = self.probation.saturating_add(Duration::from_secs(1));
        let limits = Limits { drain_timeout: self.drain_timeout.max(for_probation), ready_timeout: self.ready_timeout };
        let mut upgrader = Upgrader::from_env(limits)?;
        let stop_timeout = self.stop_timeout.saturating_add(self.pause);
        upgrader.stop_within(stop_timeout);
        let systemd = Systemd::find(&mut upgrader)?;
        init::report(&mut upgrader)?;
        let mut server = Server::new(self.drain_timeout).with_timeouts(self.client_timeouts);
        if self.handover {
            server.hand_over(&mut upgrader);
        }
        upgrader.observe(FdReserve::for_listeners(addresses.len() + self.udp.len() + self.keep.len())?);
        let (progress, known) = (Progress::new(), Arc::default());
        let probation = Probation { lasts: self.probation, health: self.health.clone(), addresses: Arc::clone(&known) };
        let rejecter = upgrader.rejecter();
        upgrader.observe(Observer { progress: progress.clone(), probation, rejecter });
        let counters = Counters::inherit(&mut upgrader, server.counts(), progress.clone());
        if let Some(systemd) = &systemd {
            systemd.watch(&mut upgrader, self.ready_timeout, stop_timeout);
        }
        if let Some(path) = self.pid_file.clone() {
            PidFile::keep(path, &mut upgrader)?;
        }
        let mut shared = Vec::new();
        for (name, address) in &self.udp {
            let socket = share(name, || Ok(UdpSocket::bind(address)?.into()), &mut upgrader)?;
            ioctl_fionbio(&socket, true)?;
            shared.push((name.clone(), socket));
        }
        for (name, make) in &self.keep {
            shared.push((name.clone(), share(name, make, &mut upgrader)?));
        }
        upgrader.listen(addresses)?;
        // A relative path begins at the first generation's working directory.
        if let Some(path) = self.control.as_ref().filter(|path| path.is_absolute() || upgrader.generation() == 1) {
            control::protect(path);
        }
        let program = upgrader.program().display().to_string();
        let (builder, addresses) = (self, known);
        let prepared = Prepared { upgrader, builder, server, shared, progress, counters, addresses, program, systemd };
        Ok(ControlFlow::Continue(prepared))
    }
}

impl Prepared {
    /// The second half: runs the service on the runtime of the caller.
    ///
    /// # Errors
    /// What `init` says, or why the service could not be started.
    pub async fn serve(self, init: impl AsyncFnOnce(&mut Setup) -> Result<(), BoxError>) -> Result<ExitCode, Error> {
        let Prepared { mut upgrader, builder, server, shared, progress, counters, addresses, program, systemd } = self;
        let copies = shared.iter().map(|(name, fd)| Ok((name.clone(), fd.try_clone()?)));
        let mut setup = Setup {
            generation: upgrader.generation(),
            server,
            served: Vec::new(),
            streams: std::collections::BTreeMap::new(),
            shared: copies.collect::<io::Result<_>>()?,
            background: Vec::new(),
            phase: watch::Sender::new((0, Phase::Standby)),
            stays: watch::Sender::new(true),
            counters: Arc::clone(&counters),
            on_drain: Vec::new(),
            on_end: Vec::new(),
        };
        match upgrader.unless_stopped(init(&mut setup)).await {
            Ok(done) => done?,
            Err(signal) => {
                // With its listeners and their files: nothing is dropped by a process that dies.
                drop((upgrader, setup));
                return Ok(die_by(signal));
            }
        }
        let listens = builder.listen.iter().map(|(name, _)| name);
        if let Some(name) = listens.into_iter().find(|name| !setup.served.contains(name)) {
            return Err(format!("nothing serves the listener {name:?}").into());
        }
        let background = setup.background.drain(..).map(|background| (background, Arc::default())).collect();
        let Setup { generation, server, streams, phase, stays, on_drain, on_end, .. } = setup;
        let [tasks, answers] = [(); 2].map(|()| {
            let tracker = TaskTracker::new();
            tracker.close();
            tracker
        });
        let control = Control { progress, generation, version: builder.version, program, counters, answers };
        tokio::spawn(Arc::clone(&control.counters).keep());
        let (control, stop_at) = (Arc::new(control), None);
        let pause = builder.pause;
        #[rustfmt::skip]
        let parts = Parts {
            server, streams, background, control, addresses, shared, systemd, phase, stays, pause, stop_at, tasks, on_drain, on_end,
        };
        Ok(upgrader.run(parts).await?)
    }
}

/// Names that mean something else to a successor: ours, those of chapters 4 and 5, and the one that means standard input to all.
const RESERVED: [&str; 9] =
    [CONTROL, COUNTERS, DIRECTORY, INIT, SYSTEMD, "predecessor", "connections", "tls-secret", "stdin"];

/// What cannot be passed on would only show at the first upgrade.
fn check_names(builder: &Builder) -> Result<(), Error> {
    let (listen, udp) = (builder.listen.iter().map(|(name, _)| name), builder.udp.iter().map(|(name, _)| name));
    let mut passed = PassedFds::new();
    for name in listen.chain(udp).chain(builder.keep.iter().map(|(name, _)| name)) {
        if RESERVED.contains(&name.as_str()) {
            return Err(format!("no descriptor of a service can be called {name:?}: choose another name").into());
        }
        passed.add(name, io::stdin())?;
    }
    Ok(())
}

/// What was inherited under this name, or made anew; the successor gets it, too.
fn share(name: &str, make: impl FnOnce() -> io::Result<OwnedFd>, upgrader: &mut Upgrader) -> io::Result<Arc<OwnedFd>> {
    let shared = Arc::new(upgrader.take(name).map_or_else(make, Ok)?);
    fcntl_setfd(&shared, FdFlags::CLOEXEC)?;
    let (name, passed) = (name.to_owned(), Arc::clone(&shared));
    upgrader.pass(move || Ok(vec![(name.clone(), passed.try_clone()?)]));
    Ok(shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_under_which_no_successor_could_get_it_is_refused() {
        let keep = |builder: Builder, name: &str| builder.keep(name, || Err(io::ErrorKind::Unsupported.into()));
        let refusal = |builder| check_names(&builder).expect_err("it should be refused").to_string();
        for name in ["room:lobby", "", "Räume", "web"] {
            let said = refusal(keep(Builder::new().listen("web", "127.0.0.1:0"), name));
            assert!(said.contains(&format!("{name:?} cannot name a descriptor")), "{said}");
        }
        for name in RESERVED {
            assert!(refusal(keep(Builder::new(), name)).contains("choose another name"), "{name}");
        }
        assert!(check_names(&keep(Builder::new().listen("web", "127.0.0.1:0"), "lobby")).is_ok());
    }
}
