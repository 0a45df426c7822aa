//! A client that comes with a fresh connection for every request, by a timetable.
//!
//! The invariant: every probe that was due is recorded once, however late it set out; so a stall shows in every probe
//! that fell into it, and a probe that no process answered says so.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use testkit::load::Fate;
use testkit::{GaveUp, TIMEOUT, Unanswered, probe};

/// Clients, and the timetable of each. Together they probe every quarter of a millisecond: that is how finely the first
/// answer of a process is seen. More clients than one, so that a probe that waits holds only its own client up.
const CLIENTS: u32 = 4;
const INTERVAL: Duration = Duration::from_millis(1);

/// A fresh connection, and what became of it.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// When it should have set out: its latency counts from here.
    pub due: Instant,
    /// When it set out.
    pub began: Instant,
    /// When it was answered, or came to nothing.
    pub ended: Instant,
    /// What became of it.
    pub fate: Fate,
}

/// Clients at work, each on a thread of its own. They stop when this is dropped; the server has to outlive it.
#[derive(Debug)]
pub struct Prober {
    probes: Receiver<Probe>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Probe {
    /// Who answered, if anybody did.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        if let Fate::Answered(pid) = self.fate { Some(pid) } else { None }
    }

    /// How late the answer was.
    #[must_use]
    pub fn latency(&self) -> Duration {
        self.ended - self.due
    }
}

impl Prober {
    /// Starts the clients.
    #[must_use]
    pub fn start(address: SocketAddr) -> Prober {
        let (sender, probes) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let now = Instant::now();
        let start = |client| {
            let (sender, stop, first) = (sender.clone(), Arc::clone(&stop), now + INTERVAL * client / CLIENTS);
            spawn(move || work(address, first, &sender, &stop))
        };
        let threads = (0..CLIENTS).map(start).collect();
        Prober { probes, stop, threads }
    }

    /// All probes that ended and were not taken yet.
    pub fn taken(&self) -> impl Iterator<Item = Probe> {
        self.probes.try_iter()
    }

    /// Waits for the next probe that `wanted` accepts, and returns all probes up to it.
    ///
    /// # Errors
    /// If none comes for twenty seconds.
    pub fn until(&self, what: &str, mut wanted: impl FnMut(&Probe) -> bool) -> Result<Vec<Probe>, GaveUp> {
        let deadline = Instant::now() + TIMEOUT;
        let mut probes = Vec::new();
        while let left = deadline.saturating_duration_since(Instant::now())
            && !left.is_zero()
            && let Ok(probe) = self.probes.recv_timeout(left)
        {
            probes.push(probe);
            if wanted(&probe) {
                return Ok(probes);
            }
        }
        Err(GaveUp(format!("{what} did not come in {} probes", probes.len())))
    }

    /// Lets the clients finish, and returns the probes that were not taken yet.
    #[must_use]
    pub fn stop(mut self) -> Vec<Probe> {
        self.end();
        self.probes.try_iter().collect()
    }

    fn end(&mut self) {
        self.stop.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            // It has nothing to panic about.
            let _ = thread.join();
        }
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.end();
    }
}

fn work(address: SocketAddr, mut due: Instant, to: &Sender<Probe>, stop: &AtomicBool) {
    while !stop.load(Relaxed) {
        let early = due.saturating_duration_since(Instant::now());
        sleep(early);
        let began = Instant::now();
        // What our own timer delays does not count against the server.
        let from = if early.is_zero() { due } else { began };
        let fate = match probe(address) {
            Ok(answerer) => Fate::Answered(answerer.pid),
            Err(Unanswered::Refused(_)) => Fate::Refused,
            Err(Unanswered::Cut(_)) => Fate::Cut,
        };
        if to.send(Probe { due: from, began, ended: Instant::now(), fate }).is_err() {
            return;
        }
        due += INTERVAL;
    }
}
