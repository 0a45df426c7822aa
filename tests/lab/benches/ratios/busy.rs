//! Clients that ask by a timetable.
//!
//! The invariant: what the server delays counts against it: a request that could not be sent because the last answer was late
//! counts from the moment it was due. What our own clock delays does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use crate::client::Client;

/// How many there are, and the interval of each: a tenth of what two processors can answer.
pub(crate) const CLIENTS: u32 = 4;
pub(crate) const INTERVAL: Duration = Duration::from_millis(2);

/// When a request began to count, and when it was answered.
pub(crate) struct Request {
    pub(crate) from: Instant,
    pub(crate) to: Instant,
}

/// Clients at work, each on a thread and a connection of its own.
pub(crate) struct Busy {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Request>>>,
}

impl Busy {
    /// Spreads their timetables over the interval.
    pub(crate) fn start<C: Client + 'static>(clients: Vec<C>) -> Busy {
        let (stop, now) = (Arc::new(AtomicBool::new(false)), Instant::now());
        let start = |(number, client)| {
            let stop = Arc::clone(&stop);
            spawn(move || work(client, now + INTERVAL * number / CLIENTS, &stop))
        };
        let threads = (0..).zip(clients).map(start).collect();
        Busy { stop, threads }
    }

    /// All requests.
    pub(crate) fn stop(self) -> Vec<Request> {
        self.stop.store(true, Relaxed);
        let requests = self.threads.into_iter().map(|thread| thread.join().expect("a client lost its connection"));
        requests.flatten().collect()
    }
}

fn work(mut client: impl Client, mut due: Instant, stop: &AtomicBool) -> Vec<Request> {
    let mut requests = Vec::new();
    while !stop.load(Relaxed) {
        let ahead = due.saturating_duration_since(Instant::now());
        let from = if ahead.is_zero() {
            due
        } else {
            sleep(ahead);
            Instant::now()
        };
        client.ask();
        requests.push(Request { from, to: Instant::now() });
        due += INTERVAL;
    }
    requests
}
