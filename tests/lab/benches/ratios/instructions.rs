//! How many instructions a request costs the server.
//!
//! The invariant: two runs of the same server that differ in nothing but the number of requests, so its start and its end are in
//! neither count; and one worker thread and one connection, so the runtime takes the same steps for every request. That
//! is as repeatable on a busy machine as on a quiet one, where requests per second are not.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::measured::Measured;
use crate::roles::{ANYWHERE, Role};
use crate::row::Row;
use crate::servers::{Binaries, Server};

/// Requests in the shorter and in the longer run.
const FEW: u32 = 1_000;
const MANY: u32 = 3_000;

/// How often each server is counted.
const ROUNDS: usize = 3;

/// A request, and how its answer ends.
type Question = (&'static [u8], &'static [u8]);

const HELLO: Question = (b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n", b", generation 1\n");
const READY: Question = (b"GET /readyz HTTP/1.1\r\nHost: lab\r\n\r\n", b"ready\n");

/// What a client asks for in turn. The gate reads a head anew unless it is the same as the last one, so this makes a difference.
const SAME: &[Question] = &[HELLO];
const OTHER: &[Question] = &[HELLO, READY];

/// Why nothing was counted.
pub(crate) const NO_VALGRIND: &str = "instructions: install valgrind with `apt-get install valgrind`";

fn is_there() -> bool {
    let valgrind = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    valgrind.is_ok()
}

pub(crate) fn measure(binaries: &Binaries) -> Measured {
    if !is_there() {
        return Measured::all([]).without([NO_VALGRIND.to_owned()]);
    }
    let server = |program| {
        let mut command = Command::new(program);
        command.args(["--listen", ANYWHERE]);
        command
    };
    let commands = [binaries.command(Role::Plain), server(&binaries.ours), server(&binaries.polite)];
    let rounds: [Vec<_>; 2] = [SAME, OTHER].map(|questions| {
        let count = |command| {
            counted(command, |address, requests| ask(address, questions.iter().cycle().take(requests as usize)))
        };
        (0..ROUNDS).map(|_| commands.each_ref().map(count)).collect()
    });
    let ratio = |of: usize, whose: usize| rounds[of].iter().map(move |counts| counts[whose] / counts[0]);
    let count = |whose: usize| rounds[0].iter().map(move |counts| counts[whose]);
    Measured::all([
        Row::ratio("instructions", "ours / plain", ratio(0, 1)).at_most(1.05),
        Row::ratio("instructions_polite", "chapter 4's / plain", ratio(0, 2)),
        Row::count("instructions_ours", "  ours", count(1)),
        Row::count("instructions_plain", "  plain hyper", count(0)),
        Row::ratio("instructions_other", "two requests in turn, ours / plain", ratio(1, 1)),
    ])
}

/// Instructions for each request of a client that asks so many times. `None`: they cannot be counted here.
pub(crate) fn per_request(command: &Command, ask: impl Fn(&str, u32)) -> Option<f64> {
    is_there().then(|| counted(command, ask))
}

fn counted(command: &Command, ask: impl Fn(&str, u32)) -> f64 {
    let [few, many] = [FEW, MANY].map(|requests| in_all(command, |address| ask(address, requests)));
    (many - few) / f64::from(MANY - FEW)
}

/// The instructions of a server from its start to its end, with what a client asks in between.
fn in_all(command: &Command, ask: impl Fn(&str)) -> f64 {
    let directory = tempfile::tempdir().expect("there is a place for temporary files");
    let counts = directory.path().join("counts");
    let mut valgrind = Command::new("valgrind");
    valgrind.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", counts.display()));
    valgrind.arg(command.get_program()).args(command.get_args()).env("TOKIO_WORKER_THREADS", "1");
    let mut server = Server::start(&mut valgrind, 1);
    ask(&server.address);
    server.signal(Signal::SIGTERM);
    server.program.wait();
    let text = fs::read_to_string(&counts).expect("callgrind writes its counts when the server ends");
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
    total.unwrap_or_else(|| panic!("no total in the counts of callgrind: {}", counts.display()))
}

/// One request after the other.
fn ask<'question>(address: &str, questions: impl Iterator<Item = &'question Question>) {
    let mut connection = TcpStream::connect(address).expect("the server listens");
    for (question, last_bytes) in questions {
        connection.write_all(question).expect("the server reads");
        let mut answer = Vec::new();
        while !answer.ends_with(last_bytes) {
            let mut part = [0; 1024];
            let length = connection.read(&mut part).expect("the server answers");
            assert!(length > 0, "the server closed the connection");
            answer.extend_from_slice(&part[..length]);
        }
    }
}
