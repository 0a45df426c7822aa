//! The generations of a server, the channels between them, and everything that can happen to them, a step at a time.
//!
//! The invariant: no process decides anything here. Every event goes through [`next`](graceful_upgrade::lifecycle::next), the
//! function that the server runs; and every action is a step of its own, so that a crash can come between any two.

use std::fmt;

use graceful_upgrade::lifecycle::{Action, Event, Life, State};

use crate::connection::{self, Connection};
use crate::queue::Queue;
use crate::rules::{Duty, Rules};
use crate::supervisor::{self, Supervisor};

/// The most processes in one history.
pub const MOST: usize = 5;

/// A process, by the order in which they are started.
pub type Id = u8;

/// What one process tells its neighbour: chapter 4's messages without the handshake, which is there before the process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "they are those of chapter 4")]
pub enum Message {
    Ready,
    Activate,
    Accepting,
    Replaced,
    Committed,
    Stop,
    Older(u8),
}

/// What a process does with the listening socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Socket {
    /// Holds it, for a turn that comes or may come back.
    Holds,
    /// Accepts from it.
    Accepts,
    /// Answers the clients in its queue, to close it then.
    Empties,
    /// Has closed it.
    Closed,
}

/// Where a process is between fork(2) and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the words say it")]
pub enum Phase {
    NotStarted,
    Starting,
    Running,
    Gone,
}

/// A process, as far as the protocol goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Process {
    /// Where it is between fork(2) and its end.
    pub phase: Phase,
    /// Where it is in the table.
    pub life: Life,
    /// The transition whose actions it performs: from where, why, and how many it has performed.
    pub performing: Option<(Life, Event, u8)>,
    /// The process that started it, until it has read the end of the channel; and the one that it has started, until that is reaped.
    pub predecessor: Option<Id>,
    /// See `predecessor`.
    pub successor: Option<Id>,
    /// What its predecessor has told it and it has not read, and the other way round.
    pub inbox: Queue,
    /// See `inbox`.
    pub outbox: Queue,
    /// What it does with the listening socket.
    pub socket: Socket,
    /// Whether it hands its connections to its successor.
    pub hands_over: bool,
    /// It has told its successor to end, and waits for that.
    pub reaping: bool,
    /// It could not accept.
    pub failed: bool,
    /// An event that it has caused itself, and that comes next.
    pub caused: Option<Event>,
    /// The probation of its successor is over.
    pub trusts: bool,
}

/// How much the world may still do to the processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Limits {
    /// Processes that may be started.
    pub generations: u8,
    /// Processes that may crash, or find that they cannot accept.
    pub crashes: u8,
    /// SIGTERM: to the supervisor if there is one, to any process if there is none.
    pub stops: u8,
    /// Successors that may turn out to be no good, in their probation.
    pub rejections: u8,
    /// Clients that may connect.
    pub clients: u8,
}

/// What has happened, as far as an invariant asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Past {
    /// A process was told to stop that was in charge or was about to be: the service was meant.
    pub asked: bool,
    /// And that process has acted on it.
    pub told: bool,
    /// A process crashed, or ended before those that were older.
    pub cut: bool,
    /// But a process ended that had a successor and had not read it, or crashed and had not passed it on.
    pub lost: bool,
    /// A process crashed, or gave up its place, when no other one could have taken over.
    pub unguarded: bool,
}

/// Everything, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the types say it")]
pub struct World {
    pub processes: [Process; MOST],
    pub connection: Connection,
    pub supervisor: Supervisor,
    pub left: Limits,
    pub past: Past,
}

/// What can happen next, and to which process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// SIGUSR2.
    Upgrade(Id),
    /// SIGTERM.
    Terminate(Id),
    /// SIGKILL, a panic, the kernel's want of memory.
    Crash(Id),
    /// accept(2) does not work here.
    FailToAccept(Id),
    /// Its successor fails the health check.
    Reject(Id),
    /// A timeout passes.
    TimeOut(Id),
    /// It can accept, and says so. From here on, what happens without help from outside.
    Start(Id),
    /// It performs the next action.
    Perform(Id),
    /// It has waited long enough for the end of its successor.
    Kill(Id),
    /// It reads a message of its predecessor, or that it is gone.
    ReadPredecessor(Id),
    /// It reads a message of its successor, or that it is gone.
    ReadSuccessor(Id),
    /// The probation of its successor is over.
    Trust(Id),
    /// It has answered all that it owes.
    Drain(Id),
    /// It closes the socket whose queue is empty.
    Close(Id),
    /// It ends.
    Exit(Id),
    /// A step of the connection.
    Client(connection::Step),
    /// A step of the supervisor.
    Supervisor(supervisor::Step),
}

impl Step {
    /// Whether it happens without help from outside, sooner or later. A timeout does not count, since nothing may depend on it, nor
    /// does an answer, since a client may take its time, nor that a process will not have a connection.
    #[must_use]
    pub fn is_internal(self) -> bool {
        use Step::{Client, Crash, FailToAccept, Reject, Supervisor, Terminate, TimeOut, Upgrade};
        use connection::Step::{Answer, Connect, Decline, Recall};
        let is_signal = matches!(self, Upgrade(_) | Terminate(_) | Supervisor(supervisor::Step::Stop));
        let is_external = is_signal || matches!(self, Crash(_) | FailToAccept(_) | Reject(_));
        !is_external && !matches!(self, TimeOut(_) | Client(Connect | Answer | Decline | Recall))
    }
}

impl Process {
    const NOT_STARTED: Process = Process {
        phase: Phase::NotStarted,
        life: Life { state: State::Standby, older: 0, drained: false, replaced: false },
        performing: None,
        predecessor: None,
        successor: None,
        inbox: Queue::EMPTY,
        outbox: Queue::EMPTY,
        socket: Socket::Closed,
        hands_over: false,
        reaping: false,
        failed: false,
        caused: None,
        trusts: false,
    };

    /// Whether the kernel knows it.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        matches!(self.phase, Phase::Starting | Phase::Running)
    }

    /// Whether it waits for an event.
    pub(crate) fn waits(&self) -> bool {
        self.phase == Phase::Running && self.performing.is_none() && self.life.state != State::Ended
    }

    /// The action that it performs next.
    #[must_use]
    pub fn action(&self, rules: &Rules) -> Option<Action> {
        let (from, event, done) = self.performing?;
        rules.next(from, event).1.get(usize::from(done)).copied()
    }

    /// Whether it can still take over, and was not told to end.
    fn can_take_over(&self) -> bool {
        use State::{Retiring, Serving, Standby, Upgrading};
        let told = self.failed || self.inbox.iter().any(|message| message == Message::Stop);
        self.is_alive() && !told && matches!(self.life.state, Standby | Serving | Upgrading | Retiring)
    }
}

impl World {
    /// One process, which accepts.
    #[must_use]
    pub fn new(left: Limits, rules: &Rules) -> World {
        let (processes, past) = ([Process::NOT_STARTED; MOST], Past::default());
        let (connection, supervisor) = (Connection::default(), Supervisor::default());
        let mut world = World { processes, connection, supervisor, left, past };
        world.start(None, 0);
        world.processes[0].phase = Phase::Running;
        world.enter(0, Event::Activated, rules);
        world.perform(0, rules);
        world
    }

    fn of(&mut self, id: Id) -> &mut Process {
        &mut self.processes[usize::from(id)]
    }

    /// The process with this number.
    #[must_use]
    pub fn process(&self, id: Id) -> &Process {
        &self.processes[usize::from(id)]
    }

    // ANCHOR: steps
    /// Everything that can happen now.
    #[must_use]
    pub fn steps(&self, rules: &Rules) -> Vec<Step> {
        let mut steps = Vec::with_capacity(16);
        (0..).zip(&self.processes).for_each(|(id, process)| self.steps_of(id, process, rules, &mut steps));
        self.connection.steps(self, rules, &mut steps);
        if rules.supervised {
            self.supervisor.steps(self, rules, &mut steps);
        }
        steps
    }

    fn steps_of(&self, id: Id, process: &Process, rules: &Rules, steps: &mut Vec<Step>) {
        let Process { life, predecessor, successor, .. } = *process;
        let gone = |other: Id| !self.process(other).is_alive();
        let mut may = |step: Step, possible: bool| steps.extend(possible.then_some(step));
        if !process.is_alive() {
            return;
        }
        may(Step::Crash(id), self.left.crashes > 0);
        if process.phase == Phase::Starting {
            may(Step::Start(id), true);
        } else if let Some(action) = process.action(rules) {
            let waits = process.reaping && successor.is_some_and(|successor| !gone(successor));
            may(Step::Kill(id), waits);
            may(Step::Perform(id), !waits);
            may(Step::FailToAccept(id), action == Action::Accept && self.left.crashes > 0);
        } else if life.state == State::Ended {
            may(Step::Exit(id), true);
        } else {
            may(Step::Upgrade(id), life.state == State::Serving && self.left.generations > 0);
            may(Step::Terminate(id), self.left.stops > 0 && !rules.supervised);
            let from_predecessor = predecessor.is_some_and(|it| !process.inbox.is_empty() || gone(it));
            let from_successor = successor.is_some_and(|it| !self.process(it).outbox.is_empty() || gone(it));
            may(Step::ReadPredecessor(id), from_predecessor);
            may(Step::ReadSuccessor(id), from_successor);
            // The runner reads what is there first.
            let has_read = !from_predecessor && !from_successor;
            may(Step::TimeOut(id), has_read && life.timeout().is_some());
            let on_probation = rules.probation && life.state == State::Retiring && !process.trusts;
            may(Step::Trust(id), has_read && on_probation && life.replaced);
            may(Step::Reject(id), on_probation && life.replaced && self.left.rejections > 0);
            let drains = matches!(life.state, State::Retiring | State::Committed | State::Stopping) && !life.drained;
            // Chapter 5: connections may still come from the predecessor.
            let adopts =
                process.hands_over && rules.keep(Duty::WaitForArrivals) && predecessor.is_some_and(|it| !gone(it));
            let stays = on_probation && rules.keep(Duty::StayInProbation);
            let owes = stays || adopts || process.socket == Socket::Empties || self.connection.is_with(id);
            let is_empty = !self.connection.is_queued() || !rules.keep(Duty::EmptyTheQueue);
            may(Step::Drain(id), has_read && drains && !owes);
            may(Step::Close(id), process.socket == Socket::Empties && is_empty);
        }
    }
    // ANCHOR_END: steps

    // ANCHOR: take
    /// The world after this step.
    #[must_use]
    pub fn after(mut self, step: Step, rules: &Rules) -> World {
        match step {
            Step::Upgrade(id) => self.enter(id, Event::UpgradeAsked, rules),
            Step::Terminate(id) => {
                self.left.stops -= 1;
                self.past.asked |= means_the_service(self.process(id).life);
                self.enter(id, Event::StopAsked, rules);
            }
            Step::Crash(id) => {
                self.crash(id);
                self.end(id, Connection::Lost);
            }
            Step::FailToAccept(id) => {
                self.crash(id);
                self.of(id).failed = true;
                self.perform(id, rules);
            }
            Step::Reject(id) => {
                self.left.rejections -= 1;
                self.enter(id, Event::SuccessorRejected, rules);
            }
            Step::TimeOut(id) => self.enter(id, Event::DeadlinePassed, rules),
            Step::Start(id) => {
                self.of(id).phase = Phase::Running;
                self.tell_predecessor(id, Message::Ready, rules);
            }
            Step::Perform(id) => self.perform(id, rules),
            Step::Kill(id) => self.process(id).successor.into_iter().for_each(|it| self.end(it, Connection::Dropped)),
            Step::ReadPredecessor(id) => {
                let event = match self.of(id).inbox.pop() {
                    Some(Message::Activate) => Event::Activated,
                    Some(Message::Stop) => Event::StopPassedOn,
                    Some(Message::Older(older)) => Event::Older(older),
                    Some(_) => return self,
                    None => {
                        self.of(id).predecessor = None;
                        Event::PredecessorGone
                    }
                };
                self.enter(id, event, rules);
            }
            Step::ReadSuccessor(id) => {
                let Some(successor) = self.process(id).successor else { return self };
                let event = match self.of(successor).outbox.pop() {
                    Some(Message::Ready) => Event::SuccessorReady,
                    Some(Message::Accepting) => Event::SuccessorAccepts,
                    Some(Message::Committed) => Event::SuccessorCommitted,
                    Some(Message::Stop) => Event::StopPassedOn,
                    Some(_) => return self,
                    None => Event::SuccessorGone,
                };
                self.enter(id, event, rules);
            }
            Step::Trust(id) => self.of(id).trusts = true,
            Step::Drain(id) => self.enter(id, Event::Drained, rules),
            Step::Close(id) => self.of(id).socket = Socket::Closed,
            Step::Exit(id) => self.end(id, Connection::Dropped),
            Step::Client(step) => {
                self.left.clients -= u8::from(step == connection::Step::Connect);
                let connected = match (self.is_listening(), self.past.asked) {
                    (false, _) => Connection::Refused,
                    (true, false) => Connection::Queued,
                    (true, true) => Connection::Late,
                };
                self.connection.take(step, connected);
            }
            Step::Supervisor(step) => {
                if step == supervisor::Step::Stop {
                    self.left.stops -= 1;
                    (self.past.asked, self.past.told) = (true, true);
                }
                let processes = self.processes;
                let is_alive = |id: Id| processes[usize::from(id)].is_alive();
                if let Some(id) = self.supervisor.take(step, is_alive, rules) {
                    self.enter(id, Event::StopAsked, rules);
                }
            }
        }
        if !self.is_listening() {
            self.connection.queue_is_gone();
        }
        self
    }

    /// What the runner does with an event: it asks the table, and begins to perform the actions.
    fn enter(&mut self, id: Id, event: Event, rules: &Rules) {
        let from = self.process(id).life;
        let to = rules.next(from, event).0;
        let gives_up = from.state == State::Retiring && event != Event::SuccessorGone;
        let gives_up = gives_up && (to.state == State::Ended || event == Event::StopAsked);
        self.past.unguarded |= gives_up && !self.another_can_take_over(id);
        self.of(id).life = to;
        self.of(id).performing = Some((from, event, 0));
        if self.process(id).action(rules).is_none() {
            self.performed(id, rules);
        } else if rules.at_once {
            self.perform(id, rules);
        }
    }

    fn perform(&mut self, id: Id, rules: &Rules) {
        let Some(action) = self.process(id).action(rules) else { return };
        let life = self.process(id).life;
        match action {
            Action::Refuse(_) => {}
            Action::StartSuccessor => self.start(Some(id), life.older + 1),
            Action::Accept if self.process(id).failed => {}
            Action::Accept => (self.of(id).socket, self.of(id).hands_over) = (Socket::Accepts, false),
            Action::Retire if !rules.keep(Duty::CloseTheSocket) => {}
            Action::Retire => (self.of(id).socket, self.of(id).hands_over) = (Socket::Holds, rules.handover),
            Action::ActivateSuccessor => self.tell_successor(id, Message::Activate, rules),
            Action::TellOlder => self.tell_successor(id, Message::Older(life.older + 1), rules),
            Action::CommitToPredecessor => self.tell_predecessor(id, Message::Committed, rules),
            Action::StopPredecessor => self.tell_predecessor(id, Message::Stop, rules),
            Action::StopSuccessor => self.tell_successor(id, Message::Stop, rules),
            Action::KillSuccessor => {
                if let Some(successor) = self.process(id).successor {
                    self.past.unguarded |= !self.another_can_take_over(successor);
                    self.end(successor, Connection::Lost);
                }
            }
            Action::DismissSuccessor | Action::EndSuccessor => {
                if !self.process(id).reaping && self.process(id).successor.is_some() && rules.keep(Duty::Reap) {
                    self.of(id).reaping = true;
                    return self.tell_successor(id, Message::Stop, rules);
                }
                // What it has said still counts.
                let reaped = self.of(id).successor.take().map(|it| self.process(it).outbox);
                let told = action == Action::DismissSuccessor
                    && rules.keep(Duty::HearTheDismissed)
                    && reaped.is_some_and(|outbox| outbox.iter().any(|it| it == Message::Stop));
                if told {
                    self.of(id).caused = Some(Event::StopPassedOn);
                }
                self.of(id).reaping = false;
            }
            Action::Stop => {
                let process = self.of(id);
                let accepts = process.socket == Socket::Accepts;
                process.socket = if accepts { Socket::Empties } else { Socket::Closed };
                process.hands_over = false;
            }
            Action::GiveUpListeners if self.process(id).socket == Socket::Empties => {}
            Action::GiveUpListeners => self.of(id).socket = Socket::Closed,
            Action::Cut => {
                let process = self.of(id);
                process.hands_over = false;
                if process.socket == Socket::Empties {
                    process.socket = Socket::Closed;
                }
                self.past.cut |= life.older > 0;
                self.connection.cut(id, self.is_listening());
            }
        }
        if let Some((_, _, done)) = &mut self.of(id).performing {
            *done += 1;
        }
        if self.process(id).action(rules).is_none() {
            self.performed(id, rules);
        } else if rules.at_once && self.process(id).action(rules) != Some(Action::Accept) {
            self.perform(id, rules);
        }
    }

    /// What the runner does when the last action of a transition is performed.
    fn performed(&mut self, id: Id, rules: &Rules) {
        let Some((from, event, _)) = self.of(id).performing.take() else { return };
        if event == Event::SuccessorGone {
            self.of(id).successor = None;
        }
        self.past.told |= event == Event::StopAsked && means_the_service(from);
        if event == Event::SuccessorAccepts {
            self.tell_successor(id, Message::Replaced, rules);
        }
        if rules.next(from, event).1.contains(&Action::Accept) {
            if rules.supervised {
                self.supervisor.say(id);
            }
            if self.process(id).failed {
                self.of(id).caused = Some(Event::CannotAccept);
            } else {
                self.tell_predecessor(id, Message::Accepting, rules);
            }
        }
        if let Some(event) = self.of(id).caused.take() {
            self.enter(id, event, rules);
        }
    }
    // ANCHOR_END: take

    fn is_listening(&self) -> bool {
        self.processes.iter().any(|process| process.socket != Socket::Closed)
    }

    fn start(&mut self, predecessor: Option<Id>, older: u8) {
        let Some(id) = (0..).zip(&self.processes).find(|(_, it)| it.phase == Phase::NotStarted).map(|(id, _)| id)
        else {
            return;
        };
        self.left.generations -= 1;
        let (phase, life, socket) = (Phase::Starting, Life::begins(older), Socket::Holds);
        *self.of(id) = Process { phase, life, predecessor, socket, ..Process::NOT_STARTED };
        if let Some(predecessor) = predecessor {
            let predecessor = self.of(predecessor);
            (predecessor.successor, predecessor.trusts) = (Some(id), false);
        }
    }

    fn crash(&mut self, id: Id) {
        self.left.crashes -= 1;
        self.past.cut = true;
        self.past.unguarded |= !self.another_can_take_over(id);
        // A stop that it has not passed on is lost with it.
        let passes_on = |(_, event, _)| matches!(event, Event::StopAsked | Event::StopPassedOn);
        self.past.lost |= self.process(id).performing.is_some_and(passes_on);
    }

    /// The kernel closes what it held. Its predecessor can still read what it has said.
    fn end(&mut self, id: Id, held: Connection) {
        self.past.cut |= held == Connection::Lost;
        let Process { inbox, outbox, .. } = *self.process(id);
        self.past.lost |= inbox.iter().any(|it| it == Message::Stop) && self.has_a_later_process(id);
        let is_read = self.processes.iter().any(|it| it.is_alive() && it.successor == Some(id));
        let outbox = if is_read { outbox } else { Queue::EMPTY };
        *self.of(id) = Process { phase: Phase::Gone, outbox, ..Process::NOT_STARTED };
        self.connection.holder_ends(id, held);
        self.supervisor.ends(id);
    }

    fn another_can_take_over(&self, id: Id) -> bool {
        let committed = |it: &Process| {
            it.successor.is_some_and(|it| self.process(it).outbox.iter().any(|m| m == Message::Committed))
        };
        (0..).zip(&self.processes).any(|(other, it)| other != id && it.can_take_over() && !committed(it))
    }

    fn tell_predecessor(&mut self, id: Id, message: Message, rules: &Rules) {
        if self.process(id).predecessor.is_some_and(|it| self.process(it).is_alive()) && rules.keep(Duty::Send(message))
        {
            self.of(id).outbox.push(message);
        }
    }

    fn tell_successor(&mut self, id: Id, message: Message, rules: &Rules) {
        match self.process(id).successor.filter(|it| self.process(*it).is_alive()) {
            Some(successor) if rules.keep(Duty::Send(message)) => self.of(successor).inbox.push(message),
            Some(_) => {}
            None => self.past.lost |= message == Message::Stop && self.has_a_later_process(id),
        }
    }

    fn has_a_later_process(&self, id: Id) -> bool {
        self.processes.iter().skip(usize::from(id) + 1).any(Process::is_alive)
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, it) in self.processes.iter().enumerate().filter(|(_, it)| it.is_alive()) {
            match it.phase {
                Phase::Starting => write!(f, "{id} starts; ")?,
                _ => write!(f, "{id} is {:?}, {:?}; ", it.life.state, it.socket)?,
            }
        }
        write!(f, "connection: {:?}", self.connection)
    }
}

/// Whether SIGTERM to a process here is meant for the service, and not for this process alone.
fn means_the_service(life: Life) -> bool {
    use State::{Called, Retiring, Serving, Standby, Upgrading};
    matches!(life.state, Standby | Called | Serving | Upgrading) || life.state == Retiring && !life.replaced
}
