//! Chapter 7's machine between a client and one library after the other, cut wherever the input says: as long as the client means
//! well, what comes out is what went in.
//!
//! The input is a list of steps, each a letter and a byte that says more.

mod client;
#[allow(dead_code)]
#[path = "../../../../chapters/07-every-connection/src/http2/frame.rs"]
mod frame;
mod hpack;
pub(super) mod hyper;
#[allow(dead_code)]
#[path = "../../../../chapters/07-every-connection/src/http2/machine.rs"]
mod machine;
mod peers;
#[allow(dead_code)]
#[path = "../../../../chapters/07-every-connection/src/http2/settings.rs"]
mod settings;
#[allow(dead_code)]
#[path = "../../../../chapters/07-every-connection/src/http2/state.rs"]
mod state;
#[allow(dead_code)]
#[path = "../../../../chapters/07-every-connection/src/http2/streams.rs"]
mod streams;

use std::io::IoSlice;

use bytes::{Bytes, BytesMut};

use frame::Head;
use machine::Machine;
use peers::{Client, Library, Transcript, WINDOW};
use state::State;

/// Of what a step of an input makes the client send.
const MOST_SENT: usize = 1 << 18;

const MOST_AT_A_TIME: usize = 1 << 15;

/// What may be kept for the library, and for the client: the machine's own limits, and a piece more.
const MOST_KEPT: usize = (2 * 1024 + 256 + 64) * 1024;
const MOST_UNSENT: usize = (128 + 32) * 1024;

struct World {
    client: Client,
    machine: Machine,
    library: Library,
    /// What the client has said and the library heard, and the other way.
    there: Transcript,
    back: Transcript,
    /// The client has kept to the rules so far.
    honest: bool,
}

pub(crate) fn run(bytes: &[u8]) {
    let mut world = World {
        client: Client::new(),
        machine: Machine::fresh(),
        library: Library::new(0),
        there: Transcript::default(),
        back: Transcript::default(),
        honest: true,
    };
    let mut rest = bytes;
    while let [what, how, behind @ ..] = rest {
        rest = world.step(*what, *how, behind);
        world.check();
    }
    world.end();
}

/// What crosses from process to process: what is read can be written, and is read again as the same.
pub(crate) fn run_state(bytes: &[u8]) {
    let Some(state) = State::read(Bytes::copy_from_slice(bytes)) else { return };
    assert_eq!(State::read(state.write()).as_ref(), Some(&state), "it was just written");
    let mut machine = Machine::adopt(state);
    let mut library = Library::new(0);
    for _ in 0..3 {
        library.hears.unsplit(machine.to_library.split());
        library.listen(&mut Transcript::default(), false);
        machine.write(&library.says.split());
    }
    machine.hold();
    machine.release();
}

/// As many bytes from the front as `how` says. It is never more than a side reads or writes at a time.
fn piece(from: &mut BytesMut, how: u8) -> BytesMut {
    let length = if how < 200 { how.into() } else { MOST_AT_A_TIME };
    from.split_to(length.min(from.len()))
}

impl World {
    fn step<'input>(&mut self, what: u8, how: u8, behind: &'input [u8]) -> &'input [u8] {
        match what {
            b'q' => self.client.ask(how, &mut self.there),
            b'b' => self.client.send_body(how, &mut self.there),
            b'x' => self.client.reset(how, &mut self.there),
            b'c' => self.client.control(how),
            b'>' => self.client_to_machine(how),
            b'l' => self.library_reads(how),
            b'a' => self.library.answer(how, &mut self.back),
            b'k' => self.library.reset(how, &mut self.back, &mut self.there),
            b'o' => self.library.control(how),
            b'<' => self.library_to_machine(how),
            b'r' => self.client_reads(how),
            b'h' => self.machine.hold(),
            b'u' => self.machine.release(),
            b'm' => self.pass_on(how),
            // Anything at all, and frames of any kind, as often as the client likes.
            b'!' => {
                self.honest = false;
                let (any, behind) = behind.split_at(behind.len().min(how.into()));
                self.client.says.extend_from_slice(any);
                return behind;
            }
            b'#' => {
                let Some((&[kind, flags, stream, high, low], behind)) = behind.split_first_chunk() else { return &[] };
                self.honest = false;
                let length = u32::from(high) << 8 | u32::from(low);
                let mut frame = BytesMut::new();
                Head { length, kind, flags, stream: stream.into() }.put(&mut frame);
                frame.resize(frame.len() + length as usize, 1);
                for _ in 0..usize::from(how).min(MOST_SENT / frame.len()) {
                    self.client.says.extend_from_slice(&frame);
                }
                return behind;
            }
            _ => {}
        }
        behind
    }

    /// As the shell does it: what can pass, passes, and the rest is kept.
    fn client_to_machine(&mut self, how: u8) {
        if self.machine.room().is_none() || self.client.says.is_empty() {
            return;
        }
        let mut sent = piece(&mut self.client.says, how);
        if how.is_multiple_of(2) && self.machine.is_clear() {
            let passed = self.machine.pass(&sent);
            self.library.hears.extend_from_slice(&sent.split_to(passed));
        }
        let room = self.machine.room().expect("there was room");
        room.extend_from_slice(&sent);
        self.machine.advance();
    }

    fn library_reads(&mut self, how: u8) {
        let read = piece(&mut self.machine.to_library, how);
        self.library.hears.extend_from_slice(&read);
        self.library.listen(&mut self.there, self.honest);
    }

    fn library_to_machine(&mut self, how: u8) {
        if self.machine.is_full() {
            return;
        }
        let mut all = piece(&mut self.library.says, how);
        let first = all.split_to(all.len() / 2);
        if how.is_multiple_of(2) && self.machine.sends(&[IoSlice::new(&first), IoSlice::new(&all)]) {
            self.client.hears.extend_from_slice(&first);
            self.client.hears.extend_from_slice(&all);
        } else {
            self.machine.write(&first);
            self.machine.write(&all);
        }
    }

    fn client_reads(&mut self, how: u8) {
        let read = piece(&mut self.machine.to_client, how);
        self.client.hears.extend_from_slice(&read);
        self.client.listen(&mut self.back, self.honest);
    }

    /// The next process has the connection, if it is quiet.
    fn pass_on(&mut self, how: u8) {
        self.client.listen(&mut self.back, self.honest);
        self.library.listen(&mut self.there, self.honest);
        let silent = self.library.says.is_empty() && self.library.hears.is_empty();
        if !silent || !self.machine.is_quiet() {
            return;
        }
        if self.honest {
            self.there.assert_over();
            self.back.assert_complete();
        }
        let state = State::read(self.machine.take().write()).expect("it was just written");
        (self.machine, self.library) = (Machine::adopt(state), Library::new(how));
    }

    fn check(&mut self) {
        let kept = self.machine.to_library.len() + self.machine.room().map_or(0, |room| room.len());
        assert!(kept < MOST_KEPT, "{kept} bytes are kept for the library");
        let unsent = self.machine.to_client.len();
        assert!(unsent < MOST_UNSENT, "{unsent} bytes are kept for the client");
    }

    fn is_silent(&self) -> bool {
        let said = [&self.client.says, &self.client.hears, &self.library.says, &self.library.hears];
        let passed = [&self.machine.to_library, &self.machine.to_client];
        said.into_iter().chain(passed).all(BytesMut::is_empty)
    }

    /// Everything arrives, and each side takes all it gets.
    fn end(&mut self) {
        self.machine.release();
        for _ in 0..if self.honest { 200 } else { 10 } {
            self.client_to_machine(u8::MAX);
            self.library_reads(u8::MAX);
            self.library.grant();
            self.library_to_machine(u8::MAX);
            self.client_reads(u8::MAX);
            if self.honest {
                self.client.grant();
            }
            self.check();
            if self.is_silent() {
                break;
            }
        }
        if self.honest {
            self.there.assert_complete();
            self.back.assert_complete();
            assert!(self.client.is_answered(), "a PING or SETTINGS of the client has no answer");
            assert_eq!(self.client.may_send, WINDOW, "a part of the client's window is lost");
            assert_eq!(self.library.may_send, self.client.may_get, "a part of the library's window is lost");
        }
    }
}
