//! Load on a server, and the truth about what became of it.
//!
//! The invariant: a request that was started is counted exactly once, as answered or as lost, and a client that loses
//! one says why. Nothing is retried in the dark: [`Client`] says what each client forgives.
//!
//! ```no_run
//! # let address = "127.0.0.1:48567";
//! use testkit::load::{Client, Plan};
//!
//! let load = Plan::new(address).client(Client::Strict).connections(32).start();
//! load.wait_until_warm();
//! // … upgrade the server …
//! load.wait_for_generation(2);
//! load.stop().assert_nothing_lost();
//! ```
//!
//! # What a latency means here
//!
//! A load that asks [back to back](Plan::back_to_back) or [thinks in between](Plan::think) is a *closed loop*: a client
//! waits for its answer before it asks again, so a server that stalls for a second is asked once in that second, and
//! the stall counts as one slow request per connection. That is what those clients saw, and it is a fair account of an
//! interruption; it says little about what clients that came by meanwhile would have seen (*coordinated omission*).
//!
//! A [paced](Plan::every) load has a timetable. A request that could not be sent on time because the previous answer
//! was late counts from the moment it was due, so a stall shows in every request that fell into it.

mod answer;
mod ending;
mod journal;
mod pace;
mod plan;
mod pooled;
mod progress;
mod run;
mod socket;
mod strict;
mod strict_http2;
mod tally;
mod worker;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::watch;

pub use journal::{Entry, Fate};
pub use plan::{Client, Plan, Request};
pub use progress::During;
pub use run::allow_descriptors;
pub use tally::{Latencies, Latency, Tally};

use crate::timeout::GaveUp;
use progress::Progress;

/// Clients at work, on a thread of their own. Dropping it abandons them; [`stop`](Load::stop) lets them finish.
///
/// One thread is enough to keep the servers of this book busy, and it leaves the other cores to them.
#[derive(Debug)]
pub struct Load {
    progress: Arc<Progress>,
    /// `true` tells the clients to finish what they started; a dropped sender, to leave at once.
    stop: watch::Sender<bool>,
    thread: JoinHandle<Tally>,
}

impl Load {
    /// Waits until every client has had its first answer: from then on the server is under the whole load.
    ///
    /// # Panics
    /// If that takes more than twenty seconds.
    pub fn wait_until_warm(&self) {
        self.try_wait_until_warm().unwrap_or_else(|gave_up| panic!("{gave_up}"));
    }

    /// [`wait_until_warm`](Load::wait_until_warm) without the panic.
    ///
    /// # Errors
    /// If that takes more than twenty seconds.
    pub fn try_wait_until_warm(&self) -> Result<(), GaveUp> {
        self.progress.wait_until_warm()
    }

    /// Waits for `count` more answers.
    ///
    /// # Panics
    /// If they take more than twenty seconds.
    pub fn wait_for_answers(&self, count: u64) {
        self.progress.wait_for_answers(count).unwrap_or_else(|gave_up| panic!("{gave_up}"));
    }

    /// Waits for an answer from `generation` or a later one, and returns when the first such answer was complete.
    ///
    /// # Panics
    /// If that takes more than twenty seconds.
    #[allow(clippy::must_use_candidate, reason = "the wait is the point, the moment a bonus")]
    pub fn wait_for_generation(&self, generation: u64) -> Instant {
        self.try_wait_for_generation(generation).unwrap_or_else(|gave_up| panic!("{gave_up}"))
    }

    /// [`wait_for_generation`](Load::wait_for_generation) without the panic.
    ///
    /// # Errors
    /// If that takes more than twenty seconds.
    pub fn try_wait_for_generation(&self, generation: u64) -> Result<Instant, GaveUp> {
        self.progress.wait_for_generation(generation)
    }

    /// From now until the guard is dropped, latencies go to [`Latencies::during`]: those of all requests that were
    /// under way, if only in part.
    #[must_use = "the window ends when the guard is dropped"]
    pub fn during(&self) -> During<'_> {
        self.progress.during()
    }

    /// Requests answered so far.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.progress.answered()
    }

    /// Requests lost so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.progress.lost()
    }

    /// Lets every request that was started come to its end, closes the connections, and returns the count.
    ///
    /// # Panics
    /// If a client panicked.
    #[must_use = "what became of the requests"]
    pub fn stop(self) -> Tally {
        self.stop.send_replace(true);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}
