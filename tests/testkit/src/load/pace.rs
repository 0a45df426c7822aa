//! When the next request is due.
//!
//! The invariant: what the server delays counts against the server; what our own timer delays (it ticks in
//! milliseconds) does not.

use std::ops::Range;
use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug, Clone)]
pub(super) enum Pace {
    BackToBack,
    Think(Range<Duration>),
    Every(Duration),
}

#[derive(Debug)]
pub(super) struct Pacer {
    pace: Pace,
    random: fastrand::Rng,
    due: Instant,
}

impl Pacer {
    /// The pacer of worker `number` of `of`: timetables are spread over the interval, pauses are the same every run.
    pub(super) fn new(pace: Pace, number: u32, of: u32) -> Pacer {
        let offset = match pace {
            Pace::Every(interval) => interval * number / of,
            Pace::BackToBack | Pace::Think(_) => Duration::ZERO,
        };
        Pacer { pace, random: fastrand::Rng::with_seed(number.into()), due: Instant::now() + offset }
    }

    /// Waits until the next request is due, and returns the moment from which its latency counts.
    pub(super) async fn next(&mut self) -> Instant {
        match &self.pace {
            Pace::BackToBack => {}
            Pace::Think(pause) => {
                let pause = pause.start + pause.end.saturating_sub(pause.start).mul_f64(self.random.f64());
                tokio::time::sleep(pause).await;
            }
            Pace::Every(interval) => {
                let due = self.due;
                self.due += *interval;
                if due <= Instant::now() {
                    return due;
                }
                tokio::time::sleep_until(due).await;
            }
        }
        Instant::now()
    }
}
