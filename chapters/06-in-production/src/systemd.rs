//! What systemd is told: sd_notify(3), from every generation.
//!
//! The invariant: systemd's main process is the one in charge. A process that begins to accept says so itself, and does before
//! its predecessor hears of it: so systemd knows its new main process before the old one may end. A reload is over when its
//! outcome is known, and the descriptor store holds the sockets of the process in charge: listeners, and those for UDP.
//!
//! | when … | … systemd is told |
//! | --- | --- |
//! | a process accepts; again, if its successor was lost | `MAINPID`, `READY`, and in `STATUS` which generation serves, and why an upgrade failed |
//! | an upgrade begins | `RELOADING`, and the time that its successor may take |
//! | one is refused | `RELOADING` and `READY`, with the reason in `STATUS`: systemd knows no reload that fails |
//! | the service stops | `STOPPING`, and the time that this may take |
//!
//! The unit needs `NotifyAccess=all`, for the process that accepts is not the main process yet; and an `ExecStop=` that waits, for
//! systemd kills a main process that it has not started itself without waiting (see `deploy/graceful-demo.service`).

use std::env;
use std::ffi::OsStr;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::sync::Arc;
use std::time::Duration;

use graceful_upgrade::lifecycle::{Action, Event, State};
use graceful_upgrade::{Observe, Transition, Upgrader};
use nix::time::{ClockId, clock_gettime};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::task::AbortHandle;
use tokio::time::interval;

/// The name under which a successor finds the socket.
pub(crate) const SYSTEMD: &str = "systemd";

/// How much longer than we systemd should wait before it kills: we end what is late ourselves, which takes a second or two.
const MARGIN: Duration = Duration::from_secs(5);

/// The socket on which systemd listens.
///
/// Opened once, and not for each message: clients may have taken every descriptor by then. A successor gets it by name, and so
/// needs no variable; but `NOTIFY_SOCKET` stays in the environment, for a program that knows nothing of the name.
#[derive(Debug, Clone)]
pub(crate) struct Systemd(Arc<UnixDatagram>);

impl Systemd {
    /// Finds it, if it has started this service, and passes it on. `NOTIFY_SOCKET` counts in the first generation alone, and only
    /// if `SYSTEMD_EXEC_PID` is this process or is not set (before systemd 248, or under podman): a shell that runs inside
    /// another service has the variables of that service.
    ///
    /// SIGHUP means an upgrade, as `Type=notify-reload` asks, where `SYSTEMD_EXEC_PID` is set. Elsewhere it still means a stop.
    ///
    /// # Errors
    /// If no descriptor or no thread is left.
    pub(crate) fn find(upgrader: &mut Upgrader) -> io::Result<Option<Systemd>> {
        let started = env::var_os("SYSTEMD_EXEC_PID");
        let ours = started.as_ref().is_none_or(|pid| *pid == *process::id().to_string());
        let socket = match env::var_os("NOTIFY_SOCKET") {
            _ if upgrader.generation() > 1 => upgrader.take(SYSTEMD).map(UnixDatagram::from),
            Some(path) if ours => connect(&path)
                .inspect_err(|error| tracing::warn!(%error, ?path, "systemd does not hear us at NOTIFY_SOCKET"))
                .ok(),
            _ => None,
        };
        let Some(socket) = socket else { return Ok(None) };
        if started.is_some() {
            upgrader.upgrade_on_hangup()?;
        }
        let systemd = Systemd(Arc::new(socket));
        let passed = systemd.clone();
        upgrader.pass(move || Ok(vec![(SYSTEMD.to_owned(), passed.0.as_fd().try_clone_to_owned()?)]));
        Ok(Some(systemd))
    }

    /// Tells it of every transition from now on; and in the first generation, how long a start may take.
    pub(crate) fn watch(&self, upgrader: &mut Upgrader, ready_timeout: Duration, stop_timeout: Duration) {
        let generation = upgrader.generation();
        if generation == 1 {
            self.tell(&format!("STATUS=starting\n{}", extend(ready_timeout)));
        }
        let watchdog = env::var("WATCHDOG_USEC").ok().and_then(|usec| usec.parse().ok()).filter(|usec| *usec > 0);
        // WATCHDOG_PID is not asked: after an upgrade it names a process that is gone.
        let watchdog = watchdog.map(Duration::from_micros);
        let systemd = self.clone();
        #[rustfmt::skip]
        upgrader.observe(Watch { systemd, generation, ready_timeout, stop_timeout, failure: None, watchdog, alive: None });
    }

    // ANCHOR: store
    /// Has it keep a copy of each socket. If this process dies, and is started again, it gets the copies back under their
    /// names, and with them the clients and the datagrams in the queues. A copy that systemd has already is no second one.
    pub(crate) fn store<'a>(&self, sockets: impl IntoIterator<Item = (&'a String, BorrowedFd<'a>)>) {
        for (name, socket) in sockets {
            self.send(&format!("FDSTORE=1\nFDNAME={name}"), &[socket]);
        }
    }

    /// Has it close its copies of these: otherwise clients would wait in a queue that no process empties.
    pub(crate) fn forget<'a>(&self, names: impl IntoIterator<Item = &'a String>) {
        for name in names {
            self.tell(&format!("FDSTOREREMOVE=1\nFDNAME={name}"));
        }
    }
    // ANCHOR_END: store

    fn tell(&self, message: &str) {
        self.send(message, &[]);
    }

    /// Never waits: systemd takes hundreds of messages before it has read one.
    fn send(&self, message: &str, copies: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !copies.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(copies));
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        if let Err(error) = sendmsg(&*self.0, &[IoSlice::new(message.as_bytes())], &mut control, flags) {
            tracing::error!(%error, message, "systemd was not told");
        }
    }
}

fn connect(path: &OsStr) -> io::Result<UnixDatagram> {
    let address = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(path)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    Ok(socket)
}

/// Systemd's own timeout, from now on. It is never made shorter.
fn extend(timeout: Duration) -> String {
    // The highest number means nothing to systemd; the one below it means "for ever".
    let usec = u64::try_from(timeout.saturating_add(MARGIN).as_micros()).unwrap_or(u64::MAX - 1);
    format!("EXTEND_TIMEOUT_USEC={usec}")
}

/// Tells systemd of transitions.
struct Watch {
    systemd: Systemd,
    generation: u64,
    ready_timeout: Duration,
    stop_timeout: Duration,
    /// Why the last upgrade failed, if that was not told yet.
    failure: Option<String>,
    /// How long systemd may hear nothing from the process in charge.
    watchdog: Option<Duration>,
    /// The task that says that this process is alive, while it accepts, or stops.
    alive: Option<AbortHandle>,
}

// ANCHOR: observe
impl Observe for Watch {
    fn before(&mut self, transition: &Transition) {
        let stops = transition.to.state == State::Stopping;
        match (transition.from.state, transition.event, transition.actions) {
            (State::Serving, Event::UpgradeAsked, [Action::Refuse(sentence)]) => {
                self.reloading();
                self.ready(&format!("generation {} serves on: {sentence}", self.generation));
            }
            // `READY` will come with the end of the one that is under way.
            (State::Serving | State::Upgrading, Event::UpgradeAsked, _) => self.reloading(),
            // An old generation that is told to stop alone concerns systemd as little as its end.
            (State::Called | State::Serving | State::Upgrading, ..) if stops => {
                let (pid, extend) = (process::id(), extend(self.stop_timeout));
                let status = format!("generation {} stops", self.generation);
                self.systemd.tell(&format!("MAINPID={pid}\nSTOPPING=1\nSTATUS={status}\n{extend}"));
            }
            _ => {}
        }
    }

    fn after(&mut self, transition: &Transition) {
        if transition.to.state == State::Serving && transition.from.state != State::Serving {
            let failed = self.failure.take().map(|reason| format!(" on: the upgrade failed: {reason}"));
            self.ready(&format!("generation {} serves{}", self.generation, failed.unwrap_or_default()));
            self.live();
        }
        // A retired process is alive for itself alone: if its successor hangs before it accepts, no process serves.
        if !matches!(transition.to.state, State::Serving | State::Upgrading | State::Stopping) {
            self.alive.take().inspect(AbortHandle::abort);
        }
    }

    fn failed(&mut self, reason: &str) {
        self.failure = Some(reason.to_owned());
    }
}
// ANCHOR_END: observe

impl Watch {
    fn ready(&self, status: &str) {
        let status = status.replace('\n', " ");
        self.systemd.tell(&format!("MAINPID={}\nREADY=1\nSTATUS={status}", process::id()));
    }

    /// With the time, by which systemd tells this reload from one that began before it asked.
    fn reloading(&self) {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default().as_micros();
        let (status, extend) =
            (format!("generation {} is being replaced", self.generation), extend(self.ready_timeout));
        self.systemd.tell(&format!("RELOADING=1\nMONOTONIC_USEC={now}\nSTATUS={status}\n{extend}"));
    }

    /// From a task: it says that the runtime runs, too.
    fn live(&mut self) {
        let Some(watchdog) = self.watchdog.filter(|_| self.alive.is_none()) else { return };
        let (systemd, mut ticks) = (self.systemd.clone(), interval(watchdog / 2));
        let task = tokio::spawn(async move {
            loop {
                ticks.tick().await;
                systemd.tell("WATCHDOG=1");
            }
        });
        self.alive = Some(task.abort_handle());
    }
}
