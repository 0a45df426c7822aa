//! The control socket: the caller that asks for an upgrade hears how it ended.
//!
//! The invariant: only root and the user of this process are heard; every request that is understood gets an answer, or the
//! end of the process; and no caller, however slow, holds up the service.

mod caller;
mod protocol;

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use graceful_shutdown::Stream;
use nix::sys::signal::{Signal, raise};
use tokio_util::either::Either;
use tokio_util::task::TaskTracker;

use caller::Caller;
pub use protocol::{LONGEST, Reply, Request, Status, Until};

use crate::counters::{Counters, Reading};
use crate::progress::{Progress, Seen, Stage};

/// The name of the listener.
pub(crate) const CONTROL: &str = "control";

/// What is said of this process.
pub(crate) struct Control {
    pub(crate) progress: Progress,
    pub(crate) generation: u64,
    pub(crate) version: String,
    pub(crate) program: String,
    pub(crate) counters: Arc<Counters>,
    /// Those who wait for the end of an upgrade: this process answers them before it ends.
    pub(crate) answers: TaskTracker,
}

/// Leaves the socket to the user of this process alone (mode 0600). One that was inherited may be another user's, or have lost
/// its file; callers are looked at in any case.
pub(crate) fn protect(path: &Path) {
    if let Err(error) = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)) {
        tracing::warn!(%error, path = %path.display(), "the mode of the control socket stays as it is");
    }
}

impl Control {
    /// Answers one connection.
    pub(crate) async fn serve(&self, stream: Stream) {
        let Either::Right(stream) = stream else { return };
        let mut caller = Caller::new(stream);
        let answered = match caller.request().await {
            Ok(None) => return,
            Ok(Some(Request::Status)) => caller.say(&Reply::Status(self.status())).await,
            Ok(Some(Request::Metrics)) => match self.counters.text() {
                Ok(text) => caller.say(&Reply::Metrics(text)).await,
                Err(error) => caller.say(&Reply::Failed(error.to_string())).await,
            },
            Ok(Some(Request::Stop)) if self.is_replaced() => caller.say(&Reply::Moved(self.generation + 1)).await,
            Ok(Some(Request::Stop)) => match raise(Signal::SIGTERM) {
                Ok(()) => caller.say(&Reply::Done(format!("generation {} stops", self.generation))).await,
                Err(error) => caller.say(&Reply::Failed(error.to_string())).await,
            },
            Ok(Some(Request::Upgrade { until, since })) => {
                self.answers.track_future(self.upgrade(&mut caller, until, since)).await
            }
            Err(sentence) => caller.say(&Reply::Failed(sentence)).await,
        };
        if let Err(error) = answered {
            tracing::debug!(%error, "a caller on the control socket was not answered");
        }
        // A caller that waits for a stop waits for the end of this connection.
        caller.gone().await;
    }

    fn is_replaced(&self) -> bool {
        matches!(self.progress.stage(), Stage::Probation | Stage::Replaced)
    }

    fn status(&self) -> Status {
        let Reading { totals, generations } = self.counters.read();
        let counts = self.counters.counts();
        let since = self.counters.since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let state = match self.progress.stage() {
            Stage::Standby => "waiting for its turn",
            Stage::Serving => "serving",
            Stage::Starting => "serving, and a successor is starting",
            Stage::Yielding | Stage::Probation | Stage::Replaced => "replaced, and draining",
            Stage::Stopping => "stopping",
        };
        Status {
            generation: self.generation,
            pid: std::process::id(),
            state: state.to_owned(),
            since,
            version: self.version.clone(),
            program: self.program.clone(),
            draining: self.progress.older(),
            waiting: self.answers.len(),
            connections: counts.open,
            requests: counts.requests,
            totals,
            generations,
        }
    }

    // ANCHOR: upgrade
    /// Has one upgrade run that began after the request, and says how it ended. Callers that come while one is under way
    /// share the next one.
    async fn upgrade(&self, caller: &mut Caller, until: Until, since: Option<u64>) -> io::Result<()> {
        let mut seen = self.progress.watch();
        if since.is_some_and(|since| self.generation > since) {
            return caller.say(&Reply::Done(format!("generation {} serves", self.generation))).await;
        }
        let before = if since == Some(self.generation) { 0 } else { seen.borrow().upgrade };
        let mut said = Said::default();
        loop {
            let now = seen.borrow_and_update().clone();
            // A caller that hears of the end finds it counted.
            self.counters.write();
            // The one that began first after the request.
            let ours = before + 1;
            if now.upgrade == ours {
                said.say(caller, &now).await?;
            }
            let ended = now.ends.get(&ours).cloned();
            let accepts = now.upgrade == ours && now.accepts_after.is_some();
            match (ended, now.stage) {
                (Some(Err(reason)), _) => return caller.say(&Reply::Failed(reason)).await,
                (Some(Ok(())), _) => return caller.say(&Reply::Done(self.serves())).await,
                _ if accepts && until == Until::Ready => return caller.say(&Reply::Done(self.serves())).await,
                (None, Stage::Serving) if self.progress.ask_once() => {
                    // As from outside: there is one way to begin an upgrade.
                    raise(Signal::SIGUSR2)?;
                }
                // The upgrade before ours has passed its probation: the new process is the one to ask.
                (None, Stage::Replaced) if now.upgrade < ours => {
                    return caller.say(&Reply::Moved(self.generation + 1)).await;
                }
                (None, Stage::Stopping) => return caller.say(&Reply::Failed("the service is stopping".into())).await,
                _ => {}
            }
            // Also for a caller that has gone: the upgrade goes on, and has an end.
            if seen.changed().await.is_err() {
                return Ok(());
            }
        }
    }
    // ANCHOR_END: upgrade

    fn serves(&self) -> String {
        format!("generation {} serves", self.generation + 1)
    }
}

/// What a caller has been told of its upgrade.
#[derive(Default)]
struct Said {
    ready: bool,
    accepting: bool,
}

impl Said {
    async fn say(&mut self, caller: &mut Caller, seen: &Seen) -> io::Result<()> {
        let parts =
            [("ready", seen.ready_after, &mut self.ready), ("accepting", seen.accepts_after, &mut self.accepting)];
        for (part, after, said) in parts {
            if let Some(after) = after.filter(|_| !*said) {
                *said = true;
                let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
                caller.say(&Reply::Passed { part: part.to_owned(), after }).await?;
            }
        }
        Ok(())
    }
}
