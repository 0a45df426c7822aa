//! The log of real processes, taken through the model: each transition of theirs has to be a step that the model allows.
//!
//! The invariant: what is not logged (an action is performed, a process ends) is put in where a logged transition depends on
//! it, in every order that is possible, and nowhere else. So a message that is read was sent, a process that is said to be gone
//! logs no more, and a log is refused only if no order explains it.

use std::fmt::Write as _;

use graceful_upgrade::lifecycle::{Action, EVENTS, Event, Life, STATES, State, next};

use crate::model::{Id, Limits, MOST, Message, Phase, Process, Socket, Step, World};
use crate::rules::Rules;

/// A log does not tell which connections a process has, or whether it waits for the end of a probation: so a drain may end at
/// any time.
const RULES: Rules = Rules { probation: false, handover: false, supervised: false, at_once: false, mutant: None };

/// But a successor may be rejected.
const PROBATION: Rules = Rules { probation: true, ..RULES };

/// In a log, as much happens as happens.
const NO_LIMITS: Limits = Limits { generations: 9, crashes: 9, stops: 9, rejections: 9, clients: 0 };

/// Takes the transitions that the processes of a service have logged, in their order, through the model.
///
/// # Errors
/// The first line that the model does not allow, and where it would be then.
pub fn replay<'log>(lines: impl IntoIterator<Item = &'log str>) -> Result<(), String> {
    // A supervisor may start a service again: each first generation begins a world of its own.
    let mut services: Vec<Vec<History>> = Vec::new();
    for line in lines {
        let logged = Logged::parse(line).ok_or_else(|| format!("this transition is none of the table's:\n{line}"))?;
        if logged.from == Life::begins(0) && logged.event == Event::Activated {
            services.push(vec![History::begin(&logged)]);
            continue;
        }
        let after = |histories: &Vec<History>| {
            let mut after: Vec<History> = Vec::new();
            for history in histories.iter().flat_map(|history| history.after(&logged)) {
                if !after.contains(&history) {
                    after.push(history);
                }
            }
            after
        };
        // The last one first: a pid may have been another process's before.
        match services.iter_mut().rev().find_map(|it| Some((after(it), it)).filter(|(after, _)| !after.is_empty())) {
            Some((after, histories)) => *histories = after,
            None => return Err(refused(line, &services)),
        }
    }
    Ok(())
}

fn refused(line: &str, services: &[Vec<History>]) -> String {
    let mut why = format!("the model does not allow this transition:\n{line}\n");
    for history in services.iter().flatten() {
        let _ = writeln!(why, "where it would be:");
        for (it, pid) in
            history.world.processes.iter().zip(history.pids).filter(|(it, _)| it.phase != Phase::NotStarted)
        {
            let _ = writeln!(why, "  process {pid:?}: {it:?}");
        }
    }
    why
}

/// A transition, as a process logs it.
struct Logged {
    process: u32,
    from: Life,
    event: Event,
    to: Life,
}

impl Logged {
    /// `None` if it is none of the table's.
    fn parse(line: &str) -> Option<Logged> {
        let (_, fields) = line.split_once(" process=")?;
        let (process, fields) = fields.split_once(" from=")?;
        let (from, fields) = fields.split_once(" event=")?;
        let (event, fields) = fields.split_once(" to=")?;
        let (to, actions) = fields.split_once(" actions=")?;
        let (from, event, to) = (life(from)?, event_of(event)?, life(to)?);
        let (goes_to, performs) = next(from, event);
        let logged = Logged { process: process.parse().ok()?, from, event, to };
        (goes_to == to && format!("{performs:?}") == actions).then_some(logged)
    }
}

fn life(text: &str) -> Option<Life> {
    let field = |name: &str| text.split_once(&format!("{name}: "))?.1.split([',', ' ']).next();
    let state = STATES.into_iter().find(|it| Some(&*format!("{it:?}")) == field("state"))?;
    let flag = |name| field(name)?.parse().ok();
    Some(Life { state, older: field("older")?.parse().ok()?, drained: flag("drained")?, replaced: flag("replaced")? })
}

fn event_of(text: &str) -> Option<Event> {
    match text.strip_prefix("Older(") {
        Some(older) => Some(Event::Older(older.strip_suffix(')')?.parse().ok()?)),
        None => EVENTS.into_iter().find(|it| format!("{it:?}") == text),
    }
}

/// The message that is such an event when it is read; `None` for the end of a channel.
fn message(event: Event) -> Option<Message> {
    match event {
        Event::Activated => Some(Message::Activate),
        Event::Older(older) => Some(Message::Older(older)),
        Event::StopPassedOn => Some(Message::Stop),
        Event::SuccessorReady => Some(Message::Ready),
        Event::SuccessorAccepts => Some(Message::Accepting),
        Event::SuccessorCommitted => Some(Message::Committed),
        _ => None,
    }
}

/// Which neighbour a message comes from.
#[derive(Clone, Copy)]
enum Neighbour {
    Predecessor,
    Successor,
}

/// One explanation of the log up to here.
#[derive(Clone, PartialEq)]
struct History {
    world: World,
    /// Which process of the world this one is, once that has logged something.
    pids: [Option<u32>; MOST],
}

impl History {
    /// A first generation, whose turn has come.
    fn begin(logged: &Logged) -> History {
        let mut world = World::new(NO_LIMITS, &RULES);
        world.processes[0].performing = Some((logged.from, logged.event, 0));
        let mut pids = [None; MOST];
        pids[0] = Some(logged.process);
        History { world, pids }
    }

    /// Everything that it may be after this transition.
    fn after(&self, logged: &Logged) -> Vec<History> {
        let mut after = Vec::new();
        for (history, id) in self.whose(logged) {
            for (history, caused) in history.performed(id, logged.event == Event::CannotAccept) {
                match caused {
                    Some(event) => after.extend((event == logged.event).then_some((history, id))),
                    None => after.extend(history.take(id, logged.event).into_iter().map(|history| (history, id))),
                }
            }
        }
        after.retain(|(history, id)| history.world.process(*id).life == logged.to);
        after.into_iter().map(|(history, id)| history.ended(id).without_the_gone()).collect()
    }

    /// The process that has logged it: the one with this pid, or each one that has logged nothing so far.
    fn whose(&self, logged: &Logged) -> Vec<(History, Id)> {
        let bound = |id: &Id| self.pids[usize::from(*id)] == Some(logged.process) && self.world.process(*id).is_alive();
        if let Some(id) = (0..).take(MOST).find(bound) {
            let is_there = self.world.process(id).life == logged.from;
            return is_there.then(|| (self.clone(), id)).into_iter().collect();
        }
        let mut them = Vec::new();
        for history in [self.clone()].into_iter().chain(self.with_one_started()) {
            for (id, process) in (0..).zip(&history.world.processes).filter(|(_, it)| it.is_alive()) {
                let starts = process.phase == Phase::Starting;
                let begun = if starts { history.step(Step::Start(id)) } else { Some(history.clone()) };
                let begun = begun.filter(|it| it.world.process(id).life == logged.from);
                if let Some(mut history) = begun.filter(|it| it.pids[usize::from(id)].is_none()) {
                    history.pids[usize::from(id)] = Some(logged.process);
                    them.push((history, id));
                }
            }
        }
        them
    }

    /// The same after a process has started its successor, if one is about to do so.
    fn with_one_started(&self) -> Option<History> {
        let starts = |it: &Process| {
            it.performing.is_some_and(|(from, event, _)| next(from, event).1.contains(&Action::StartSuccessor))
        };
        let (id, _) = (0..).zip(&self.world.processes).find(|(_, it)| it.is_alive() && starts(it))?;
        let mut history = self.clone();
        while history.world.process(id).performing.is_some() {
            history = history.step(Step::Perform(id))?;
        }
        Some(history)
    }

    /// The same after a step, if that is possible.
    fn step(&self, step: Step) -> Option<History> {
        self.step_by(step, &RULES)
    }

    fn step_by(&self, step: Step, rules: &Rules) -> Option<History> {
        let world = World { left: NO_LIMITS, ..self.world };
        let possible = world.steps(rules).contains(&step);
        possible.then(|| History { world: world.after(step, rules), pids: self.pids })
    }

    /// Its last transition has been performed; with the event that this has caused, if it has caused one.
    fn performed(&self, id: Id, fails_to_accept: bool) -> Vec<(History, Option<Event>)> {
        let (mut open, mut performed) = (vec![self.clone()], Vec::new());
        while let Some(history) = open.pop() {
            let process = *history.world.process(id);
            let Some((from, event, _)) = process.performing else {
                performed.push((history, None));
                continue;
            };
            let action = process.action(&RULES);
            if let Some(successor) =
                process.successor.filter(|_| process.reaping || action == Some(Action::KillSuccessor))
                && history.world.process(successor).is_alive()
            {
                // It has performed as much as it has.
                open.extend(history.next_action(successor));
                let kill = if process.reaping { Step::Kill(id) } else { Step::Perform(id) };
                open.extend(history.step(kill));
                continue;
            }
            let fails = fails_to_accept && action == Some(Action::Accept);
            let Some(next) = history.step(if fails { Step::FailToAccept(id) } else { Step::Perform(id) }) else {
                continue;
            };
            match (process.caused, next.world.process(id)) {
                (Some(caused), Process { caused: None, .. }) => performed.push((next, Some(caused))),
                (_, Process { performing: Some((other, caused, 0)), .. }) if (*other, *caused) != (from, event) => {
                    let caused = *caused;
                    performed.push((next, Some(caused)));
                }
                (_, Process { performing: None, failed: true, .. }) if fails_to_accept => {
                    performed.push((next, Some(Event::CannotAccept)));
                }
                _ => open.push(next),
            }
        }
        performed
    }

    /// The same after the next thing that this process does by itself, short of ending another one.
    fn next_action(&self, id: Id) -> Option<History> {
        let process = self.world.process(id);
        match process.action(&RULES) {
            Some(Action::KillSuccessor) => None,
            Some(_) => self.step(Step::Perform(id)),
            None if process.phase == Phase::Starting => self.step(Step::Start(id)),
            None => None,
        }
    }

    /// An event comes to a process.
    fn take(self, id: Id, event: Event) -> Vec<History> {
        match event {
            // Where it is refused, the model leaves it out.
            Event::UpgradeAsked => {
                let world = World { left: NO_LIMITS, ..self.world };
                vec![History { world: world.after(Step::Upgrade(id), &RULES), ..self }]
            }
            Event::StopAsked => {
                let in_hand = self.with_a_message_in_hand(id);
                [self].into_iter().chain(in_hand).filter_map(|history| history.step(Step::Terminate(id))).collect()
            }
            Event::DeadlinePassed => self.unread(id, Step::TimeOut(id), &RULES),
            Event::Drained => {
                let closes = self.world.process(id).socket == Socket::Empties;
                let after = if closes { self.step(Step::Close(id)) } else { Some(self) };
                after.into_iter().flat_map(|history| history.unread(id, Step::Drain(id), &RULES)).collect()
            }
            Event::SuccessorRejected => self.unread(id, Step::Reject(id), &PROBATION),
            // Only by what it has performed.
            Event::CannotAccept => Vec::new(),
            Event::Activated | Event::Older(_) | Event::PredecessorGone => self.read(id, Neighbour::Predecessor, event),
            Event::SuccessorReady | Event::SuccessorAccepts | Event::SuccessorCommitted | Event::SuccessorGone => {
                self.read(id, Neighbour::Successor, event)
            }
            Event::StopPassedOn => {
                let mut after = self.clone().read(id, Neighbour::Predecessor, event);
                after.extend(self.read(id, Neighbour::Successor, event));
                after
            }
        }
    }

    /// A process reads this event from a channel, once its neighbour has caused it.
    fn read(self, id: Id, from: Neighbour, event: Event) -> Vec<History> {
        let (mut open, mut read) = (vec![self], Vec::new());
        while let Some(history) = open.pop() {
            let process = history.world.process(id);
            let (neighbour, step) = match from {
                Neighbour::Predecessor => (process.predecessor, Step::ReadPredecessor(id)),
                Neighbour::Successor => (process.successor, Step::ReadSuccessor(id)),
            };
            let Some(neighbour) = neighbour else { continue };
            let head = history.head(id, neighbour, from);
            let is_alive = history.world.process(neighbour).is_alive();
            if head == Some(Message::Replaced) {
                // No event.
                open.extend(history.step(step));
            } else if head.is_some() || !is_alive {
                read.extend(history.step(step).filter(|_| head == message(event)));
            } else {
                open.extend(history.step(Step::Crash(neighbour)).filter(|_| message(event).is_none()));
                open.extend(history.next_action(neighbour));
            }
        }
        read
    }

    /// The first message that a process has not read.
    fn head(&self, id: Id, neighbour: Id, from: Neighbour) -> Option<Message> {
        let queue = match from {
            Neighbour::Predecessor => self.world.process(id).inbox,
            Neighbour::Successor => self.world.process(neighbour).outbox,
        };
        queue.iter().next()
    }

    /// The same after a step that comes when a process has read everything: what is there now may have come later than that.
    fn unread(&self, id: Id, step: Step, rules: &Rules) -> Vec<History> {
        let mut alone = self.clone();
        let process = &mut alone.world.processes[usize::from(id)];
        (process.predecessor, process.successor) = (None, None);
        if alone.step_by(step, rules).is_none() {
            return Vec::new();
        }
        vec![History { world: World { left: NO_LIMITS, ..self.world }.after(step, rules), pids: self.pids }]
    }

    /// A process is told to stop when it has read a message of its successor: the stop comes first, and ends the successor.
    fn with_a_message_in_hand(&self, id: Id) -> Option<History> {
        let process = self.world.process(id);
        let successor = process.successor.filter(|_| process.life.state == State::Upgrading)?;
        let mut history = self.clone();
        while history.head(id, successor, Neighbour::Successor).is_none() {
            history = history.next_action(successor)?;
        }
        let read = history.world.processes[usize::from(successor)].outbox.pop();
        let event = EVENTS.into_iter().find(|event| read.is_some() && message(*event) == read)?;
        history.world.processes[usize::from(id)].caused = Some(event);
        Some(history)
    }

    /// A process that has nothing left to do performs the rest and ends.
    fn ended(self, id: Id) -> History {
        if self.world.process(id).life.state != State::Ended {
            return self;
        }
        let performed = self.performed(id, false).into_iter().next();
        performed.and_then(|(history, _)| history.step(Step::Exit(id))).unwrap_or(self)
    }

    /// Makes room for more processes.
    fn without_the_gone(mut self) -> History {
        let processes = self.world.processes;
        for (id, gone) in (0..).zip(processes).filter(|(_, it)| it.phase == Phase::Gone) {
            let is_known = |it: &Process| it.is_alive() && [it.predecessor, it.successor].contains(&Some(id));
            if !processes.iter().any(is_known) {
                self.world.processes[usize::from(id)] = Process { phase: Phase::NotStarted, ..gone };
                self.pids[usize::from(id)] = None;
            }
        }
        self
    }
}
