//! How far an upgrade is: what the transitions of chapter 4's table come to for a person who asked for one.
//!
//! The invariant: every upgrade that begins in this process ends here once, with success or with a reason, and this process
//! does not end before.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::{Duration, Instant};

use graceful_upgrade::lifecycle::{Action, Event, State};
use graceful_upgrade::{Observe, Rejecter, Transition};
use tokio::sync::watch;

use crate::probation::Probation;

/// Ends that are remembered: a waiting caller reads its own within a moment.
const REMEMBERED: usize = 64;

/// Where this process is, seen by those who ask for upgrades.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Ready, and not yet in charge.
    Standby,
    /// In charge, and no upgrade is under way.
    Serving,
    /// A successor is starting.
    Starting,
    /// The successor is ready, and is about to accept.
    Yielding,
    /// The successor accepts. This process comes back if the successor is no good.
    Probation,
    /// The successor has passed.
    Replaced,
    /// The service stops.
    Stopping,
}

/// All of it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) stage: Stage,
    /// How many older generations drain.
    older: u8,
    /// The number of the upgrade that began last in this process, or 0.
    pub(crate) upgrade: u64,
    /// Whether one was asked for, and has not begun yet.
    asked: bool,
    /// When it began, and how long its parts took.
    began: Option<Instant>,
    pub(crate) ready_after: Option<Duration>,
    pub(crate) accepts_after: Option<Duration>,
    /// How upgrades ended, by number.
    pub(crate) ends: BTreeMap<u64, Result<(), String>>,
    /// How many have ended well, and how many have not.
    succeeded: usize,
    failed: usize,
}

/// The watched state: the observer changes it, and callers and the drain wait for it.
#[derive(Debug, Clone)]
pub(crate) struct Progress(Arc<watch::Sender<Seen>>);

impl Progress {
    pub(crate) fn new() -> Progress {
        let seen = Seen {
            stage: Stage::Standby,
            older: 0,
            upgrade: 0,
            asked: false,
            began: None,
            ready_after: None,
            accepts_after: None,
            ends: BTreeMap::new(),
            succeeded: 0,
            failed: 0,
        };
        Progress(Arc::new(watch::Sender::new(seen)))
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Seen> {
        self.0.subscribe()
    }

    /// Where this process is now.
    pub(crate) fn stage(&self) -> Stage {
        self.0.borrow().stage
    }

    /// How many older generations drain.
    pub(crate) fn older(&self) -> u8 {
        self.0.borrow().older
    }

    /// How many upgrades have succeeded in this process, and how many have failed.
    pub(crate) fn upgrades(&self) -> (usize, usize) {
        let seen = self.0.borrow();
        (seen.succeeded, seen.failed)
    }

    /// Whether the caller is the one to ask for the next upgrade. The others that wait share it.
    pub(crate) fn ask_once(&self) -> bool {
        self.0.send_if_modified(|seen| {
            let first = seen.stage == Stage::Serving && !seen.asked;
            seen.asked |= first;
            first
        })
    }

    /// The successor is trusted from now on.
    pub(crate) fn trust(&self) {
        self.0.send_if_modified(|seen| {
            let ends = seen.stage == Stage::Probation;
            if ends {
                seen.pass();
            }
            ends
        });
    }

    /// Waits until no upgrade needs this process any more.
    pub(crate) async fn released(&self) {
        let needed = |seen: &Seen| matches!(seen.stage, Stage::Starting | Stage::Yielding | Stage::Probation);
        // `Err`: never, the sender is here.
        let _ = self.watch().wait_for(|seen| !needed(seen)).await;
    }
}

impl Seen {
    fn end(&mut self, how: Result<(), String>) {
        if let Entry::Vacant(end) = self.ends.entry(self.upgrade) {
            let count = if how.is_ok() { &mut self.succeeded } else { &mut self.failed };
            *count += 1;
            end.insert(how);
        }
        while self.ends.len() > REMEMBERED {
            self.ends.pop_first();
        }
    }

    /// The successor has passed its probation.
    fn pass(&mut self) {
        self.stage = Stage::Replaced;
        self.end(Ok(()));
    }

    fn begin(&mut self) {
        self.upgrade += 1;
        self.asked = false;
        self.began = Some(Instant::now());
        (self.ready_after, self.accepts_after) = (None, None);
    }

    fn elapsed(&self) -> Option<Duration> {
        self.began.map(|began| began.elapsed())
    }
}

/// Turns transitions into progress, and begins a probation.
pub(crate) struct Observer {
    pub(crate) progress: Progress,
    pub(crate) probation: Probation,
    pub(crate) rejecter: Rejecter,
}

impl Observe for Observer {
    fn before(&mut self, transition: &Transition) {
        self.progress.0.send_modify(|seen| match (transition.event, transition.actions) {
            (Event::UpgradeAsked, [Action::Refuse(sentence)]) if seen.asked => {
                seen.begin();
                seen.end(Err((*sentence).to_owned()));
            }
            (Event::UpgradeAsked, actions) if actions.contains(&Action::StartSuccessor) => {
                seen.begin();
                seen.stage = Stage::Starting;
            }
            (Event::SuccessorReady, _) if transition.to.state == State::Retiring => {
                seen.stage = Stage::Yielding;
                seen.ready_after = seen.elapsed();
            }
            _ => {}
        });
    }

    fn after(&mut self, transition: &Transition) {
        let accepts = transition.event == Event::SuccessorAccepts && transition.from.state == State::Retiring;
        self.progress.0.send_modify(|seen| {
            seen.older = transition.to.older;
            match transition.to.state {
                State::Serving if transition.from.state != State::Serving => seen.stage = Stage::Serving,
                State::Retiring if accepts => {
                    seen.stage = Stage::Probation;
                    seen.accepts_after = seen.elapsed();
                }
                State::Committed if seen.stage == Stage::Probation => seen.pass(),
                // A deadline that the clock of the drain met first is no failure of the successor.
                State::Ended if seen.stage == Stage::Probation && transition.event == Event::DeadlinePassed => {
                    seen.pass();
                }
                State::Stopping | State::Ended | State::Committed if seen.stage != Stage::Replaced => {
                    if matches!(seen.stage, Stage::Starting | Stage::Yielding | Stage::Probation) {
                        seen.end(Err("the service was told to stop meanwhile".to_owned()));
                    }
                    seen.stage = Stage::Stopping;
                }
                _ => {}
            }
        });
        if accepts {
            self.probation.begin(&self.progress, self.rejecter.clone());
        }
    }

    fn failed(&mut self, reason: &str) {
        self.progress.0.send_modify(|seen| {
            seen.end(Err(reason.to_owned()));
            seen.stage = Stage::Serving;
        });
    }
}
