//! A client of websockets, frame by frame (RFC 6455), so that the test decides what it does and when.

use testkit::{Ending, Generations, Wire, wait_until};

pub(crate) const TEXT: u8 = 1;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

pub(crate) const FIN: u8 = 0x80;

pub(crate) struct Websocket {
    pub(crate) wire: Wire,
    /// In a room, where it begins.
    pub(crate) position: Option<u64>,
    /// How many messages were answered.
    count: u64,
}

/// A frame as a client sends it.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [1, 2, 3, 4];
    let length = match payload.len() {
        length @ 0..126 => vec![0x80 + u8::try_from(length).expect("below 126")],
        length @ 126..=0xffff => [&[0x80 + 126], &u16::try_from(length).expect("16 bits").to_be_bytes()[..]].concat(),
        length => [&[0x80 + 127], &(length as u64).to_be_bytes()[..]].concat(),
    };
    let masked: Vec<u8> = payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    [&[first], &length[..], &MASK, &masked].concat()
}

impl Websocket {
    pub(crate) fn open(server: &Generations) -> Websocket {
        Websocket::open_at(server.address(), "/room")
    }

    pub(crate) fn open_at(address: &str, path: &str) -> Websocket {
        let mut wire = Wire::connect(address);
        wire.send(format!(
            "GET {path} HTTP/1.1\r\nHost: lab\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        ));
        let reply = wire.reply();
        assert_eq!(reply.status, 101);
        let position = reply.header("position").map(|position| position.parse().expect("a number"));
        Websocket { wire, position, count: 0 }
    }

    pub(crate) fn send(&mut self, first: u8, payload: &[u8]) {
        self.wire.send(frame(first, payload));
    }

    pub(crate) fn say(&mut self, text: &str) {
        self.send(FIN | TEXT, text.as_bytes());
    }

    /// The next frame: its first byte and its payload.
    pub(crate) fn read(&mut self) -> (u8, Vec<u8>) {
        let head = self.wire.take(2);
        let number = |bytes: Vec<u8>| bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte));
        let length = match head[1] {
            126 => number(self.wire.take(2)),
            127 => number(self.wire.take(8)),
            length => length.into(),
        };
        (head[0], self.wire.take(length))
    }

    /// Asserts that the next message is answered next, and returns by which generation.
    #[track_caller]
    pub(crate) fn answered(&mut self, text: &str) -> u64 {
        let (first, payload) = self.read();
        assert_eq!(first, FIN | TEXT, "{payload:?}");
        self.count += 1;
        let answer = String::from_utf8(payload).expect("it is a text");
        let (generation, rest) = answer.split_once(' ').expect("it begins with a generation");
        let rest = rest.strip_prefix("/room").or_else(|| rest.strip_prefix(&"x".repeat(100)));
        assert_eq!(rest, Some(&*format!(" {} {text}", self.count)), "{answer}");
        generation.parse().expect("a number")
    }

    /// Asserts that this generation answers.
    #[track_caller]
    pub(crate) fn assert_served_by(&mut self, generation: u64) {
        self.say("hello");
        assert_eq!(self.answered("hello"), generation);
    }

    /// Talks until this generation answers.
    #[track_caller]
    pub(crate) fn goes_to(&mut self, generation: u64) {
        wait_until("the websocket goes over", || {
            self.say("over?");
            self.answered("over?") == generation
        });
    }

    /// Asserts that the server says goodbye with this code, and closes the connection.
    #[track_caller]
    pub(crate) fn assert_closed(mut self, code: u16) {
        assert_eq!(self.read(), (FIN | CLOSE, code.to_be_bytes().to_vec()));
        assert_eq!(self.wire.ending(), Ending::Eof);
    }
}
