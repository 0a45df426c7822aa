//! From a plan to clients at work.
//!
//! The invariant: the clients run on one thread and share nothing but [`Progress`]; each keeps a tally of its own, and
//! the sum is made when all have come to an end.

use std::sync::Arc;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::pace::Pacer;
use super::pooled::Pooled;
use super::progress::Progress;
use super::strict::Strict;
use super::strict_http2::{Shared, StrictHttp2};
use super::worker::Worker;
use super::{Client, Load, Plan, Tally};

/// Descriptors that this process needs beside one per connection: the programs it reads, the runtime, the test harness.
const OTHER_DESCRIPTORS: u64 = 256;

impl Plan {
    /// Starts the clients. They connect on their own time: see [`Load::wait_until_warm`].
    ///
    /// # Panics
    /// If the machine refuses a thread, or the descriptors for this many connections.
    #[must_use = "a load that is dropped is abandoned"]
    pub fn start(self) -> Load {
        allow_descriptors(self.connections);
        let progress = Arc::new(Progress::new(self.workers()));
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        let watched = Arc::clone(&progress);
        let thread = std::thread::Builder::new()
            .name("load".to_owned())
            .spawn(move || runtime.block_on(self.run(watched, stopped)))
            .expect("a thread starts");
        Load { progress, stop, thread }
    }

    fn workers(&self) -> u32 {
        self.connections * self.streams()
    }

    fn streams(&self) -> u32 {
        match self.client {
            Client::StrictHttp2 { streams } if !self.per_request => streams,
            _ => 1,
        }
    }

    async fn run(self, progress: Arc<Progress>, stopped: watch::Receiver<bool>) -> Tally {
        let mut workers = JoinSet::new();
        let worker = |number| Worker {
            pacer: Pacer::new(self.pace.clone(), number, self.workers()),
            timeout: self.timeout,
            progress: Arc::clone(&progress),
            stopped: stopped.clone(),
            journal: self.journal.then_some(number),
        };
        for connection in 0..self.connections {
            match self.client {
                Client::Strict => workers.spawn(worker(connection).work(Strict::new(&self))),
                Client::Pooled => workers.spawn(worker(connection).work(Pooled::new(&self))),
                Client::StrictHttp2 { .. } => {
                    let shared = Arc::new(Shared::new(&self));
                    for stream in 0..self.streams() {
                        let number = connection * self.streams() + stream;
                        workers.spawn(worker(number).work(StrictHttp2::new(Arc::clone(&shared))));
                    }
                    continue;
                }
            };
        }
        tokio::select! {
            tallies = workers.join_all() => tallies.into_iter().fold(Tally::default(), Tally::merge),
            () = abandoned(stopped) => Tally::default(),
        }
    }
}

/// Completes when the [`Load`] is dropped, so that no caller can ask for the result.
async fn abandoned(mut stopped: watch::Receiver<bool>) {
    while stopped.changed().await.is_ok() {}
}

/// Raises this process's soft limit, which its children inherit, only if the connections do not fit below it.
///
/// # Panics
/// If not even the hard limit is enough.
pub fn allow_descriptors(connections: u32) {
    let wanted = u64::from(connections) + OTHER_DESCRIPTORS;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a process may read its own limits");
    if soft < wanted {
        assert!(wanted <= hard, "{connections} connections need {wanted} descriptors: raise `ulimit -Hn` from {hard}");
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("a process may raise its soft limit to the hard one");
    }
}
