//! Clients that come with a fresh connection for every request.
//!
//! The invariant: every connection is answered, or the measurement ends with a panic that says so; an answer without its
//! generation is none.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use testkit::probe;

/// A pause between two fresh connections: short enough to see the first answer of a process, long enough to leave most of
/// the machine to the servers.
pub(crate) const LIGHT: Duration = Duration::from_micros(100);

/// One connection: connect, ask, read to the end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probe {
    client: usize,
    pub(crate) began: Instant,
    pub(crate) answered: Instant,
    /// Who answered.
    pub(crate) generation: u64,
}

/// Clients at work, each on a thread of its own. They stop when this is dropped; the server has to outlive it.
pub(crate) struct Fresh {
    probes: Receiver<Probe>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Probe {
    pub(crate) fn latency(&self) -> Duration {
        self.answered - self.began
    }

    /// Whether any of it fell between the two.
    pub(crate) fn overlaps(&self, from: Instant, to: Instant) -> bool {
        self.began <= to && self.answered >= from
    }
}

impl Fresh {
    /// Starts this many clients, each with this pause after every answer.
    pub(crate) fn start(address: &str, clients: usize, pause: Duration) -> Fresh {
        let address = address.parse().expect("the server names an address");
        let (sender, probes) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let start = |client| {
            let (sender, stop) = (sender.clone(), Arc::clone(&stop));
            spawn(move || work(client, address, pause, &sender, &stop))
        };
        let threads = (0..clients).map(start).collect();
        Fresh { probes, stop, threads }
    }

    /// All probes that were not taken yet, until every client has had an answer on a connection begun after `moment`.
    pub(crate) fn until_all_began_after(&self, moment: Instant) -> Vec<Probe> {
        let mut waiting: Vec<_> = (0..self.threads.len()).collect();
        let mut probes = Vec::new();
        while !waiting.is_empty() {
            let probe = self.probes.recv().expect("the clients work on: see the panic above, a request was lost");
            if probe.began > moment {
                waiting.retain(|client| *client != probe.client);
            }
            probes.push(probe);
        }
        probes
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            // One that lost a request has said so.
            let _ = thread.join();
        }
    }
}

fn work(client: usize, address: SocketAddr, pause: Duration, to: &Sender<Probe>, stop: &AtomicBool) {
    while !stop.load(Relaxed) {
        let began = Instant::now();
        let generation = generation(address).unwrap_or_else(|error| panic!("a fresh connection was lost: {error}"));
        let probe = Probe { client, began, answered: Instant::now(), generation };
        if to.send(probe).is_err() {
            return;
        }
        if !pause.is_zero() {
            sleep(pause);
        }
    }
}

/// Returns the generation that answered.
fn generation(address: SocketAddr) -> Result<u64, String> {
    let answerer = probe(address).map_err(|error| error.to_string())?;
    answerer.generation.ok_or_else(|| "the answer has no generation".to_owned())
}
