//! As much load as a number of connections can make.
//!
//! The invariant: while it runs, every connection has exactly one request on its way; and every answer is read to its
//! last byte and is a 200, or a message.
//!
//! The client goes round its connections, reads the answer of each and asks again: a write and a read for each request,
//! and nothing else. So most of the machine's time is the server's, and what the server costs shows. (The clients of
//! `testkit::load` see more, and cost as much as the server does.)

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use lab::websocket;

use crate::websocket_client;

/// As many as the program `lab` uses.
const CONNECTIONS: usize = 32;

/// How the answer of generation 1 ends.
const LAST_BYTES: &[u8] = b", generation 1\n";

/// How connections are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// One request after the other on each.
    KeepAlive,
    /// One request on each, then another connection.
    PerRequest,
    /// One message after the other on each.
    Websocket,
}

impl Mode {
    fn request(self) -> &'static [u8] {
        match self {
            Mode::KeepAlive => b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n",
            Mode::PerRequest => b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n",
            Mode::Websocket => websocket::HELLO,
        }
    }

    /// How an answer begins.
    fn first_bytes(self) -> &'static [u8] {
        match self {
            Mode::KeepAlive | Mode::PerRequest => b"HTTP/1.1 200 ",
            Mode::Websocket => &[websocket::TEXT],
        }
    }

    fn connect(self, address: SocketAddr) -> TcpStream {
        match self {
            Mode::KeepAlive | Mode::PerRequest => TcpStream::connect(address).expect("the server listens"),
            Mode::Websocket => websocket_client::connect(address),
        }
    }
}

/// The client.
pub(crate) struct ClosedLoop {
    address: SocketAddr,
    mode: Mode,
    /// The connections that are open between two runs.
    idle: Vec<Option<TcpStream>>,
    /// How long an answer is: a server always gives the same one, but for the digits of its date.
    length: usize,
}

impl ClosedLoop {
    pub(crate) fn new(address: &str, mode: Mode) -> ClosedLoop {
        let address = address.parse().expect("the server names an address");
        let idle = std::iter::repeat_with(|| None).take(CONNECTIONS).collect();
        let mut client = ClosedLoop { address, mode, idle, length: 0 };
        let mut first = None;
        client.ask(&mut first);
        let mut answer = Vec::new();
        while !answer.ends_with(LAST_BYTES) {
            let mut byte = [0];
            first.as_mut().expect("it is open").read_exact(&mut byte).expect("the server answers");
            answer.extend(byte);
        }
        client.length = answer.len();
        client
    }

    /// Asks for this long, and returns the number of answers.
    pub(crate) fn run(&mut self, time: Duration) -> u32 {
        let end = Instant::now() + time;
        let mut connections = std::mem::take(&mut self.idle);
        let mut answer = Vec::with_capacity(self.length + 1);
        let mut answers = 0;
        for connection in &mut connections {
            self.ask(connection);
        }
        loop {
            let more = Instant::now() < end;
            for connection in &mut connections {
                self.hear(connection, &mut answer);
                let whole = answer.starts_with(self.mode.first_bytes()) && answer.ends_with(LAST_BYTES);
                assert!(whole, "this is no answer: {:?}", String::from_utf8_lossy(&answer));
                answers += 1;
                if more {
                    self.ask(connection);
                }
            }
            if !more {
                self.idle = connections;
                return answers;
            }
        }
    }

    fn ask(&self, connection: &mut Option<TcpStream>) {
        let connect = || self.mode.connect(self.address);
        connection.get_or_insert_with(connect).write_all(self.mode.request()).expect("the server reads");
    }

    fn hear(&self, connection: &mut Option<TcpStream>, answer: &mut Vec<u8>) {
        let socket = connection.as_mut().expect("it was asked, so it is open");
        match self.mode {
            Mode::KeepAlive | Mode::Websocket => {
                answer.resize(self.length, 0);
                socket.read_exact(answer).expect("the server answers");
            }
            Mode::PerRequest => {
                answer.clear();
                socket.read_to_end(answer).expect("the server answers");
                *connection = None;
            }
        }
    }
}
