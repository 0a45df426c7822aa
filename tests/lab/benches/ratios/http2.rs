//! What chapter 7's gate costs an HTTP/2 connection: chapter 7's server beside chapter 5's, which is the same without the gate.
//!
//! The invariant: both answer the same requests in turn; and a connection that is counted as handed over has had an answer before,
//! and has one after, from the new process.

use std::io::{BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use indicatif::HumanCount;
use lab::server_binary::{BuildError, Built};

use crate::descriptors;
use crate::instructions;
use crate::measured::Measured;
use crate::roles::ANYWHERE;
use crate::row::Row;
use crate::servers::{Binaries, Server};

const CONNECTIONS: u32 = 5_000;

/// How often they are handed over, by a server of its own.
const ROUNDS: usize = 5;

/// How often the servers are started for the throughput, and how many turns each then has.
const STARTS: usize = 5;
const TURNS: usize = 10;

/// The requests of h2load in a turn, on eight connections, and eight at a time on each: half a second, of which the start is little.
const REQUESTS: &str = "48000";
const LOAD: [&str; 6] = ["-n", REQUESTS, "-c", "8", "-m", "8"];

/// The two programs.
struct Compared {
    with: PathBuf,
    without: PathBuf,
}

impl Compared {
    /// No other figure needs them.
    fn build() -> Result<Compared, BuildError> {
        let [with, without] =
            ["every-connection", "connection-handover"].map(|package| Built::program(package).build());
        Ok(Compared { with: with?, without: without? })
    }
}

pub(crate) fn measure(_: &Binaries) -> Measured {
    match Compared::build() {
        Ok(compared) => of(&compared),
        Err(error) => Measured::all([]).without([error.to_string()]),
    }
}

fn of(compared: &Compared) -> Measured {
    let mut left_out = Vec::new();
    let mut rows = Vec::new();
    if descriptors::allow_connections(CONNECTIONS) < CONNECTIONS {
        left_out
            .push(format!("{} HTTP/2 connections: raise `ulimit -Hn` in this shell", HumanCount(CONNECTIONS.into())));
    } else {
        let took: Vec<_> = (0..ROUNDS).map(|_| hand_over(&compared.with)).collect();
        let what =
            format!("{} idle HTTP/2 connections handed over, and the old process gone", HumanCount(CONNECTIONS.into()));
        rows.push(Row::millis("http2_handover", what, took).at_most(500.0));
    }
    match throughput(compared) {
        Some(throughput) => rows.extend(throughput),
        None => left_out.push("throughput of HTTP/2: install h2load with `apt-get install nghttp2-client`".to_owned()),
    }
    let commands = [&compared.with, &compared.without].map(|program| start(program));
    match commands.each_ref().map(|command| instructions::per_request(command, ask_often)) {
        [Some(with), Some(without)] => {
            rows.push(Row::ratio(
                "http2_instructions",
                "instructions for an HTTP/2 request, with the gate / without",
                [with / without],
            ));
        }
        _ => left_out.push(instructions::NO_VALGRIND.to_owned()),
    }
    Measured::all(rows).without(left_out)
}

fn start(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["--listen", ANYWHERE]);
    command
}

/// From the line `draining` until all connections are in the new process and the old one is gone.
fn hand_over(program: &Path) -> Duration {
    let mut server = Server::start(&mut start(program), 1);
    let mut clients: Vec<_> = (0..CONNECTIONS).map(|_| Client::connect(&server.address)).collect();
    for client in &mut clients {
        client.assert_answered_by(1);
    }
    let took = server.replace();
    for client in &mut clients {
        client.assert_answered_by(2);
    }
    took
}

/// `None`: h2load is not here.
fn throughput(compared: &Compared) -> Option<Vec<Row>> {
    let mut pairs = Vec::new();
    for _ in 0..STARTS {
        let servers = [&compared.with, &compared.without].map(|program| Server::start(&mut start(program), 1));
        let turn = |which: usize| per_second(&servers[which].address);
        turn(0)?;
        turn(1)?;
        for number in 0..TURNS {
            // Neither is always the first.
            let first = turn(number % 2)?;
            let second = turn(1 - number % 2)?;
            pairs.push(if number % 2 == 0 { (first, second) } else { (second, first) });
        }
    }
    let ratios = pairs.iter().map(|(with, without)| with / without);
    Some(vec![
        Row::ratio("http2_throughput", "HTTP/2 requests/s, with the gate / without", ratios).at_least(0.95),
        Row::per_second("http2_throughput_without", "  without", pairs.iter().map(|(_, without)| *without)),
    ])
}

fn per_second(address: &str) -> Option<f64> {
    let output = Command::new("h2load").args(LOAD).arg(format!("http://{address}/")).output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains(&format!("{REQUESTS} succeeded, 0 failed")), "a request failed:\n{said}");
    let (before, _) = said.split_once(" req/s").expect("it says how fast it was");
    before.rsplit(' ').next().and_then(|number| number.parse().ok())
}

/// One request after the other.
fn ask_often(address: &str, requests: u32) {
    let mut client = Client::connect(address);
    for _ in 0..requests {
        client.ask();
    }
}

/// A client with one connection, frame by frame (RFC 9113): the cheapest that there can be.
struct Client {
    socket: BufReader<TcpStream>,
    /// Of its last request.
    stream: u32,
}

const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const HEADERS: u8 = 1;
const DATA: u8 = 0;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// GET, http, `/`, and the authority `lab`, of HPACK's static table (RFC 7541, appendix A).
const BLOCK: &[u8] = b"\x82\x86\x84\x01\x03lab";

impl Client {
    fn connect(address: &str) -> Client {
        let socket = TcpStream::connect(address).expect("the server listens");
        let mut client = Client { socket: BufReader::new(socket), stream: 0 };
        client.socket.get_mut().write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("the server reads");
        client.send(SETTINGS, 0, 0, &[]);
        // It takes as many bytes as there can be, and need not say so again.
        client.send(WINDOW_UPDATE, 0, 0, &((1_u32 << 31) - 65_536).to_be_bytes());
        client
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, content: &[u8]) {
        let length = u32::try_from(content.len()).expect("it is short").to_be_bytes();
        let frame = [&length[1..], &[kind, flags], &stream.to_be_bytes(), content].concat();
        self.socket.get_mut().write_all(&frame).expect("the server reads");
    }

    /// Asks on a new stream, and returns the answer's body.
    fn ask(&mut self) -> String {
        self.stream = if self.stream == 0 { 1 } else { self.stream + 2 };
        self.send(HEADERS, END_STREAM | END_HEADERS, self.stream, BLOCK);
        let mut body = String::new();
        loop {
            let mut head = [0; 9];
            self.socket.read_exact(&mut head).expect("the server answers");
            let [a, b, c, kind, flags, ..] = head;
            let mut content = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            self.socket.read_exact(&mut content).expect("the server answers");
            match kind {
                SETTINGS if flags & ACK == 0 => self.send(SETTINGS, ACK, 0, &[]),
                DATA => body += &String::from_utf8_lossy(&content),
                _ => {}
            }
            if kind <= HEADERS && flags & END_STREAM != 0 {
                return body;
            }
        }
    }

    fn assert_answered_by(&mut self, generation: u64) {
        let body = self.ask();
        assert!(body.ends_with(&format!("generation {generation}\n")), "generation {generation}? {body}");
    }
}
