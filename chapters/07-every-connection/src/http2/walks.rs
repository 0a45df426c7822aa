//! The machine between a client and libraries that mean well, but do everything in random order and in random pieces.
//!
//! The invariant: both sides check all that they read against what they were told themselves, and every stream ends.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IoSlice;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use fastrand::Rng;

use super::frame::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Head, PING, PREFACE, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, number,
};
use super::machine::Machine;
use super::settings::{FIRST_WINDOW, HEADER_TABLE_SIZE, Settings};
use super::state::State;

fn put(to: &mut BytesMut, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    Head { length: u32::try_from(payload.len()).expect("short"), kind, flags, stream }.put(to);
    to.put_slice(payload);
}

/// The next frame, if it is whole.
fn next(from: &mut BytesMut) -> Option<(Head, BytesMut)> {
    let head = Head::read(from).filter(|head| head.is_complete(from))?;
    Some((head, from.split_to(head.frame_size())))
}

/// What a side sends goes in pieces of random size.
fn piece(random: &mut Rng, from: &mut BytesMut) -> BytesMut {
    let length = random.usize(0..=from.len());
    from.split_to(length)
}

/// Whole frames, as a library writes them.
fn frames(random: &mut Rng, from: &mut BytesMut) -> BytesMut {
    let mut size = 0;
    while let Some(head) =
        Head::read(&from[size..]).filter(|head| head.is_complete(&from[size..]) && random.u8(..4) > 0)
    {
        size += head.frame_size();
    }
    from.split_to(size)
}

#[derive(Default)]
struct Client {
    says: BytesMut,
    hears: BytesMut,
    last: u32,
    /// Streams whose request is not ended, and those whose answer is not.
    asking: BTreeSet<u32>,
    waiting: BTreeSet<u32>,
    may_send: u32,
    may_get: u32,
    pings: Vec<u64>,
    settings: u32,
    /// It has heard that its table is to be empty.
    told: bool,
}

impl Client {
    fn act(&mut self, random: &mut Rng) {
        match random.u8(..12) {
            0..=2 if self.waiting.len() < 5 => {
                self.last += 2;
                let ends = random.bool();
                let stream = self.last - 1;
                let split = random.u8(..4) == 0;
                let flags = if ends { END_STREAM } else { 0 } | if split { 0 } else { END_HEADERS };
                put(&mut self.says, HEADERS, flags, stream, b"block");
                if split {
                    put(&mut self.says, CONTINUATION, END_HEADERS, stream, b"rest");
                }
                self.waiting.insert(stream);
                if !ends {
                    self.asking.insert(stream);
                }
            }
            3..=5 => {
                let Some(stream) = random.choice(self.asking.iter().copied()) else { return };
                let length = random.u32(0..=self.may_send.min(5_000));
                let ends = random.bool();
                self.may_send -= length;
                let flags = if ends { END_STREAM } else { 0 };
                put(&mut self.says, DATA, flags, stream, &vec![b'x'; length as usize]);
                if ends {
                    self.asking.remove(&stream);
                }
            }
            6 => {
                let Some(stream) = random.choice(self.waiting.iter().copied()) else { return };
                put(&mut self.says, RST_STREAM, 0, stream, &[0; 4]);
                self.asking.remove(&stream);
                self.waiting.remove(&stream);
            }
            7 => {
                self.pings.push(random.u64(..));
                let ping = self.pings[self.pings.len() - 1];
                put(&mut self.says, PING, 0, 0, &ping.to_be_bytes());
            }
            8 => {
                self.settings += 1;
                let mut settings = Settings::default();
                settings.set(HEADER_TABLE_SIZE, random.u32(..9_000));
                settings.put_frame(&mut self.says);
            }
            // About a stream that is long over, as likely as not.
            9 if self.last > 0 => {
                let stream = random.u32(0..self.last / 2) * 2 + 1;
                put(&mut self.says, WINDOW_UPDATE, 0, stream, &[0, 0, 0, 1]);
            }
            _ if self.may_get < 200_000 => self.grant(random.u32(1..30_000)),
            _ => {}
        }
    }

    fn grant(&mut self, more: u32) {
        self.may_get += more;
        put(&mut self.says, WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
    }

    fn listen(&mut self) {
        let mut block = false;
        while let Some((head, frame)) = next(&mut self.hears) {
            assert!(!block || head.kind == CONTINUATION, "a header block is interrupted by {head:?}");
            match head.kind {
                SETTINGS if head.is_ack() => self.settings -= 1,
                SETTINGS => {
                    let mut settings = Settings::default();
                    settings.merge(&frame[Head::SIZE..]).expect("few");
                    self.told |= settings.get(HEADER_TABLE_SIZE) == 0;
                    assert!(self.told, "the client's table should be empty from the beginning");
                    put(&mut self.says, SETTINGS, ACK, 0, &[]);
                }
                PING if head.is_ack() => assert_eq!(frame[Head::SIZE..], self.pings.remove(0).to_be_bytes()),
                // Of the gate, behind its warning. The library pings no client.
                PING => put(&mut self.says, PING, ACK, 0, &frame[Head::SIZE..]),
                GOAWAY => assert_eq!(number(&frame), u32::MAX >> 1, "it is only warned"),
                WINDOW_UPDATE => self.may_send += number(&frame),
                DATA => {
                    assert!(
                        head.length <= self.may_get,
                        "{head:?} is more than the {} that were granted",
                        self.may_get
                    );
                    self.may_get -= head.length;
                }
                HEADERS | CONTINUATION => block = !head.has(END_HEADERS),
                _ => panic!("{head:?}"),
            }
            if head.ends_stream() {
                self.waiting.remove(&head.stream);
            }
        }
        assert!(self.may_send <= WINDOW, "more than the library's window was granted");
    }
}

/// What the model of a library allows.
const WINDOW: u32 = 200_000;

#[derive(Default)]
struct Library {
    says: BytesMut,
    hears: BytesMut,
    prefaced: bool,
    acknowledged: bool,
    last: u32,
    /// How much of each answer is to be sent, and whether the request has ended.
    open: BTreeMap<u32, (u32, bool)>,
    may_get: u32,
    used: u32,
    may_send: u32,
    table: Vec<u32>,
    begun: BTreeSet<u32>,
}

impl Library {
    fn new() -> Library {
        let mut library = Library { may_get: FIRST_WINDOW, may_send: FIRST_WINDOW, ..Library::default() };
        Settings::default().put_frame(&mut library.says);
        library.used = WINDOW - FIRST_WINDOW;
        library
    }

    fn listen(&mut self, random: &mut Rng) {
        if !self.prefaced && self.hears.len() >= PREFACE.len() {
            assert_eq!(&self.hears.split_to(PREFACE.len())[..], PREFACE);
            self.prefaced = true;
        }
        while self.prefaced
            && let Some((head, frame)) = next(&mut self.hears)
        {
            match head.kind {
                SETTINGS if head.is_ack() => {
                    assert!(!self.acknowledged, "nothing was to be acknowledged");
                    self.acknowledged = true;
                }
                SETTINGS => {
                    let mut settings = Settings::default();
                    settings.merge(&frame[Head::SIZE..]).expect("few");
                    self.table.push(settings.get(HEADER_TABLE_SIZE));
                    put(&mut self.says, SETTINGS, ACK, 0, &[]);
                }
                PING if !head.is_ack() => put(&mut self.says, PING, ACK, 0, &frame[Head::SIZE..]),
                WINDOW_UPDATE if head.stream == 0 => self.may_send += number(&frame),
                HEADERS => {
                    assert!(head.stream > self.last, "{head:?} was there before");
                    self.last = head.stream;
                    self.open.insert(head.stream, (random.u32(..20_000), false));
                }
                DATA => {
                    assert!(head.length <= self.may_get, "{head:?} is more than {}", self.may_get);
                    assert!(head.stream <= self.last, "{head:?} has no request");
                    self.may_get -= head.length;
                    self.used += head.length;
                }
                RST_STREAM => {
                    assert!(head.stream <= self.last, "{head:?} has no request");
                    self.open.remove(&head.stream);
                }
                _ => assert!(head.stream <= self.last, "{head:?} has no request"),
            }
            if head.ends_stream()
                && let Some(answer) = self.open.get_mut(&head.stream)
            {
                answer.1 = true;
            }
        }
    }

    fn act(&mut self, random: &mut Rng) {
        if random.bool() && self.used > 0 {
            let more = random.u32(1..=self.used);
            self.used -= more;
            self.may_get += more;
            put(&mut self.says, WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
        }
        let Some(stream) = random.choice(self.open.keys().copied()) else { return };
        let (left, asked) = self.open[&stream];
        if self.begun.insert(stream) {
            put(&mut self.says, HEADERS, 0, stream, b"block");
            put(&mut self.says, CONTINUATION, END_HEADERS, stream, b"rest");
        }
        let length = left.min(self.may_send).min(9_000);
        let ends = asked && length == left;
        self.may_send -= length;
        put(&mut self.says, DATA, if ends { END_STREAM } else { 0 }, stream, &vec![b'y'; length as usize]);
        if ends {
            self.open.remove(&stream);
        } else {
            self.open.insert(stream, (left - length, asked));
        }
    }
}

fn walk(seed: u64) -> u32 {
    let mut random = Rng::with_seed(seed);
    let random = &mut random;
    let mut client = Client { may_send: FIRST_WINDOW, may_get: FIRST_WINDOW, settings: 1, ..Client::default() };
    client.says.extend_from_slice(PREFACE);
    Settings::default().put_frame(&mut client.says);
    let (mut machine, mut library) = (Machine::fresh(), Library::new());
    let (mut moves, steps) = (0, 600);
    for step in 0_u32.. {
        let over = step > steps;
        if over {
            let stuck = || format!("seed {seed}: {:?} {:?} {machine:?}", client.waiting, library.open);
            assert!(step < 20 * steps, "a stream does not end: {}", stuck());
            for stream in std::mem::take(&mut client.asking) {
                put(&mut client.says, DATA, END_STREAM, stream, &[]);
            }
            if client.may_get < 50_000 {
                client.grant(50_000);
            }
            let silent = client.says.is_empty() && client.pings.is_empty() && client.settings == 0;
            if client.waiting.is_empty() && silent && machine.is_quiet() && library.says.is_empty() {
                break;
            }
        }
        match random.u8(..7) {
            0 if !over => client.act(random),
            1 => {
                let mut sent = piece(random, &mut client.says);
                if machine.is_clear() && random.bool() {
                    let passed = machine.pass(&sent);
                    library.hears.extend_from_slice(&sent.split_to(passed));
                }
                let Some(room) = machine.room() else { panic!("seed {seed}: too much is kept") };
                room.extend_from_slice(&sent);
                machine.advance();
            }
            2 => library.hears.extend_from_slice(&piece(random, &mut machine.to_library)),
            3 => {
                library.listen(random);
                library.act(random);
            }
            4 => {
                let mut first =
                    if random.bool() { frames(random, &mut library.says) } else { piece(random, &mut library.says) };
                let second = first.split_off(random.usize(0..=first.len()));
                let bufs = [IoSlice::new(&first), IoSlice::new(&second)];
                if machine.sends(&bufs) {
                    client.hears.extend_from_slice(&first);
                    client.hears.extend_from_slice(&second);
                } else {
                    machine.write(&first);
                    machine.write(&second);
                }
            }
            5 => {
                client.hears.extend_from_slice(&piece(random, &mut machine.to_client));
                client.listen();
            }
            _ if over => machine.release(),
            _ if random.u8(..20) == 0 => machine.warn(),
            _ if random.u8(..4) == 0 => machine.release(),
            _ => machine.hold(),
        }
        assert!(!machine.ends(), "seed {seed}: nothing was wrong");
        library.listen(random);
        if library.says.is_empty() && library.hears.is_empty() && machine.is_quiet() && random.bool() {
            let state = State::read(machine.take().write()).expect("it was just written");
            assert!(library.open.is_empty(), "seed {seed}: a stream is open");
            (machine, library) = (Machine::adopt(state), Library::new());
            moves += 1;
        }
    }
    moves
}

#[test]
fn whatever_the_order_both_sides_get_what_they_were_told_and_every_stream_ends() {
    let walks: u64 = std::env::var("WALKS").ok().and_then(|walks| walks.parse().ok()).unwrap_or(400);
    let moves: u32 = (0..walks).map(walk).sum();
    assert!(u64::from(moves) > walks, "only {moves} moves in {walks} walks");
}

/// Whatever a client sends, the machine keeps no more than it should, and the library gets the rest.
#[test]
fn nonsense_is_passed_to_the_library_or_framed_and_never_kept_beyond_the_limit() {
    for seed in 0..2_000 {
        let mut random = Rng::with_seed(seed);
        let (mut machine, mut kept) = (Machine::fresh(), 0);
        let mut client = BytesMut::from(PREFACE);
        for _ in 0..random.usize(..60) {
            let length = random.usize(..40);
            let payload: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
            let said = if random.u8(..20) == 0 { random.u32(..1 << 24) } else { u32::try_from(length).expect("short") };
            let stream = if random.bool() { 0 } else { random.u32(..12) };
            Head { length: said, kind: random.u8(..11), flags: random.u8(..), stream }.put(&mut client);
            client.put_slice(&payload);
        }
        while !client.is_empty() {
            let sent = piece(&mut random, &mut client);
            if let Some(room) = machine.room() {
                room.extend_from_slice(&sent);
                machine.advance();
            }
            if random.u8(..9) == 0 {
                machine.hold();
            }
            kept = kept.max(machine.room().map_or(0, |room| room.len()));
            let length = machine.to_library.len();
            machine.to_library.advance(length);
        }
        assert!(kept < 17 * 1024, "seed {seed}: {kept} bytes are kept");
        let _ = State::read(Bytes::from(client));
    }
}
