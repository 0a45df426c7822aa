//! A client that keeps to the rules, and notes what it is answered.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use bytes::BytesMut;

use super::frame::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Head, PING, PREFACE, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, number,
};
use super::hpack::{Field, decode};
use super::peers::{PRIORITY, UNKNOWN, body, next, put};
use super::settings::{FIRST_WINDOW, HEADER_TABLE_SIZE, MAX_FRAME_SIZE, Settings};

const INITIAL_WINDOW_SIZE: u16 = 4;

/// Of bodies, and of streams that it cuts short: hyper allows some twenty that it has not accepted, and each process counts anew.
const MOST_SAID: u32 = 1 << 18;
const MOST_CUT: usize = 10;

/// What came on a stream.
#[derive(Default, PartialEq)]
pub(super) struct Answer {
    pub(super) heads: Vec<Field>,
    pub(super) body: Vec<u8>,
    pub(super) ended: bool,
    pub(super) reset: Option<u32>,
}

impl Answer {
    /// Whether the other goes on where this one stops.
    pub(super) fn begins(&self, other: &Answer) -> bool {
        other.heads.starts_with(&self.heads) && other.body.starts_with(&self.body)
    }
}

/// Without the bytes of the body.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Answer { heads, body, ended, reset } = self;
        write!(f, "{heads:?}, {} bytes, ended: {ended}, reset: {reset:?}", body.len())
    }
}

/// A request's body.
struct Upload {
    left: u32,
    ends: bool,
    trailers: bool,
    window: i64,
}

#[derive(Default)]
pub(super) struct Client {
    pub(super) says: BytesMut,
    hears: BytesMut,
    last: u32,
    /// What the server has said, and how much it takes altogether.
    server: Settings,
    window: i64,
    uploads: BTreeMap<u32, Upload>,
    /// Of bodies, so far.
    said: u32,
    table: VecDeque<Field>,
    /// A part of a header block.
    block: Vec<u8>,
    pub(super) answers: BTreeMap<u32, Answer>,
    /// Streams that it has reset.
    pub(super) cut: BTreeSet<u32>,
    pub(super) pongs: Vec<u8>,
    pub(super) goaway: Option<u32>,
    /// What it takes altogether, and on each stream: on a fresh one, what its last settings said that were acknowledged.
    takes: i64,
    takes_first: i64,
    takes_of: BTreeMap<u32, i64>,
    /// The window in each of its settings that are not.
    settings: VecDeque<Option<u32>>,
    /// It was sent more than it takes.
    pub(super) overrun: bool,
}

impl Client {
    pub(super) fn new() -> Client {
        let mut says = BytesMut::from(PREFACE);
        Settings::default().put_frame(&mut says);
        let window = FIRST_WINDOW.into();
        Client { says, window, takes: window, takes_first: window, settings: [None].into(), ..Client::default() }
    }

    /// A request, whose path says what it is about; with or without a body, its header block in one frame or two.
    pub(super) fn ask(&mut self, how: u8) {
        let stream = self.last + 1;
        self.last += 2;
        let block = [&[0x83, 0x86, 4, 3][..], format!("/{how:02x}").as_bytes()].concat();
        let (first, rest) = block.split_at(if how & 2 == 0 { block.len() } else { 3 });
        let flags = if how & 1 == 0 { 0 } else { END_STREAM } | if rest.is_empty() { END_HEADERS } else { 0 };
        put(&mut self.says, HEADERS, flags, stream, first);
        if !rest.is_empty() {
            put(&mut self.says, CONTINUATION, END_HEADERS, stream, rest);
        }
        self.answers.entry(stream).or_default();
        if how & 1 == 0 {
            let window = self.server.get(INITIAL_WINDOW_SIZE).into();
            self.uploads.insert(stream, Upload { left: 0, ends: false, trailers: false, window });
        }
    }

    /// One of the streams so far, whatever has become of it.
    fn stream(&self, how: u8) -> u32 {
        u32::from(how) % (self.last / 2).max(1) * 2 + 1
    }

    /// More of a body, and perhaps its end, with trailers or without.
    pub(super) fn send_body(&mut self, how: u8) {
        let more = u32::from(how).pow(2);
        self.said += more;
        if let Some(upload) = self.uploads.get_mut(&self.stream(how / 4)).filter(|upload| !upload.ends)
            && self.said < MOST_SAID
        {
            (upload.left, upload.ends, upload.trailers) = (upload.left + more, how & 1 != 0, how & 2 != 0);
        }
    }

    /// It wants no answer any more.
    pub(super) fn reset(&mut self, how: u8) {
        let stream = self.stream(how);
        if self.last > 0 && self.cut.len() < MOST_CUT {
            put(&mut self.says, RST_STREAM, 0, stream, &8_u32.to_be_bytes());
            self.cut.insert(stream);
            self.uploads.remove(&stream);
        }
    }

    fn open(&self) -> impl Iterator<Item = u32> {
        let open = self.answers.iter().filter(|(_, answer)| !answer.ended && answer.reset.is_none());
        open.map(|(stream, _)| *stream).filter(|stream| !self.cut.contains(stream))
    }

    pub(super) fn change_settings(&mut self, how: u8) {
        let (number, value) = [
            (HEADER_TABLE_SIZE, [0, 4_096, 64][usize::from(how / 4) % 3]),
            (INITIAL_WINDOW_SIZE, u32::from(how) * 300),
            (MAX_FRAME_SIZE, 16_384 + u32::from(how)),
            (99, how.into()),
        ][usize::from(how) % 4];
        let mut settings = Settings::default();
        settings.set(number, value);
        settings.put_frame(&mut self.says);
        self.settings.push_back(Some(value).filter(|_| number == INITIAL_WINDOW_SIZE));
    }

    /// A PING, or what says nothing.
    pub(super) fn control(&mut self, how: u8) {
        let stream = self.stream(how);
        match how % 4 {
            0 | 1 => put(&mut self.says, PING, 0, 0, &[how; 8]),
            2 => put(&mut self.says, PRIORITY, 0, stream, &[0; 5]),
            _ => put(&mut self.says, UNKNOWN, how, stream, &[how; 3]),
        };
    }

    /// It takes more, on each stream and altogether.
    pub(super) fn grant(&mut self, more: u32) {
        let open: Vec<_> = self.open().collect();
        self.takes += i64::from(more);
        put(&mut self.says, WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
        for stream in open {
            *self.takes_of.entry(stream).or_insert(self.takes_first) += i64::from(more);
            put(&mut self.says, WINDOW_UPDATE, 0, stream, &more.to_be_bytes());
        }
    }

    /// Says of the bodies what there is room for.
    pub(super) fn send(&mut self) {
        for (stream, upload) in &mut self.uploads {
            loop {
                let room = self.window.min(upload.window).clamp(0, 1 << 14);
                let part = upload.left.min(u32::try_from(room).expect("it is positive"));
                upload.left -= part;
                let over = upload.left == 0 && upload.ends;
                if part == 0 && !over {
                    break;
                }
                self.window -= i64::from(part);
                upload.window -= i64::from(part);
                let body = body(u8::try_from(upload.left % 251).expect("it is small"), part);
                let ends = if over && !upload.trailers { END_STREAM } else { 0 };
                put(&mut self.says, DATA, ends, *stream, &body);
                if over && upload.trailers {
                    put(&mut self.says, HEADERS, END_STREAM, *stream, &[0, 1, b'a']);
                    put(&mut self.says, CONTINUATION, END_HEADERS, *stream, &[1, b'b']);
                }
                if over {
                    break;
                }
            }
        }
        self.uploads.retain(|_, upload| upload.left > 0 || !upload.ends);
    }

    pub(super) fn hear(&mut self, bytes: &[u8]) {
        self.hears.extend_from_slice(bytes);
        while let Some((head, frame)) = next(&mut self.hears) {
            let payload = &frame[Head::SIZE..];
            let mut about_all = Answer::default();
            let answer = match head.stream {
                0 => &mut about_all,
                stream => self.answers.entry(stream).or_default(),
            };
            answer.ended |= head.ends_stream();
            match head.kind {
                SETTINGS if !head.is_ack() => {
                    let before = self.server.get(INITIAL_WINDOW_SIZE);
                    self.server.merge(payload).expect("hyper says little");
                    let more = i64::from(self.server.get(INITIAL_WINDOW_SIZE)) - i64::from(before);
                    self.uploads.values_mut().for_each(|upload| upload.window += more);
                    put(&mut self.says, SETTINGS, ACK, 0, &[]);
                }
                SETTINGS => {
                    if let Some(window) = self.settings.pop_front().flatten() {
                        let more = i64::from(window) - self.takes_first;
                        self.takes_first += more;
                        self.takes_of.values_mut().for_each(|takes| *takes += more);
                    }
                }
                PING if head.is_ack() => self.pongs.extend_from_slice(payload),
                WINDOW_UPDATE if head.stream == 0 => self.window += i64::from(number(&frame)),
                WINDOW_UPDATE => {
                    if let Some(upload) = self.uploads.get_mut(&head.stream) {
                        upload.window += i64::from(number(&frame));
                    }
                }
                DATA => {
                    answer.body.extend_from_slice(payload);
                    let takes = self.takes_of.entry(head.stream).or_insert(self.takes_first);
                    for takes in [takes, &mut self.takes] {
                        *takes -= i64::from(head.length);
                        self.overrun |= *takes < 0 && head.length > 0;
                    }
                }
                HEADERS | CONTINUATION => {
                    self.block.extend_from_slice(payload);
                    if head.has(END_HEADERS) {
                        let fields = decode(&mut self.table, &std::mem::take(&mut self.block));
                        answer.heads.extend(fields);
                    }
                }
                RST_STREAM => {
                    // With the end of the answer, it only says that the rest of the request is of no use.
                    answer.reset = Some(number(&frame)).filter(|_| !answer.ended);
                    self.uploads.remove(&head.stream);
                }
                GOAWAY => self.goaway = Some(u32::from_be_bytes(payload[4..8].try_into().expect("four"))),
                _ => {}
            }
        }
    }
}
