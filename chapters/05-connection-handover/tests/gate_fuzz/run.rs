//! A case, run by hyper alone or by hyper over a gate: the same bytes in the same pieces must bring the same answers, and
//! the same requests to the handlers.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

use connection_handover::gate::{Control, Gate, Protocol};

use super::service::{Connection, World, hyper, locked_tasks, upgrades};
use super::wire::{Socket, Wire, locked};

/// What a client sends, in pieces, and what happens between them.
#[derive(Debug)]
pub(crate) struct Case(pub(crate) Vec<(Vec<u8>, Vec<Step>)>);

/// What can happen after a piece has arrived.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// The server wants the connection to move.
    Hold,
    /// It moves, if it is held and quiet. The old library is polled once more before it is dropped, or not.
    Move { polls_old: bool },
    /// The server has thought better of it.
    Release,
    /// The server gets the processor.
    Poll,
    /// Time passes, and the client takes so many bytes more.
    Tick(usize),
    /// The client closes its side.
    End,
}

/// Handlers are done, and the client has taken everything.
const ENOUGH: usize = 100_000;

impl Case {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|(bytes, _)| bytes).copied().collect()
    }

    /// The same bytes in other pieces.
    fn cut_anew(&self, rng: &mut fastrand::Rng) -> Case {
        let mut pieces: Vec<(Vec<u8>, Vec<Step>)> = Vec::new();
        let [joins, cuts] = [[20, 128, 230, 255], [0, 0, 10, 128]].map(|chances| chances[rng.usize(..4)]);
        let ends_at = self.0.iter().position(|(_, steps)| steps.iter().any(|step| matches!(step, Step::End)));
        for (number, (piece, _)) in self.0.iter().enumerate() {
            for (at, byte) in piece.iter().enumerate() {
                let joined = if at == 0 { rng.u8(..) < joins } else { rng.u8(..) >= cuts };
                match pieces.last_mut() {
                    Some((last, _)) if joined => last.push(*byte),
                    _ => pieces.push((vec![*byte], (0..rng.u8(..3)).map(|_| tick(rng)).collect())),
                }
            }
            if ends_at == Some(number) {
                pieces.push((Vec::new(), vec![Step::End]));
                break;
            }
        }
        Case(pieces)
    }
}

/// Time passes, and the client takes nothing more, some bytes, or many.
pub(crate) fn tick(rng: &mut fastrand::Rng) -> Step {
    let some = rng.usize(..200);
    Step::Tick([0, some, some, 10_000][rng.usize(..4)])
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

/// A client, its wire and the server at the other end.
pub(crate) struct Run {
    pub(crate) wire: Arc<Mutex<Wire>>,
    world: Arc<World>,
    connection: Option<Connection>,
    pub(crate) control: Option<Control<Socket>>,
    held: bool,
    moves: usize,
}

impl Run {
    pub(crate) fn new(gate: bool) -> Run {
        let (wire, world) = (Arc::new(Mutex::new(Wire::default())), Arc::default());
        let mut run = Run { wire, world, connection: None, control: None, held: false, moves: 0 };
        let socket = Socket(Arc::clone(&run.wire));
        if gate {
            run.serve(Gate::new(socket));
        } else {
            run.connection = Some(hyper(&run.world, socket));
        }
        run
    }

    fn serve(&mut self, gate: Gate<Socket>) {
        self.control = Some(gate.control());
        self.connection = Some(hyper(&self.world, gate));
    }

    /// Polls everything until nothing moves.
    fn poll(&mut self) {
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&flag));
        let mut cx = Context::from_waker(&waker);
        for round in 0.. {
            let mut woken = flag.0.swap(false, SeqCst);
            if self.connection.as_mut().is_some_and(|connection| connection.as_mut().poll(&mut cx).is_ready()) {
                self.connection = None;
            }
            let tasks = std::mem::take(&mut *locked_tasks(&self.world));
            for mut task in tasks {
                if task.as_mut().poll(&mut cx).is_pending() {
                    locked_tasks(&self.world).push(task);
                } else {
                    woken = true;
                }
            }
            if !woken && !flag.0.load(SeqCst) {
                return;
            }
            assert!(round < 1000, "the server polls for ever");
        }
    }

    /// The client reads, and time passes.
    pub(crate) fn tick(&mut self, window: usize) {
        self.world.clock.fetch_add(1, SeqCst);
        {
            let mut wire = locked(&self.wire);
            wire.window = wire.window.saturating_add(window);
            wire.flushes = true;
            wire.writer.take().into_iter().for_each(Waker::wake);
        }
        self.poll();
    }

    pub(crate) fn send(&mut self, piece: &[u8]) {
        let mut wire = locked(&self.wire);
        wire.sent.extend_from_slice(piece);
        wire.reader.take().into_iter().for_each(Waker::wake);
        drop(wire);
    }

    fn end(&mut self) {
        let mut wire = locked(&self.wire);
        wire.ended = true;
        wire.reader.take().into_iter().for_each(Waker::wake);
    }

    fn step(&mut self, step: Step) {
        match (step, &self.control) {
            (Step::Hold, Some(control)) => {
                control.hold();
                self.held = true;
            }
            (Step::Move { polls_old }, Some(_)) if self.held => self.move_if_quiet(polls_old),
            (Step::Release, Some(control)) if self.held => {
                control.release();
                self.held = false;
            }
            (Step::Poll, _) => self.poll(),
            (Step::Tick(window), _) => self.tick(window),
            (Step::End, _) => self.end(),
            _ => {}
        }
    }

    /// Hands the connection over if it is quiet.
    fn move_if_quiet(&mut self, polls_old: bool) {
        let Some(control) = &self.control else { return };
        let quiet = control.is_quiet();
        if quiet {
            assert_eq!(control.owed(), 0, "a quiet connection owes nothing");
            assert!(matches!(control.protocol(), Protocol::Undecided | Protocol::Http1));
        }
        let Some((socket, bytes)) = control.take() else {
            assert!(!quiet, "a quiet connection can be taken");
            return;
        };
        assert!(quiet, "only a quiet connection can be taken");
        assert!(locked(&self.wire).written.is_empty(), "what was answered is flushed");
        if polls_old {
            self.poll();
            assert!(self.connection.is_none(), "the library ends when its connection was taken");
        }
        self.serve(Gate::adopt(socket, bytes));
        (self.held, self.moves) = (false, self.moves + 1);
    }

    /// Lets time pass until nothing happens any more.
    pub(crate) fn settle(&mut self) {
        let mut before = None;
        loop {
            let now = self.progress();
            let waits = self.world.clock.load(SeqCst) <= self.world.busy_until.load(SeqCst);
            if before.replace(now) == Some(now) && !waits {
                return;
            }
            self.step(Step::Move { polls_old: false });
            self.tick(ENOUGH);
        }
    }

    fn progress(&self) -> [usize; 5] {
        let wire = locked(&self.wire);
        let seen = self.world.seen.lock().expect("one thread holds the lock").len();
        [wire.sent.len(), wire.written.len(), wire.received.len(), seen, locked_tasks(&self.world).len()]
    }

    pub(crate) fn outcome(&self) -> Outcome {
        let wire = locked(&self.wire);
        let seen = self.world.seen.lock().expect("one thread holds the lock").clone();
        (String::from_utf8_lossy(&wire.received).into_owned(), seen, wire.closed)
    }
}

/// Runs the case over a gate that moves the connection, or without one.
fn run(case: &Case, gate: bool) -> Run {
    let mut run = Run::new(gate);
    if upgrades(&case.bytes()) {
        // hyper forgets the head of a 101 that it cannot write at once.
        locked(&run.wire).window = usize::MAX;
    }
    for (piece, steps) in &case.0 {
        if locked(&run.wire).ended {
            break;
        }
        run.send(piece);
        for step in steps {
            run.step(*step);
        }
    }
    run.settle();
    run.step(Step::Release);
    run.settle();
    run.end();
    run.settle();
    run
}

/// What the client received, what the handlers saw, and whether the server has closed.
pub(crate) type Outcome = (String, Vec<String>, bool);

/// Whether the outcomes are equal, apart from two habits of hyper.
fn same(mut one: Outcome, mut other: Outcome) -> bool {
    if one == other {
        return true;
    }
    // If a task reads a body after the answer, hyper yields the end of the body only with the next request. If hyper is
    // dropped before that, the task gets the bytes, an error and no trailers.
    for seen in one.1.iter_mut().chain(&mut other.1).filter(|seen| seen.starts_with("late")) {
        *seen = seen.replace("[trailers]", "").replace(" broken", "");
    }
    // hyper refuses a head in the HTTP version of the request before it, if it has answered that one; and if that
    // answer is not yet written, hyper refuses in the middle of it.
    for (received, ..) in [&mut one, &mut other] {
        // hyper may find a body broken while it writes the answer's head: then it stops at once.
        if let Some(last) = received.rfind("HTTP/1.").filter(|last| !received[*last..].contains("\r\n\r\n")) {
            received.truncate(last);
        }
        for refusal in ["400 Bad Request", "431 Request Header Fields Too Large"] {
            for start in [format!("HTTP/1.1 {refusal}\r\nconnection: close\r\n"), format!("HTTP/1.0 {refusal}\r\n")] {
                let refusal = format!("{start}content-length: 0\r\n\r\n");
                let count = received.matches(&refusal).count();
                *received = received.replace(&refusal, "") + &"[refused]".repeat(count);
            }
        }
    }
    one == other
}

/// Checks that the connection that moves gets the answers of one that stays. Returns how often it moved, and whether the answers
/// depended on when the bytes arrived.
pub(crate) fn check(name: &str, case: &Case, rng: &mut fastrand::Rng) -> (usize, bool) {
    let (alone, moved) = (run(case, false), run(case, true));
    if same(alone.outcome(), moved.outcome()) {
        return (moved.moves, false);
    }
    // A held connection reads later. If hyper alone answers otherwise then, that is no fault. (Once it took a
    // thousand.)
    for _ in 0..20_000 {
        if same(run(&case.cut_anew(rng), false).outcome(), moved.outcome()) {
            return (moved.moves, true);
        }
    }
    let pieces: Vec<_> = case.0.iter().map(|(piece, steps)| (String::from_utf8_lossy(piece), steps)).collect();
    panic!(
        "{name}, {} moves\n{pieces:?}\n\nalone: {:#?}\n\nmoved: {:#?}",
        moved.moves,
        alone.outcome(),
        moved.outcome()
    );
}
