//! A client of HTTP/2, frame by frame (RFC 9113), so that the test decides what it does and when.
//!
//! It is one socket and never connects again; so if one process after the other answers on it, it is the same connection
//! throughout. It decodes no header block: the demo's answers name their generation in the body, too.

use testkit::{Generations, Wire};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// "I am leaving, and may still take what you have sent": the highest stream there is.
pub(crate) const ANY_STREAM: u32 = (1 << 31) - 1;

pub(crate) const GET: u8 = 0x82;
pub(crate) const POST: u8 = 0x83;

pub(crate) struct Client {
    pub(crate) wire: Wire,
    /// What came while something else was waited for.
    pub(crate) skipped: Vec<Frame>,
}

#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// A frame as it is sent.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("frames of ours are short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A setting, as a SETTINGS frame has it.
pub(crate) fn setting(number: u16, value: u32) -> [u8; 6] {
    let mut setting = [0; 6];
    setting[..2].copy_from_slice(&number.to_be_bytes());
    setting[2..].copy_from_slice(&value.to_be_bytes());
    setting
}

/// A request's header block without an entry for the client's table: what the server has told us forbids it.
pub(crate) fn block(method: u8, path: &str) -> Vec<u8> {
    let literal = |name: u8, value: &str| {
        let length = u8::try_from(value.len()).expect("our values are short");
        [&[name, length], value.as_bytes()].concat()
    };
    // Of HPACK's static table (RFC 7541, appendix A): the scheme, the path, the authority.
    [vec![method, 0x86], literal(4, path), literal(1, "lab")].concat()
}

impl Client {
    /// Connected, and nothing said.
    pub(crate) fn connect(server: &Generations) -> Client {
        Client { wire: Wire::connect(server.address()), skipped: Vec::new() }
    }

    /// Connected, and both sides have said that they speak HTTP/2.
    pub(crate) fn greet(server: &Generations) -> Client {
        Client::greet_with(server, &[])
    }

    /// The same, with settings.
    pub(crate) fn greet_with(server: &Generations, settings: &[u8]) -> Client {
        let mut client = Client::connect(server);
        client.wire.send(PREFACE);
        client.send(SETTINGS, 0, 0, settings);
        client.acknowledge();
        client
    }

    /// Acknowledges the server's next SETTINGS, and returns what they say.
    pub(crate) fn acknowledge(&mut self) -> Vec<u8> {
        let theirs = self.find(|frame| frame.kind == SETTINGS && frame.flags & ACK == 0);
        self.send(SETTINGS, ACK, 0, &[]);
        theirs.payload
    }

    pub(crate) fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.wire.send(frame(kind, flags, stream, payload));
    }

    pub(crate) fn get(&mut self, stream: u32, path: &str) {
        self.send(HEADERS, END_STREAM | END_HEADERS, stream, &block(GET, path));
    }

    /// `POST /echo`, and the first part of the body.
    pub(crate) fn post(&mut self, stream: u32, body: &[u8]) {
        self.send(HEADERS, END_HEADERS, stream, &block(POST, "/echo"));
        self.send(DATA, 0, stream, body);
    }

    /// The next frame.
    pub(crate) fn read(&mut self) -> Frame {
        let head = self.wire.take(9);
        let number = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let payload = self.wire.take(number(0) as usize >> 8);
        Frame { kind: head[3], flags: head[4], stream: number(5), payload }
    }

    /// The next frame like this, whatever comes before.
    pub(crate) fn find(&mut self, wanted: impl Fn(&Frame) -> bool) -> Frame {
        if let Some(place) = self.skipped.iter().position(&wanted) {
            return self.skipped.remove(place);
        }
        loop {
            let frame = self.read();
            if wanted(&frame) {
                return frame;
            }
            assert_ne!(frame.kind, RST_STREAM, "a stream was reset: {frame:?}");
            self.skipped.push(frame);
        }
    }

    pub(crate) fn next(&mut self, kind: u8) -> Frame {
        self.find(|frame| frame.kind == kind)
    }

    /// The next DATA on this stream.
    pub(crate) fn data(&mut self, stream: u32) -> Frame {
        self.find(|frame| frame.kind == DATA && frame.stream == stream)
    }

    /// The rest of the answer on this stream.
    pub(crate) fn answer(&mut self, stream: u32) -> String {
        let mut text = String::new();
        loop {
            let frame = self.data(stream);
            text.push_str(&String::from_utf8_lossy(&frame.payload));
            if frame.flags & END_STREAM != 0 {
                return text;
            }
        }
    }

    /// Asserts that this generation answers on this stream, and that nothing was said of an end.
    #[track_caller]
    pub(crate) fn assert_served_by(&mut self, stream: u32, generation: u64) {
        self.get(stream, "/");
        self.assert_answered_by(stream, generation);
    }

    /// Asserts that this generation has answered on this stream, and that nothing was said of an end.
    #[track_caller]
    pub(crate) fn assert_answered_by(&mut self, stream: u32, generation: u64) {
        let answer = self.answer(stream);
        assert!(answer.ends_with(&format!("generation {generation}\n")), "generation {generation}? {answer}");
        assert!(!self.skipped.iter().any(|frame| frame.kind == GOAWAY), "the connection should stay open");
    }

    /// The last stream that the server takes, as its next GOAWAY says.
    pub(crate) fn goaway(&mut self) -> u32 {
        let payload = self.next(GOAWAY).payload;
        u32::from_be_bytes(payload[..4].try_into().expect("a GOAWAY has eight bytes"))
    }

    /// Reads the server's goodbye: the warning, and once that was heard, the last stream that it has taken.
    #[track_caller]
    pub(crate) fn assert_told(&mut self, last: u32) {
        assert_eq!(self.goaway(), ANY_STREAM, "the first GOAWAY only warns");
        self.answer_ping();
        assert_eq!(self.goaway(), last);
    }

    /// Lets the server send as much as it likes on this connection, so that a test may ask until something happens.
    pub(crate) fn take_all(&mut self) {
        // The most that a window may be (RFC 9113, section 6.9.1), less what it is at first.
        self.send(WINDOW_UPDATE, 0, 0, &u32::to_be_bytes((1 << 31) - 1 - 65_535));
    }

    /// Pings the server.
    pub(crate) fn ping(&mut self, number: u64) {
        self.send(PING, 0, 0, &number.to_be_bytes());
    }

    /// Waits for the answer to this ping.
    pub(crate) fn pong(&mut self, number: u64) {
        self.find(|frame| frame.kind == PING && frame.flags == ACK && frame.payload == number.to_be_bytes());
    }

    /// Answers the server's ping, and with it the first step of its goodbye.
    pub(crate) fn answer_ping(&mut self) {
        let ping = self.find(|frame| frame.kind == PING && frame.flags == 0);
        self.send(PING, ACK, 0, &ping.payload);
    }
}
