//! The loop around the [lifecycle](crate::lifecycle): it waits for events, and performs actions or hands them on.
//!
//! The invariant: there is one loop, and it decides nothing: every event goes through the table. Its other state is
//! what the actions are performed on.

use std::collections::BTreeSet;
use std::error::Error;
use std::future::pending;
use std::io;
use std::mem;
use std::pin::{Pin, pin};
use std::process::{self, ExitCode};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use graceful_shutdown::{ONE_WISH, Outcome};
use signal_channel::{Signal, die_by};
use tokio::time::{Instant, sleep_until};

use crate::channel::{Channel, Message};
use crate::lifecycle::{Action, Event, Life, State, Timeout, next};
use crate::observe::Transition;
use crate::process_1::let_it_be_succeeded;
use crate::serve::Named;
use crate::successor::Successor;
use crate::upgrader::Upgrader;

/// How long we give the predecessor to learn that we accept, before we log it: it takes a millisecond, and readers of
/// the line should not wait for a process that hangs.
const KNOWN_WITHIN: Duration = Duration::from_secs(1);

/// What the server has to do next.
#[derive(Debug)]
pub enum Step {
    /// See [`Serve::accept`](crate::Serve::accept).
    Accept(Vec<Named>),
    /// See [`Serve::retire`](crate::Serve::retire).
    Retire(Vec<Named>),
    /// See [`Serve::stop`](crate::Serve::stop).
    Stop,
    /// Cut what is not answered yet, if anything is left, and end the process.
    End(Ending),
}

/// Why a process ends.
#[derive(Debug)]
pub enum Ending {
    /// It is drained, or its deadline has passed: the outcome tells which.
    Drained,
    /// It was asked to stop twice, the second time by this signal.
    CutShort(Signal),
    /// It cannot accept from its listeners.
    CannotAccept(Box<dyn Error + Send + Sync>),
}

impl Ending {
    /// The exit status of the process. Dies by the signal that cut it short: call it last.
    ///
    /// # Errors
    /// If the process could not accept from its listeners.
    pub fn code(self, outcome: Outcome) -> io::Result<ExitCode> {
        match self {
            Ending::Drained => Ok(outcome.code().into()),
            Ending::CutShort(signal) => Ok(die_by(signal)),
            Ending::CannotAccept(error) => Err(io::Error::other(error)),
        }
    }
}

/// One process's part in the life of the server, from its readiness to its end.
pub struct Runner {
    /// What this process began with, including its listeners.
    own: Upgrader,
    /// The channel to the generation before this one, for as long as that is alive.
    predecessor: Option<Channel>,
    successor: Option<Successor>,
    /// Listeners that the successor has no use for.
    unused: BTreeSet<String>,
    life: Life,
    /// The transition whose actions are being performed, and those that are left.
    performing: Option<Transition>,
    todo: std::slice::Iter<'static, Action>,
    /// An event that this process caused itself, or that a stop overtook, and that comes first.
    caused: Option<Event>,
    /// When the timeout of `life` passes. `None`: never.
    deadline: Option<Instant>,
    /// When to log at the latest that we accept, if that is not logged yet. Until the predecessor knows it, a stop that
    /// it gets is meant for both; but a reader of the line may send it one that is meant for the old process alone.
    announce_by: Option<Instant>,
    /// Why the successor is of no use, if that is known before its end.
    failure: Option<String>,
    asked: Asked,
    cannot_accept: Option<Box<dyn Error + Send + Sync>>,
}

impl Runner {
    pub(crate) fn new(mut own: Upgrader) -> io::Result<Runner> {
        let predecessor = own.predecessor.take().map(Channel::new).transpose()?;
        if let Some(predecessor) = &predecessor {
            predecessor.send(&Message::Ready { unused: mem::take(&mut own.unused) });
        }
        Ok(Runner {
            // The first generation waits for no other.
            caused: predecessor.is_none().then_some(Event::Activated),
            predecessor,
            successor: None,
            unused: BTreeSet::new(),
            life: Life::begins(own.older),
            performing: None,
            todo: [].iter(),
            deadline: None,
            announce_by: None,
            failure: None,
            asked: Asked::default(),
            cannot_accept: None,
            own,
        })
    }

    // ANCHOR: next
    /// Waits until the server has to do something, and returns what. `drained` completes once nothing is left to drain.
    ///
    /// Cancel it only when the process ends: an upgrade that was begun would be forgotten.
    pub async fn next(&mut self, drained: impl Future<Output = ()>) -> Step {
        let mut drained = pin!(drained);
        loop {
            while let Some(action) = self.todo.next() {
                if let Some(step) = self.perform(*action).await {
                    return step;
                }
            }
            if let Some(transition) = self.performing.take() {
                self.performed(&transition);
                if transition.event == Event::SuccessorGone {
                    // No action was to dismiss it. It is reaped, or it would be gone again and again.
                    self.end_successor().await;
                }
                if transition.to.state == State::Ended {
                    return Step::End(self.ending(&transition));
                }
            }
            let event = if let Some(event) = self.caused.take() {
                event
            } else {
                let event = self.event(drained.as_mut()).await;
                self.in_order(event).await
            };
            self.enter(event);
        }
    }

    /// Takes an event through the table.
    fn enter(&mut self, event: Event) {
        let from = self.life;
        let (to, actions) = next(from, event);
        tracing::debug!(process = process::id(), ?from, ?event, ?to, ?actions);
        let transition = Transition { from, event, to, actions };
        self.life = to;
        if to.timeout() != from.timeout() {
            // `None`: a deadline that the clock cannot express is none.
            let deadline = to.timeout().and_then(|timeout| Instant::now().checked_add(self.limit(timeout)));
            // A stop gives a drain no extra time.
            let earlier = self.deadline.filter(|_| drains(from) && drains(to));
            self.deadline = deadline.into_iter().chain(earlier).min();
        }
        self.own.observers.iter_mut().for_each(|observer| observer.before(&transition));
        self.performing = Some(transition);
        self.todo = actions.iter();
    }
    // ANCHOR_END: next

    /// All actions of a transition have been performed.
    fn performed(&mut self, transition: &Transition) {
        self.own.observers.iter_mut().for_each(|observer| observer.after(transition));
        if self.cannot_accept.is_none() && transition.actions.contains(&Action::Accept) {
            // Once all observers know it: until then, the predecessor answers for us.
            self.to_predecessor(&Message::Accepting);
            self.announce_by = Some(Instant::now() + KNOWN_WITHIN);
            if self.predecessor.is_none() {
                self.announce();
            }
        }
        if transition.event == Event::SuccessorAccepts {
            self.to_successor(&Message::Replaced);
        }
        let begins_to_drain = drains(transition.to) && !drains(transition.from);
        if begins_to_drain && !transition.actions.contains(&Action::ActivateSuccessor) {
            self.log_draining();
        }
        if matches!(transition.event, Event::StopAsked | Event::StopPassedOn) {
            // Last of all: a signal that came in the meantime may belong to this stop, and is only read now.
            self.asked.renew(Instant::now());
        }
    }

    fn announce(&mut self) {
        if self.announce_by.take().is_some() && matches!(self.life.state, State::Serving | State::Upgrading) {
            self.own.listeners.log(self.own.generation);
        }
    }

    /// Logged once the server drains, and before a successor logs that it listens: readers can rely on the order.
    fn log_draining(&self) {
        let timeout = self.life.timeout().map(|timeout| self.limit(timeout)).unwrap_or_default();
        tracing::info!(pid = process::id(), ?timeout, "draining");
    }

    fn limit(&self, timeout: Timeout) -> Duration {
        match timeout {
            Timeout::Ready => self.own.limits.ready_timeout,
            Timeout::Drain => self.own.limits.drain_timeout,
            Timeout::Stop => self.own.stop_timeout,
        }
    }

    // ANCHOR: event
    async fn event(&mut self, mut drained: Pin<&mut impl Future<Output = ()>>) -> Event {
        // The successor could not even be started.
        if self.life.state == State::Upgrading && self.successor.is_none() {
            return Event::SuccessorGone;
        }
        let drains = drains(self.life) && !self.life.drained;
        loop {
            tokio::select! {
                // Signals first: a SIGTERM that came while the successor was started ends both, however soon the
                // successor was ready.
                biased;
                Some(signal) = self.own.stops.recv() => {
                    if self.asked.is_a_wish(signal, Instant::now()) {
                        return Event::StopAsked;
                    }
                }
                Some(_) = self.own.upgrades.recv() => return Event::UpgradeAsked,
                message = from_predecessor(self.predecessor.as_ref()) => {
                    if let Some(event) = self.predecessor_says(message.as_ref()) {
                        return event;
                    }
                }
                message = from_successor(self.successor.as_mut()) => {
                    if let Some(event) = self.successor_says(message) {
                        return event;
                    }
                }
                () = drained.as_mut(), if drains => return Event::Drained,
                Some(reason) = self.own.rejections.recv() => {
                    if self.life.state == State::Retiring {
                        self.failure = Some(reason);
                        return Event::SuccessorRejected;
                    }
                }
                () = until(self.announce_by) => self.announce(),
                () = until(self.deadline) => {
                    self.deadline = None;
                    if self.life.timeout() == Some(Timeout::Ready) {
                        self.failure = Some(format!("it was not ready within {:?}", self.own.limits.ready_timeout));
                    }
                    return Event::DeadlinePassed;
                }
            }
        }
    }
    // ANCHOR_END: event

    /// The event, or a stop that came before it: a signal takes some time from its handler to us, and a process that
    /// was asked to stop must not put its successor in charge meanwhile.
    async fn in_order(&mut self, event: Event) -> Event {
        // A successor that is gone cannot stop in our place: first, we must be in charge again.
        if event == Event::SuccessorGone || self.asked.by.is_some() || !self.own.stop_caught.load(SeqCst) {
            return event;
        }
        if let Some(signal) = self.own.stops.recv().await {
            self.asked.is_a_wish(signal, Instant::now());
        }
        // A stop ends the wait for the successor, so its time does not matter any more.
        if event != Event::DeadlinePassed || self.life.timeout() != Some(Timeout::Ready) {
            self.caused = Some(event);
        }
        Event::StopAsked
    }

    fn predecessor_says(&mut self, message: Option<&Message>) -> Option<Event> {
        let (older, event) = match message {
            Some(Message::Activate) => return Some(Event::Activated),
            Some(Message::Stop) => return Some(self.stop_passed_on()),
            Some(Message::Replaced) => {
                self.announce();
                return None;
            }
            Some(Message::Older(older)) => (*older, Event::Older(*older)),
            Some(_) => return None,
            // If it was killed, older generations may still drain. None can tell us when it ends, so they do not count.
            None => (0, Event::PredecessorGone),
        };
        tracing::info!(older, generation = self.own.generation, "an older generation has ended");
        if message.is_none() {
            self.predecessor = None;
            self.announce();
        }
        Some(event)
    }

    fn stop_passed_on(&mut self) -> Event {
        // A signal that comes with it is the same wish.
        self.asked.is_a_wish(Signal::SIGTERM, Instant::now());
        Event::StopPassedOn
    }

    fn successor_says(&mut self, message: Result<Message, Option<String>>) -> Option<Event> {
        match message {
            Ok(Message::Ready { unused }) => {
                self.unused = unused;
                Some(Event::SuccessorReady)
            }
            Ok(Message::Accepting) => Some(Event::SuccessorAccepts),
            Ok(Message::Committed) => Some(Event::SuccessorCommitted),
            Ok(Message::Stop) => Some(self.stop_passed_on()),
            Ok(_) => None,
            Err(why) => {
                self.failure = self.failure.take().or(why);
                Some(Event::SuccessorGone)
            }
        }
    }

    /// Performs an action, or returns what the server has to do for it.
    async fn perform(&mut self, action: Action) -> Option<Step> {
        match action {
            Action::Refuse(sentence) => tracing::warn!("{sentence}"),
            Action::StartSuccessor => match self.start_successor() {
                Ok(successor) => self.successor = Some(successor),
                Err(error) => self.failure = Some(format!("cannot start {}: {error}", self.own.program.path.display())),
            },
            Action::Accept => return self.accept(),
            Action::Retire => return Some(Step::Retire(self.own.listeners.leave_to_successor(&self.unused))),
            Action::ActivateSuccessor => {
                self.log_draining();
                self.to_successor(&Message::Activate);
            }
            Action::TellOlder => self.to_successor(&Message::Older(self.life.older.saturating_add(1))),
            Action::CommitToPredecessor => self.to_predecessor(&Message::Committed),
            Action::StopPredecessor => self.to_predecessor(&Message::Stop),
            Action::StopSuccessor => self.to_successor(&Message::Stop),
            Action::KillSuccessor => {
                if let Some(successor) = &mut self.successor {
                    successor.kill();
                }
            }
            Action::DismissSuccessor => {
                let (end, was_told_to_stop) = self.end_successor().await.unwrap_or_default();
                if was_told_to_stop {
                    // It was too slow, and would have passed this on.
                    self.caused = Some(self.stop_passed_on());
                }
                let reasons: Vec<_> = self.failure.take().into_iter().chain(end).collect();
                let reason = reasons.join(", ");
                tracing::error!(reason, "upgrade failed, this process serves on");
                self.own.observers.iter_mut().for_each(|observer| observer.failed(&reason));
            }
            Action::EndSuccessor => {
                let end = self.end_successor().await.and_then(|(end, _)| end);
                tracing::info!(end, "the successor was told to stop with us");
            }
            Action::Stop => {
                // In this order: our own descriptors are closed, then the server empties the queues through its copies.
                self.own.listeners.close();
                return Some(Step::Stop);
            }
            Action::GiveUpListeners => self.own.listeners.close(),
            // `Step::End` tells the server to cut.
            Action::Cut => {}
        }
        None
    }

    fn accept(&mut self) -> Option<Step> {
        let (listeners, mut errors) = self.own.listeners.copies();
        // If a new process cannot, its predecessor accepts again. If one that comes back cannot, no process does.
        let comes_back = self.performing.is_some_and(|transition| transition.from.state == State::Retiring);
        if comes_back {
            let then = if listeners.is_empty() { "start the server again" } else { "upgrade" };
            for error in &errors {
                tracing::error!("{error}; then {then}");
            }
        }
        if !errors.is_empty() && (listeners.is_empty() || !comes_back) {
            self.cannot_accept(errors.swap_remove(0));
            return None;
        }
        self.own.listeners.take_files();
        Some(Step::Accept(listeners))
    }

    /// Reports that the server cannot accept from the listeners that it was given.
    pub fn cannot_accept(&mut self, error: impl Into<Box<dyn Error + Send + Sync>>) {
        self.cannot_accept = Some(error.into());
        self.caused = Some(Event::CannotAccept);
    }

    fn start_successor(&mut self) -> Result<Successor, Box<dyn Error>> {
        if !self.own.started_by_us {
            let_it_be_succeeded()?;
        }
        let mut passed = self.own.listeners.pass()?;
        for pass in &mut self.own.pass {
            for (name, fd) in pass()? {
                passed.add(&name, fd)?;
            }
        }
        let files = self.own.listeners.files();
        let (generation, older) = (self.own.generation + 1, self.life.older.saturating_add(1));
        Ok(Successor::start(&self.own.program, passed, &Message::Handshake { generation, older, files })?)
    }

    /// How the successor ended, and whether it was told to stop before we have heard of it.
    async fn end_successor(&mut self) -> Option<(Option<String>, bool)> {
        Some(self.successor.take()?.dismiss().await)
    }

    fn to_successor(&self, message: &Message) {
        if let Some(successor) = &self.successor {
            successor.send(message);
        }
    }

    fn to_predecessor(&self, message: &Message) {
        if let Some(predecessor) = &self.predecessor {
            predecessor.send(message);
        }
    }

    fn ending(&mut self, last: &Transition) -> Ending {
        match (self.cannot_accept.take(), self.asked.by) {
            (Some(error), _) => Ending::CannotAccept(error),
            (None, Some((signal, _))) if last.event == Event::StopAsked && last.actions.contains(&Action::Cut) => {
                Ending::CutShort(signal)
            }
            (None, _) => Ending::Drained,
        }
    }
}

impl Drop for Runner {
    /// Leaves the channel open: the predecessor takes its end for the end of this process, and kills the process if
    /// that takes long, but `main` may still have to say what went wrong.
    fn drop(&mut self) {
        mem::forget(self.predecessor.take());
    }
}

fn drains(life: Life) -> bool {
    matches!(life.timeout(), Some(Timeout::Drain | Timeout::Stop))
}

/// How this process was asked to stop.
#[derive(Default)]
struct Asked {
    /// By which signal, and when it came last. If asked again, we die by the later signal.
    by: Option<(Signal, Instant)>,
}

impl Asked {
    /// Whether a signal is a wish of its own, and not the last one delivered again, which may happen more than once.
    fn is_a_wish(&mut self, signal: Signal, now: Instant) -> bool {
        match self.by {
            Some((first, last)) if now < last + ONE_WISH => {
                self.by = Some((first, now));
                false
            }
            _ => {
                self.by = Some((signal, now));
                true
            }
        }
    }

    fn renew(&mut self, now: Instant) {
        self.by = self.by.map(|(signal, _)| (signal, now));
    }
}

/// The next message from the predecessor, or `None` at its end. Without a predecessor, waits for ever.
async fn from_predecessor(channel: Option<&Channel>) -> Option<Message> {
    match channel {
        Some(channel) => channel.receive().await,
        None => pending().await,
    }
}

async fn from_successor(successor: Option<&mut Successor>) -> Result<Message, Option<String>> {
    match successor {
        Some(successor) => successor.receive().await,
        None => pending().await,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_that_come_close_together_are_one_wish_however_many_they_are() {
        let (mut asked, mut now) = (Asked::default(), Instant::now());
        assert!(asked.is_a_wish(Signal::SIGTERM, now));
        for _ in 0..3 {
            now += ONE_WISH * 4 / 5;
            assert!(!asked.is_a_wish(Signal::SIGTERM, now));
        }
        assert!(asked.is_a_wish(Signal::SIGTERM, now + ONE_WISH), "a later one is a wish of its own");
    }
}
