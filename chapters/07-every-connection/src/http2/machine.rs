//! The gate without its socket: bytes of the client and of the library in, whole frames for both out, and a ledger.
//!
//! The invariant: the client sees one connection, and each library a connection of its own; whatever one of them has told the
//! other (settings, windows, streams) is true for both, or the gate makes it so.

use bytes::{Bytes, BytesMut};

use super::frame::{
    DATA, END_STREAM, GOAWAY, Head, PADDED, PING, PREFACE, PUSH_PROMISE, SETTINGS, WINDOW_UPDATE, number,
    put_settings_ack, put_window_update,
};
use super::settings::{FIRST_WINDOW, HEADER_TABLE_SIZE, MAX_FRAME_SIZE, Settings};
use super::state::State;
use super::streams::Streams;

/// The most that is kept of what the client sends, while streams are held. It goes to the successor with the socket.
const MOST_KEPT: usize = 256 * 1024;

/// The most that is kept of what the library writes, while the client or its socket takes no more.
const MOST_UNSENT: usize = 64 * 1024;

/// A window can have no more (RFC 9113, section 6.9.1).
const LARGEST_WINDOW: u32 = (1 << 31) - 1;

#[derive(Debug)]
enum Stage {
    /// The client's preface has not passed yet.
    Preface,
    /// The library of an adopted connection is told what the client has told its predecessors. Until it has said its part, it is
    /// given nothing of the client.
    Rebuilding {
        settings: bool,
        acks: u8,
    },
    Open,
    /// The client has sent what the library refuses. Every byte passes.
    Blind,
}

/// What becomes of a frame of the client.
enum Verdict {
    Pass,
    Drop,
    /// It is set aside: it is about a new stream, and these are held.
    Aside,
    /// It waits for the library, and all behind it.
    Wait,
    /// No library accepts it.
    Refuse,
}

/// How many bytes of bodies the client may still send, on all streams together.
#[derive(Debug)]
struct ReceiveWindow {
    /// As the library has it.
    belief: u32,
    /// As the client has it.
    truth: u32,
}

/// How many bytes of bodies the client still takes.
#[derive(Debug)]
struct SendWindow {
    truth: u32,
    /// How much more the library believes. It cannot be talked out of the window that every connection begins with.
    excess: u32,
}

#[derive(Debug)]
pub(super) struct Machine {
    stage: Stage,
    held: bool,
    /// A side has said that it is leaving, or what it does cannot be followed.
    ends: bool,
    /// From the client, and not looked at, from the first byte of a frame on.
    arrived: BytesMut,
    /// Frames about new streams, while these are held.
    aside: BytesMut,
    to_library: BytesMut,
    /// From the library: a part of a frame.
    written: BytesMut,
    /// From the library: what has to wait until the client makes its window wider, and what comes behind it.
    waiting: BytesMut,
    to_client: BytesMut,
    streams: Streams,
    theirs: Settings,
    ours: Settings,
    receive: ReceiveWindow,
    send: SendWindow,
    /// SETTINGS and PING of the client that the library has not answered.
    owed: u32,
    /// SETTINGS of ours that the client has not acknowledged; the first of these acknowledgements are not for the library.
    unacknowledged: u32,
    ours_alone: u32,
    /// PINGs of the library that the client has not answered.
    pings: u32,
    /// The client has acknowledged our first SETTINGS: from now on, its header blocks depend on none before.
    stateless: bool,
}

impl Machine {
    /// For a fresh connection.
    pub(super) fn fresh() -> Machine {
        Machine {
            stage: Stage::Preface,
            held: false,
            ends: false,
            arrived: BytesMut::new(),
            aside: BytesMut::new(),
            to_library: BytesMut::new(),
            written: BytesMut::new(),
            waiting: BytesMut::new(),
            to_client: BytesMut::new(),
            streams: Streams::default(),
            theirs: Settings::default(),
            ours: Settings::default(),
            receive: ReceiveWindow { belief: FIRST_WINDOW, truth: FIRST_WINDOW },
            send: SendWindow { truth: FIRST_WINDOW, excess: 0 },
            owed: 0,
            unacknowledged: 0,
            ours_alone: 0,
            pings: 0,
            stateless: false,
        }
    }

    // ANCHOR: adopt
    /// For a connection that another process had: its library hears first what the client has said to others.
    pub(super) fn adopt(state: State) -> Machine {
        let mut to_library = BytesMut::from(PREFACE);
        // Its encoder begins with an empty table, and the client's has entries. After these two frames, the first header block
        // says that the table is emptied, and how large it may become (RFC 7541, section 4.2).
        let mut emptied = state.theirs.clone();
        emptied.set(HEADER_TABLE_SIZE, 0);
        emptied.put_frame(&mut to_library);
        let mut table = Settings::default();
        table.set(HEADER_TABLE_SIZE, state.theirs.get(HEADER_TABLE_SIZE));
        table.put_frame(&mut to_library);
        let wider = state.send_window.saturating_sub(FIRST_WINDOW);
        if wider > 0 {
            put_window_update(&mut to_library, wider);
        }
        Machine {
            stage: Stage::Rebuilding { settings: false, acks: 2 },
            arrived: BytesMut::from(&state.unread[..]),
            to_library,
            streams: Streams::after(state.last),
            theirs: state.theirs,
            ours: state.ours,
            receive: ReceiveWindow { belief: FIRST_WINDOW, truth: state.receive_window },
            send: SendWindow {
                truth: state.send_window,
                excess: FIRST_WINDOW.saturating_sub(state.send_window),
            },
            stateless: true,
            ..Machine::fresh()
        }
    }
    // ANCHOR_END: adopt

    /// What the next process needs. The connection must be [quiet](Self::is_quiet).
    pub(super) fn take(&mut self) -> State {
        self.ends = true;
        State {
            last: self.streams.last(),
            receive_window: self.receive.truth,
            send_window: self.send.truth,
            theirs: self.theirs.clone(),
            ours: self.ours.clone(),
            unread: Bytes::from([&self.aside[..], &self.arrived].concat()),
        }
    }

    // ANCHOR: quiet
    /// Whether the library owes the client nothing, and the client owes it nothing that its successor would miss.
    pub(super) fn is_quiet(&self) -> bool {
        let passes = matches!(self.stage, Stage::Open) && self.stateless && !self.ends;
        let answered = self.owed == 0 && self.unacknowledged == 0 && self.streams.are_over();
        let buffers = [&self.to_library, &self.written, &self.waiting, &self.to_client];
        passes && answered && buffers.iter().all(|bytes| bytes.is_empty())
    }
    // ANCHOR_END: quiet

    /// Whether it will never be quiet.
    pub(super) fn ends(&self) -> bool {
        self.ends
    }

    /// From now on, the library is given no new stream.
    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    /// Ends [`hold`](Self::hold).
    pub(super) fn release(&mut self) {
        self.held = false;
        self.unhold();
        self.advance();
    }

    fn unhold(&mut self) {
        if !self.aside.is_empty() {
            let mut all = std::mem::take(&mut self.aside);
            all.unsplit(std::mem::take(&mut self.arrived));
            self.arrived = all;
        }
    }

    /// Where to put what comes from the client; then [`advance`](Self::advance). `None`: too much is kept already.
    pub(super) fn room(&mut self) -> Option<&mut BytesMut> {
        let kept = self.arrived.len() + self.aside.len();
        (kept < MOST_KEPT || matches!(self.stage, Stage::Blind)).then_some(&mut self.arrived)
    }

    /// Whether the library should write no more for now.
    pub(super) fn is_full(&self) -> bool {
        self.to_client.len() + self.waiting.len() > MOST_UNSENT
    }

    /// What the library should read.
    pub(super) fn to_library(&mut self) -> &mut BytesMut {
        &mut self.to_library
    }

    /// What should be sent to the client.
    pub(super) fn to_client(&mut self) -> &mut BytesMut {
        &mut self.to_client
    }

    /// The client has sent what the library has to refuse, or will send no more. The library gets it all.
    pub(super) fn go_blind(&mut self) {
        self.stage = Stage::Blind;
        self.ends = true;
        self.unhold();
        self.to_library.unsplit(std::mem::take(&mut self.arrived));
        self.to_client.unsplit(std::mem::take(&mut self.waiting));
    }

    /// Looks at what has come from the client.
    pub(super) fn advance(&mut self) {
        match self.stage {
            Stage::Preface if self.arrived.len() >= PREFACE.len() => {
                self.give(PREFACE.len());
                self.stage = Stage::Open;
            }
            Stage::Preface | Stage::Rebuilding { .. } => return,
            Stage::Open => {}
            Stage::Blind => return self.go_blind(),
        }
        while let Some(head) = Head::read(&self.arrived) {
            // Before the frame is waited for: a client may announce up to 16 MiB.
            if head.length > self.ours.get(MAX_FRAME_SIZE) || head.is_malformed() {
                return self.go_blind();
            }
            if !head.is_complete(&self.arrived) {
                return;
            }
            match self.verdict(head) {
                Verdict::Pass => {
                    self.streams.asked(head);
                    self.give(head.frame_size());
                }
                Verdict::Drop => drop(self.arrived.split_to(head.frame_size())),
                Verdict::Aside => self.aside.unsplit(self.arrived.split_to(head.frame_size())),
                Verdict::Wait => return,
                Verdict::Refuse => return self.go_blind(),
            }
        }
        if self.arrived.is_empty() {
            // An empty buffer may still own memory, for as long as the connection lasts.
            self.arrived = BytesMut::new();
        }
    }

    fn give(&mut self, length: usize) {
        self.to_library.unsplit(self.arrived.split_to(length));
    }

    /// What becomes of a frame of the client, which is complete.
    #[inline]
    fn verdict(&mut self, head: Head) -> Verdict {
        if self.streams.is_late(head) {
            if head.kind == DATA {
                self.receive.truth = self.receive.truth.saturating_sub(head.length);
                self.credit();
            }
            return Verdict::Drop;
        }
        if self.held && self.stateless && self.streams.is_new(head) {
            return Verdict::Aside;
        }
        match head.kind {
            DATA if head.length > self.receive.truth => return Verdict::Refuse,
            DATA if head.length > self.receive.belief => return Verdict::Wait,
            DATA => {
                self.receive.truth -= head.length;
                self.receive.belief -= head.length;
            }
            SETTINGS if head.is_ack() && self.unacknowledged > 0 => {
                self.unacknowledged -= 1;
                self.stateless = true;
                if self.ours_alone > 0 {
                    self.ours_alone -= 1;
                    return Verdict::Drop;
                }
            }
            SETTINGS if !head.is_ack() => {
                if self.theirs.merge(&self.arrived[Head::SIZE..head.frame_size()]).is_none() {
                    self.ends = true;
                }
                self.owed += 1;
            }
            // Otherwise, it is the answer to a predecessor's.
            PING if head.is_ack() && self.pings == 0 => return Verdict::Drop,
            PING if head.is_ack() => self.pings -= 1,
            PING => self.owed += 1,
            GOAWAY => self.ends = true,
            WINDOW_UPDATE if head.stream == 0 => return self.widen(number(&self.arrived)),
            _ => {}
        }
        Verdict::Pass
    }

    /// The client takes more. The library hears of what it does not believe already.
    fn widen(&mut self, by: u32) -> Verdict {
        if by == 0 || by > LARGEST_WINDOW - self.send.truth {
            return Verdict::Refuse;
        }
        self.send.truth += by;
        let news = by.saturating_sub(self.send.excess);
        self.send.excess -= by - news;
        if news > 0 {
            put_window_update(&mut self.to_library, news);
        }
        self.send_waiting();
        Verdict::Drop
    }

    /// Grants the client what the library believes that it has.
    fn credit(&mut self) {
        let more = self.receive.belief.saturating_sub(self.receive.truth);
        if more > 0 && !self.streams.in_answer_block() {
            self.receive.truth += more;
            put_window_update(&mut self.to_client, more);
        }
    }

    /// Looks at what the library has written.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.written.extend_from_slice(bytes);
        while let Some(head) = Head::read(&self.written)
            && head.is_complete(&self.written)
        {
            let frame = self.written.split_to(head.frame_size());
            self.answer(head, frame);
        }
        if self.written.is_empty() {
            self.written = BytesMut::new();
        }
    }

    #[inline]
    fn answer(&mut self, head: Head, frame: BytesMut) {
        match head.kind {
            SETTINGS if head.is_ack() => match &mut self.stage {
                Stage::Rebuilding { acks, .. } => {
                    *acks = acks.saturating_sub(1);
                    return self.open();
                }
                _ => self.owed = self.owed.saturating_sub(1),
            },
            SETTINGS => return self.announce(&frame[Head::SIZE..]),
            PING if head.is_ack() => self.owed = self.owed.saturating_sub(1),
            PING => self.pings += 1,
            WINDOW_UPDATE if head.stream == 0 => {
                self.receive.belief += number(&frame);
                self.credit();
                return self.advance();
            }
            GOAWAY | PUSH_PROMISE => self.ends = true,
            _ => {}
        }
        self.streams.answered(head);
        // What is about the connection, or lets the client send, need not keep its place among the answers.
        if head.stream == 0 || head.kind == WINDOW_UPDATE {
            self.to_client.unsplit(frame);
        } else if self.waiting.is_empty() && (head.kind != DATA || head.length <= self.send.truth) {
            self.send.truth -= if head.kind == DATA { head.length } else { 0 };
            self.to_client.unsplit(frame);
        } else {
            self.waiting.unsplit(frame);
            self.send_waiting();
        }
        // In case it was put off.
        self.credit();
    }

    /// The library says what it allows. To the client, the table is always 0: so each of its header blocks depends on none before,
    /// and any process can read it.
    fn announce(&mut self, payload: &[u8]) {
        let mut said = Settings::default();
        // The library does not say more than there is.
        let _ = said.merge(payload);
        said.set(HEADER_TABLE_SIZE, 0);
        let mut ours = self.ours.clone();
        ours.update(&said);
        if let Stage::Rebuilding { settings, .. } = &mut self.stage {
            *settings = true;
            put_settings_ack(&mut self.to_library);
            if ours != self.ours {
                self.ours_alone += 1;
                self.tell(ours, &said);
            }
            self.open();
        } else {
            self.tell(ours, &said);
        }
    }

    fn tell(&mut self, ours: Settings, said: &Settings) {
        self.ours = ours;
        self.unacknowledged += 1;
        said.put_frame(&mut self.to_client);
    }

    /// Ends the rebuilding, if both sides have said everything.
    fn open(&mut self) {
        if matches!(self.stage, Stage::Rebuilding { settings: true, acks: 0 }) {
            self.stage = Stage::Open;
            self.advance();
        }
    }

    /// Sends what has waited, as far as the window goes.
    fn send_waiting(&mut self) {
        while let Some(mut head) = Head::read(&self.waiting) {
            let mut size = head.frame_size();
            if head.kind == DATA && head.length > self.send.truth {
                // A client may want to have all that it takes before it takes more. So it gets a part.
                if self.send.truth == 0 || head.has(PADDED) {
                    return;
                }
                let rest = Head { length: head.length - self.send.truth, ..head };
                head = Head { length: self.send.truth, flags: head.flags & !END_STREAM, ..head };
                size = head.frame_size();
                let all = std::mem::take(&mut self.waiting);
                head.put(&mut self.waiting);
                self.waiting.extend_from_slice(&all[Head::SIZE..size]);
                rest.put(&mut self.waiting);
                self.waiting.extend_from_slice(&all[size..]);
            }
            if head.kind == DATA {
                self.send.truth -= head.length;
            }
            self.to_client.unsplit(self.waiting.split_to(size));
        }
        self.waiting = BytesMut::new();
    }
}
