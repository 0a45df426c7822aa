//! A client and a library that keep account of what they have been told, and expect the other to heed it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::LazyLock;

use bytes::{BufMut as _, BytesMut};

use super::frame::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Head, PADDED, PING, PREFACE, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, number,
};
use super::settings::{FIRST_WINDOW, HEADER_TABLE_SIZE, Settings};

/// What each library lets the client send before it is read.
pub(super) const WINDOW: u32 = 100_000;

pub(super) const PRIORITY: u8 = 2;

/// No kind that the protocol has: it is to be ignored (RFC 9113, section 4.1).
pub(super) const UNKNOWN: u8 = 0x20;

/// What was said on each stream, as far as bodies and header blocks go; what of it was heard; and which streams were cut short.
#[derive(Default)]
pub(super) struct Transcript {
    said: BTreeMap<u32, Vec<u8>>,
    heard: BTreeMap<u32, usize>,
    cut: BTreeSet<u32>,
    /// The stream ends with the header block that is half heard.
    ends_with_block: bool,
}

impl Transcript {
    fn say(&mut self, head: Head, payload: &[u8]) {
        let said = self.said.entry(head.stream).or_default();
        said.extend_from_slice(payload);
        if head.ends_stream() {
            said.push(b'.');
        }
    }

    fn hear(&mut self, head: Head, payload: &[u8]) {
        self.hear_bytes(head.stream, payload);
        match head.kind {
            HEADERS if !head.has(END_HEADERS) => self.ends_with_block = head.ends_stream(),
            CONTINUATION if head.has(END_HEADERS) && std::mem::take(&mut self.ends_with_block) => {
                self.hear_bytes(head.stream, b".");
            }
            DATA | HEADERS if head.ends_stream() => self.hear_bytes(head.stream, b"."),
            _ => {}
        }
    }

    fn hear_bytes(&mut self, stream: u32, bytes: &[u8]) {
        let said = self.said.get(&stream).map_or(&[][..], |said| said);
        let heard = self.heard.entry(stream).or_default();
        let there = said.get(*heard..*heard + bytes.len());
        assert_eq!(there, Some(bytes), "on stream {stream}, from byte {heard} on, this was not said");
        *heard += bytes.len();
    }

    /// Asserts that everything was heard.
    pub(super) fn assert_complete(&self) {
        assert!(self.said.keys().all(|stream| self.heard.contains_key(stream) || self.cut.contains(stream)));
        self.assert_over();
    }

    /// Asserts that of each stream, everything was heard or nothing.
    pub(super) fn assert_over(&self) {
        for (stream, heard) in self.heard.iter().filter(|(stream, _)| !self.cut.contains(stream)) {
            assert_eq!(*heard, self.said[stream].len(), "on stream {stream}, not all that was said was heard");
        }
    }
}

pub(super) fn put(to: &mut BytesMut, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Head {
    let head = Head { length: u32::try_from(payload.len()).expect("short"), kind, flags, stream };
    head.put(to);
    to.put_slice(payload);
    head
}

/// So many bytes, of which no two that follow each other are the same.
pub(super) fn body(how: u8, length: u32) -> Vec<u8> {
    static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| (0..=u8::MAX).cycle().take((1 << 14) + 256).collect());
    BYTES[how.into()..][..length as usize].to_vec()
}

/// The next frame, if it is whole.
pub(super) fn next(from: &mut BytesMut) -> Option<(Head, BytesMut)> {
    let head = Head::read(from).filter(|head| head.is_complete(from))?;
    Some((head, from.split_to(head.frame_size())))
}

/// A header block, in one frame or in two. It says how much was said before, so that no two are the same.
fn put_block(to: &mut BytesMut, stream: u32, ends: bool, split: bool, transcript: &mut Transcript) {
    let ends = if ends { END_STREAM } else { 0 };
    let payload = [b"block".as_slice(), &to.len().to_be_bytes()].concat();
    let rest = if split { 3 } else { payload.len() };
    let last = if split { 0 } else { END_HEADERS };
    // It ends with its second frame, for the transcript.
    let head = put(to, HEADERS, ends | last, stream, &payload[..rest]);
    transcript.say(Head { flags: 0, ..head }, &payload);
    if split {
        put(to, CONTINUATION, END_HEADERS, stream, &payload[rest..]);
    }
    if ends != 0 {
        transcript.say(head, &[]);
    }
}

/// The one of these that the byte means.
fn choose(from: &BTreeSet<u32>, how: u8) -> Option<u32> {
    from.iter().nth(usize::from(how) % from.len().max(1)).copied()
}

pub(super) struct Client {
    pub(super) says: BytesMut,
    pub(super) hears: BytesMut,
    /// How many bytes of bodies it may send, and may be sent.
    pub(super) may_send: u32,
    pub(super) may_get: u32,
    last: u32,
    /// Streams whose request is not ended.
    asking: BTreeSet<u32>,
    /// PINGs and SETTINGS that have no answer.
    pings: VecDeque<u64>,
    settings: u32,
    pinged: u64,
    /// It has been told to keep no table.
    told: bool,
    in_block: bool,
}

impl Client {
    pub(super) fn new() -> Client {
        let mut says = BytesMut::from(PREFACE);
        Settings::default().put_frame(&mut says);
        Client {
            says,
            hears: BytesMut::new(),
            may_send: FIRST_WINDOW,
            may_get: FIRST_WINDOW,
            last: 0,
            asking: BTreeSet::new(),
            pings: VecDeque::new(),
            settings: 1,
            pinged: 0,
            told: false,
            in_block: false,
        }
    }

    /// A request: with or without a body, its header block in one frame or two.
    pub(super) fn ask(&mut self, how: u8, there: &mut Transcript) {
        let stream = self.last + if how & 4 == 0 { 1 } else { 3 };
        let stream = stream | 1;
        self.last = stream + 1;
        let ends = how & 1 != 0;
        put_block(&mut self.says, stream, ends, how & 2 != 0, there);
        if !ends {
            self.asking.insert(stream);
        }
    }

    /// A part of a body, perhaps the last one, perhaps padded; or trailers.
    pub(super) fn send_body(&mut self, how: u8, there: &mut Transcript) {
        let Some(stream) = choose(&self.asking, how) else { return };
        let ends = how & 1 != 0;
        if how & 6 == 6 && ends {
            put_block(&mut self.says, stream, true, how & 8 != 0, there);
        } else {
            let length = u32::from(how).pow(2).min(16_384).min(self.may_send);
            self.may_send -= length;
            let mut payload = body(how, length);
            let mut flags = if ends { END_STREAM } else { 0 };
            if how & 16 != 0 && length > 0 {
                payload[0] = 0;
                flags |= PADDED;
            }
            let head = put(&mut self.says, DATA, flags, stream, &payload);
            there.say(head, &payload);
        }
        if ends {
            self.asking.remove(&stream);
        }
    }

    /// It wants no answer any more, or never did.
    pub(super) fn reset(&mut self, how: u8, there: &mut Transcript) {
        let all: BTreeSet<u32> = (1..=self.last).step_by(2).filter(|stream| there.said.contains_key(stream)).collect();
        let Some(stream) = choose(&all, how) else { return };
        put(&mut self.says, RST_STREAM, 0, stream, &[0; 4]);
        there.cut.insert(stream);
        self.asking.remove(&stream);
    }

    /// What is about the connection, or about a stream that may be over, or may never come.
    pub(super) fn control(&mut self, how: u8) {
        let stream = u32::from(how / 8) * 2 + 1;
        match how % 8 {
            0 | 1 => {
                self.pinged += 1;
                self.pings.push_back(self.pinged);
                put(&mut self.says, PING, 0, 0, &self.pinged.to_be_bytes());
            }
            2 | 3 => {
                self.settings += 1;
                let mut settings = Settings::default();
                settings.set(u16::from(how / 8) % 6 + 1, 16_384 + u32::from(how));
                settings.put_frame(&mut self.says);
            }
            4 => self.grant_some(u32::from(how)),
            5 if self.last > stream => {
                put(&mut self.says, WINDOW_UPDATE, 0, stream, &[0, 0, 0, 1]);
            }
            6 => {
                put(&mut self.says, PRIORITY, 0, stream, &[0; 5]);
            }
            _ => {
                put(&mut self.says, UNKNOWN, how, 0, &[how; 3]);
            }
        }
    }

    fn grant_some(&mut self, more: u32) {
        self.may_get += more;
        put(&mut self.says, WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
    }

    /// Takes a lot.
    pub(super) fn grant(&mut self) {
        if self.may_get < 2 * FIRST_WINDOW {
            self.grant_some(2 * FIRST_WINDOW);
        }
    }

    pub(super) fn is_answered(&self) -> bool {
        self.pings.is_empty() && self.settings == 0
    }

    /// Reads. As long as it is honest, it complains of what it should not have been sent.
    pub(super) fn listen(&mut self, back: &mut Transcript, honest: bool) {
        while let Some((head, frame)) = next(&mut self.hears) {
            let payload = &frame[Head::SIZE..];
            if head.kind == SETTINGS && !head.is_ack() {
                put(&mut self.says, SETTINGS, ACK, 0, &[]);
            }
            if !honest {
                continue;
            }
            assert!(!self.in_block || head.kind == CONTINUATION, "a header block is interrupted by {head:?}");
            match head.kind {
                SETTINGS if head.is_ack() => {
                    self.settings = self.settings.checked_sub(1).expect("all SETTINGS had been acknowledged");
                }
                SETTINGS => {
                    let mut settings = Settings::default();
                    settings.merge(payload).expect("the library says little");
                    self.told |= settings.get(HEADER_TABLE_SIZE) == 0;
                    assert!(self.told, "the client's table should be empty from the beginning");
                }
                PING if head.is_ack() => {
                    let oldest = self.pings.pop_front().map(u64::to_be_bytes);
                    assert_eq!(Some(payload), oldest.as_ref().map(<[u8; 8]>::as_slice), "PINGs are answered in order");
                }
                PING => drop(put(&mut self.says, PING, ACK, 0, payload)),
                WINDOW_UPDATE if head.stream == 0 => {
                    self.may_send += number(&frame);
                    assert!(self.may_send <= WINDOW, "the client may send more than the library allows");
                }
                DATA => {
                    self.may_get = self.may_get.checked_sub(head.length).expect("it is more than the client takes");
                    back.hear(head, payload);
                }
                HEADERS | CONTINUATION => {
                    self.in_block = !head.has(END_HEADERS);
                    back.hear(head, payload);
                }
                _ => {}
            }
        }
    }
}

pub(super) struct Library {
    pub(super) says: BytesMut,
    pub(super) hears: BytesMut,
    pub(super) may_send: u32,
    may_get: u32,
    /// What it has read, and not allowed again.
    used: u32,
    prefaced: bool,
    last: u32,
    /// Streams that have no answer yet; and those whose answer has begun.
    open: BTreeSet<u32>,
    begun: BTreeSet<u32>,
    /// SETTINGS and PINGs of its own that have no answer.
    settings: u32,
    pings: u32,
}

impl Library {
    /// It says at once what it allows: more, if `how` is odd.
    pub(super) fn new(how: u8) -> Library {
        let mut says = BytesMut::new();
        let mut settings = Settings::default();
        if how % 2 == 1 {
            settings.set(4, FIRST_WINDOW + u32::from(how));
        }
        settings.put_frame(&mut says);
        Library {
            says,
            hears: BytesMut::new(),
            may_send: FIRST_WINDOW,
            may_get: FIRST_WINDOW,
            used: WINDOW - FIRST_WINDOW,
            prefaced: false,
            last: 0,
            open: BTreeSet::new(),
            begun: BTreeSet::new(),
            settings: 1,
            pings: 0,
        }
    }

    /// An answer's next part, and with it perhaps its end.
    pub(super) fn answer(&mut self, how: u8, back: &mut Transcript) {
        let Some(stream) = choose(&self.open, how) else { return };
        let ends = how & 1 != 0;
        if self.begun.insert(stream) || ends && how & 2 != 0 {
            put_block(&mut self.says, stream, ends, how & 4 != 0, back);
        } else {
            let length = u32::from(how).pow(2).min(16_384).min(self.may_send);
            self.may_send -= length;
            let payload = body(how, length);
            let head = put(&mut self.says, DATA, if ends { END_STREAM } else { 0 }, stream, &payload);
            back.say(head, &payload);
        }
        if ends {
            self.open.remove(&stream);
        }
    }

    pub(super) fn reset(&mut self, how: u8, back: &mut Transcript, there: &mut Transcript) {
        let Some(stream) = choose(&self.open, how) else { return };
        put(&mut self.says, RST_STREAM, 0, stream, &[0; 4]);
        self.open.remove(&stream);
        back.cut.insert(stream);
        there.cut.insert(stream);
    }

    pub(super) fn control(&mut self, how: u8) {
        match how % 8 {
            0 | 1 if self.prefaced => {
                self.pings += 1;
                put(&mut self.says, PING, 0, 0, &[how; 8]);
            }
            2 if self.prefaced => {
                self.settings += 1;
                let mut settings = Settings::default();
                settings.set(3, 100 + u32::from(how));
                settings.put_frame(&mut self.says);
            }
            3 => {
                if let Some(stream) = choose(&self.open, how) {
                    put(&mut self.says, WINDOW_UPDATE, 0, stream, &[0, 0, 0, 1]);
                }
            }
            4 if how > 250 => drop(put(&mut self.says, GOAWAY, 0, 0, &[0; 8])),
            _ => self.grant(),
        }
    }

    /// Allows again what it has read.
    pub(super) fn grant(&mut self) {
        if self.used > 0 && self.prefaced {
            self.may_get += self.used;
            put(&mut self.says, WINDOW_UPDATE, 0, 0, &self.used.to_be_bytes());
            self.used = 0;
        }
    }

    /// Reads. What is dishonest, it drops.
    pub(super) fn listen(&mut self, there: &mut Transcript, honest: bool) {
        if !self.prefaced && self.hears.len() >= PREFACE.len() {
            let preface = self.hears.split_to(PREFACE.len());
            assert!(!honest || preface == PREFACE, "it is no preface");
            self.prefaced = true;
            // As hyper does it: before any answer.
            self.grant();
        }
        while self.prefaced
            && let Some((head, frame)) = next(&mut self.hears)
        {
            let payload = &frame[Head::SIZE..];
            match head.kind {
                SETTINGS if !head.is_ack() => drop(put(&mut self.says, SETTINGS, ACK, 0, &[])),
                PING if !head.is_ack() => drop(put(&mut self.says, PING, ACK, 0, payload)),
                HEADERS if head.stream > self.last && head.stream % 2 == 1 => {
                    self.last = head.stream;
                    self.open.insert(head.stream);
                }
                RST_STREAM => drop(self.open.remove(&head.stream)),
                _ => {}
            }
            if !honest {
                continue;
            }
            match head.kind {
                SETTINGS if head.is_ack() => {
                    self.settings = self.settings.checked_sub(1).expect("nothing was to be acknowledged");
                }
                PING if head.is_ack() => self.pings = self.pings.checked_sub(1).expect("no PING was to be answered"),
                WINDOW_UPDATE if head.stream == 0 => self.may_send += number(&frame),
                DATA => {
                    self.may_get = self.may_get.checked_sub(head.length).expect("it is more than the library takes");
                    self.used += head.length;
                    assert!(head.stream <= self.last, "{head:?} has no request");
                    there.hear(head, payload);
                }
                HEADERS | CONTINUATION => {
                    assert!(head.stream <= self.last, "{head:?} has no request");
                    there.hear(head, payload);
                }
                WINDOW_UPDATE | RST_STREAM => assert!(head.stream <= self.last, "{head:?} has no request"),
                _ => {}
            }
        }
    }
}
