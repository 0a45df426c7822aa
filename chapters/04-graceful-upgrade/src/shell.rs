// ANCHOR: all
//! The shell around the [lifecycle](crate::lifecycle): it waits for events and performs actions.
//!
//! The invariant: there is one loop, and it decides nothing: every event goes through the table.

use std::error::Error;
use std::future::pending;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use graceful_shutdown::{Heir, Outcome, Server};
use signal_channel::{Receiver, Signal, exit};
use tokio::time::{Instant, sleep_until};

use crate::channel::{Channel, Names, Word, pair};
use crate::handover::{Adopter, CONNECTIONS, Handover};
use crate::keeper::KEEPER;
use crate::lifecycle::{Action, Event, State, next};
use crate::listening::Listeners;
use crate::pid_file::PidFile;
use crate::program::Program;
use crate::reserve::{Reserve, to_accept_again, to_start_a_successor};
use crate::successor::Successor;

// ANCHOR: most_generations
/// Generations that may be alive at a time: one that serves and four that drain. Not counted are those whose successor was
/// killed in its drain.
///
/// Each is a whole process with its memory, and a drain ends by its deadline: whoever asks for a fifth upgrade within one
/// drain timeout is a script gone wild.
const MOST_GENERATIONS: usize = 5;
// ANCHOR_END: most_generations

/// One process's part in the life of the server.
pub(crate) struct Shell {
    pub(crate) generation: u64,
    pub(crate) drain_timeout: Duration,
    pub(crate) ready_timeout: Duration,
    pub(crate) program: Program,
    pub(crate) server: Arc<Server>,
    pub(crate) listeners: Listeners,
    pub(crate) reserve: Reserve,
    pub(crate) pid_file: Option<PidFile>,
    pub(crate) signals: Receiver,
    /// The channel to the generation before this one, for as long as that is alive.
    pub(crate) predecessor: Option<Channel>,
    /// Older generations that are alive.
    pub(crate) older: usize,
    /// The channel to process 1, where that is not us but ours: see [`crate::keeper`].
    pub(crate) keeper: Option<Channel>,
    /// How connections go to a successor, if they do.
    pub(crate) handover: Option<Box<dyn Handover>>,
    /// Where they come from the predecessor; until we serve.
    pub(crate) arrivals: Option<OwnedFd>,
    pub(crate) progress: Progress,
}

/// What comes and goes in a life.
#[derive(Default)]
pub(crate) struct Progress {
    successor: Option<Successor>,
    /// Where connections go to it; until they do.
    departures: Option<OwnedFd>,
    /// Why the successor is of no use, as soon as that is known.
    failure: Option<String>,
    /// Listeners that the successor has no use for.
    unused: Names,
    /// Whether we have ever accepted.
    served: bool,
    /// Whether a successor has our place, and with it the pid file and the socket files.
    replaced: bool,
    /// When the successor has to be ready; in a drain, when the drain has to be over.
    deadline: Option<Instant>,
    /// What the drain came to, if it was cut.
    outcome: Option<Outcome>,
    /// Who asked us to stop. Asked again, we die by it.
    asked_by: Option<Signal>,
}

impl Shell {
    // ANCHOR: run
    /// Runs from `state` on until nothing is left to do.
    pub(crate) async fn run(mut self, mut state: State) -> ExitCode {
        loop {
            let event = self.event(state).await;
            let (to, actions) = next(state, event);
            tracing::debug!(from = ?state, ?event, ?to, ?actions);
            for action in actions {
                self.perform(*action).await;
            }
            self.reserve.fill();
            state = to;
            if state == State::Ended {
                return self.end(event).await;
            }
        }
    }

    async fn event(&mut self, state: State) -> Event {
        // The successor could not even be started.
        if state == State::Upgrading && self.progress.successor.is_none() {
            return Event::SuccessorGone;
        }
        // A generation that drains outlives the one before it, unless it is killed, or cut before that one is. So its end
        // tells the one after it that no older one is left, and whoever may have to come back has somebody to come back to.
        let draining = matches!(state, State::Retiring | State::Settled | State::Stopping);
        let may_end = draining && (self.older == 0 || !self.progress.replaced);
        // All generations hold the same end of the keeper's channel; it means the one that serves.
        let serves = self.progress.served && !self.progress.replaced;
        loop {
            tokio::select! {
                // Signals first: a SIGTERM that came while the successor was started ends both, however soon that one
                // was ready.
                biased;
                Some(signal) = self.signals.recv() => return self.asked(signal),
                word = hear(self.predecessor.as_ref()) => {
                    if let Some(event) = self.heard_from_predecessor(word.as_ref()) {
                        return event;
                    }
                }
                word = hear(self.progress.successor.as_ref().map(Successor::channel)) => {
                    if let Some(event) = self.heard_from_successor(word).await {
                        return event;
                    }
                }
                Some(Word::Signal(number)) = hear(self.keeper.as_ref()), if serves => {
                    if let Ok(signal) = Signal::try_from(number) {
                        return self.asked(signal);
                    }
                }
                () = self.server.drained(), if may_end => return Event::Drained,
                () = until(self.progress.deadline) => {
                    self.progress.deadline = None;
                    if state != State::Upgrading {
                        return Event::DeadlinePassed;
                    }
                    self.progress.failure = Some(format!("it was not ready within {:?}", self.ready_timeout));
                    return Event::SuccessorGone;
                }
            }
        }
    }
    // ANCHOR_END: run

    fn asked(&mut self, signal: Signal) -> Event {
        match signal {
            Signal::SIGUSR2 if self.older + 1 < MOST_GENERATIONS => Event::UpgradeAsked,
            Signal::SIGUSR2 => Event::UpgradeAskedOfTooMany,
            _ => {
                self.progress.asked_by = Some(signal);
                Event::StopAsked
            }
        }
    }

    fn heard_from_predecessor(&mut self, word: Option<&Word>) -> Option<Event> {
        let older = match word {
            Some(Word::YourTurn) => return Some(Event::PredecessorYields),
            Some(Word::Older(older)) => *older,
            Some(_) => return None,
            // If it was killed, those before it may drain on. Nobody can tell us when they end, so we do not count them.
            None => 0,
        };
        // The keeper plays a predecessor, and is no generation.
        if self.older > 0 {
            tracing::info!(older, generation = self.generation, "an older generation has ended");
        }
        self.older = older;
        if older == 0 {
            self.predecessor = None;
        }
        if let Some(successor) = &self.progress.successor {
            successor.channel().say(&Word::Older(older + 1));
        }
        (older == 0).then_some(Event::PredecessorGone)
    }

    // ANCHOR: heard_from_successor
    async fn heard_from_successor(&mut self, word: Option<Word>) -> Option<Event> {
        match word {
            Some(Word::Ready { unused }) => {
                if unused.contains(CONNECTIONS) {
                    self.progress.departures = None;
                }
                self.progress.unused = unused;
                Some(Event::SuccessorReady)
            }
            Some(Word::Settled) => Some(Event::SuccessorSettled),
            Some(_) => None,
            None => {
                let successor = self.progress.successor.take()?;
                self.progress.failure = Some(successor.dismiss().await);
                Some(Event::SuccessorGone)
            }
        }
    }
    // ANCHOR_END: heard_from_successor

    async fn perform(&mut self, action: Action) {
        match action {
            Action::StartSuccessor => self.start_successor().await,
            Action::Refuse(sentence) => tracing::warn!("{sentence}"),
            Action::Accept => {
                if self.progress.replaced {
                    self.server.resume();
                }
                self.progress.served = true;
                self.progress.replaced = false;
                self.progress.deadline = None;
                self.reserve.release(to_accept_again(self.listeners.count()));
                if let Err(error) = self.listeners.accept(&self.server, self.generation) {
                    tracing::error!("{error}");
                }
                self.adopt_connections();
            }
            // ANCHOR: retire
            Action::Retire => {
                match self.heir() {
                    Some(heir) => self.server.hand_over(heir),
                    None => self.server.retire(),
                }
                self.listeners.leave_to_successor(&self.server, &self.progress.unused);
                self.progress.replaced = true;
                self.begin_drain();
            }
            Action::YieldToSuccessor => {
                if let Some(successor) = &self.progress.successor {
                    successor.channel().say(&Word::YourTurn);
                }
            }
            // ANCHOR_END: retire
            Action::SettlePredecessor => {
                if let Some(predecessor) = &self.predecessor {
                    predecessor.say(&Word::Settled);
                }
            }
            Action::DismissSuccessor => self.dismiss_successor().await,
            Action::EndSuccessor => {
                if let Some(successor) = self.progress.successor.take() {
                    let end = successor.dismiss().await;
                    tracing::info!(end, "the successor was told to stop with us");
                }
                self.restore_pid_file();
            }
            Action::Stop => {
                // In this order: our own descriptors go, the server's copies are what the queues are emptied from.
                self.listeners.close();
                self.server.stop();
                self.begin_drain();
            }
            Action::GiveUpListeners => self.listeners.close(),
            Action::Cut => self.progress.outcome = Some(self.server.cut().await),
        }
    }

    // ANCHOR: connections
    /// Who takes our connections, if somebody does.
    fn heir(&mut self) -> Option<Arc<dyn Heir>> {
        let heir = self.handover.as_ref()?.heir(self.progress.departures.take()?);
        heir.inspect_err(|error| tracing::error!(%error, "connections cannot be handed over")).ok()
    }

    /// Serves what comes from the predecessor, for as long as we keep connections ourselves.
    fn adopt_connections(&mut self) {
        let (Some(handover), Some(channel)) = (&self.handover, self.arrivals.take()) else { return };
        let adopter = Adopter::new(Arc::clone(&self.server), self.listeners.adopt());
        match handover.arrivals(channel, adopter) {
            Ok(arrivals) => {
                let draining = self.server.draining();
                self.server.expect_more_from(async move {
                    tokio::select! {
                        () = draining.closing() => {}
                        () = arrivals => {}
                    }
                });
            }
            Err(error) => tracing::error!(%error, "connections cannot be taken over"),
        }
    }
    // ANCHOR_END: connections

    fn begin_drain(&mut self) {
        self.progress.deadline = Some(Instant::now() + self.drain_timeout);
        tracing::info!(pid = std::process::id(), timeout = ?self.drain_timeout, "draining");
    }

    async fn start_successor(&mut self) {
        let file_ids = self.listeners.file_ids();
        let files = file_ids.keys().cloned().collect();
        let hello = Word::Hello { generation: self.generation + 1, older: self.older + 1, files, file_ids };
        match self.bequeath_to_successor(&hello).await {
            Ok(successor) => {
                tracing::info!(successor = %successor.pid(), program = %self.program.path().display(), "upgrading");
                self.progress.deadline = Some(Instant::now() + self.ready_timeout);
                self.progress.successor = Some(successor);
            }
            Err(error) => {
                self.progress.failure = Some(format!("cannot start {}: {error}", self.program.path().display()));
            }
        }
    }

    async fn bequeath_to_successor(&mut self, hello: &Word) -> Result<Successor, Box<dyn Error>> {
        self.reserve.release(to_start_a_successor(self.listeners.count()));
        let mut bequest = self.listeners.bequeath()?;
        // Held until the successor has its own.
        let arrivals;
        self.progress.departures = None;
        if self.handover.is_some() {
            let (departures, theirs) = pair()?;
            self.progress.departures = Some(departures);
            arrivals = theirs;
            bequest.add(CONNECTIONS, arrivals.as_fd())?;
        }
        if let Some(keeper) = &self.keeper {
            bequest.add(KEEPER, keeper.as_fd())?;
        }
        let successor = Successor::start(&self.program, bequest, hello)?;
        self.reserve.fill();
        Ok(successor.await?)
    }

    // ANCHOR: dismiss_successor
    async fn dismiss_successor(&mut self) {
        self.progress.deadline = None;
        let mut reasons: Vec<_> = self.progress.failure.take().into_iter().collect();
        if let Some(successor) = self.progress.successor.take() {
            reasons.push(successor.dismiss().await);
        }
        self.restore_pid_file();
        tracing::error!(reason = reasons.join(", "), "upgrade failed, this process serves on");
    }
    // ANCHOR_END: dismiss_successor

    fn restore_pid_file(&mut self) {
        self.reserve.release(1);
        if let Some(Err(error)) = self.pid_file.as_ref().map(PidFile::write) {
            tracing::error!(%error, "cannot restore the pid file");
        }
    }

    // ANCHOR: end
    async fn end(self, last: Event) -> ExitCode {
        let outcome = match self.progress.outcome {
            Some(outcome) => outcome,
            // Nothing is left to cut: it says what was answered.
            None => self.server.cut().await,
        };
        outcome.report();
        // Now: who dies by a signal drops nothing.
        drop(self.pid_file);
        let cut_short_by = self.progress.asked_by.filter(|_| last == Event::StopAsked);
        if let Some(keeper) = self.keeper.filter(|_| !self.progress.replaced) {
            let code = cut_short_by.map_or(outcome.code(), |signal| 128 + signal as u8);
            keeper.say(&Word::Status(code));
        }
        cut_short_by.map_or_else(|| outcome.code().into(), exit::die_by)
    }
    // ANCHOR_END: end
}

/// The next word, or the end, from somebody who is there; never, from somebody who is not.
async fn hear(channel: Option<&Channel>) -> Option<Word> {
    match channel {
        Some(channel) => channel.hear().await,
        None => pending().await,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}
// ANCHOR_END: all
