//! The gate without its socket: bytes of the client and of the library in, frames for both out, and a ledger.
//!
//! The invariant: the client sees one connection, and each library a connection of its own; whatever one of them has told the
//! other (settings, windows, streams) is true for both, or the gate makes it so.

use std::io::IoSlice;

use bytes::{Buf as _, Bytes, BytesMut};

use super::frame::{
    DATA, END_STREAM, GOAWAY, Head, PADDED, PING, PREFACE, PUSH_PROMISE, SETTINGS, WINDOW_UPDATE, number, put_goaway,
    put_ping, put_settings_ack, put_window_update,
};
use super::settings::{FIRST_WINDOW, HEADER_TABLE_SIZE, MAX_FRAME_SIZE, Settings};
use super::state::State;
use super::streams::Streams;

/// The most that is kept of what the client sends, while streams are held. It goes to the successor with the socket.
const MOST_KEPT: usize = 256 * 1024;

/// The most that is kept for the library while it does not read, because it has to write first. It is more than any window of
/// the library: a client that only sends bodies is not stopped before it can make room for the answers.
const MOST_UNREAD: usize = 2 * 1024 * 1024;

/// The most that is kept of what the library writes, while the client or its socket takes no more.
const MOST_UNSENT: usize = 64 * 1024;

/// What the client is pinged with when it is warned.
const GOODBYE: [u8; 8] = *b"goodbye.";

/// The highest number of a stream, in a GOAWAY: the client is only warned.
const ANY_STREAM: u32 = (1 << 31) - 1;

/// A window can have no more (RFC 9113, section 6.9.1).
const LARGEST_WINDOW: u32 = (1 << 31) - 1;

#[derive(Debug, Default)]
enum Stage {
    /// The client's preface has not passed yet.
    #[default]
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
    /// It waits until the library allows more, and all behind it waits, too. A library allows its whole window before it answers
    /// anything; so what it needs for its answers is not behind.
    Wait,
    /// No library accepts it.
    Refuse,
}

/// How far the goodbye has got.
#[derive(Debug, Default, PartialEq)]
enum Goodbye {
    #[default]
    Unsaid,
    /// The warning waits for a place between two frames.
    Wanted,
    /// The client was warned, and pinged.
    Warned,
    /// It has answered: whatever it asked before the warning has come.
    Heard,
    /// The library says it by itself.
    Elsewhere,
}

/// How many bytes of bodies the client may still send, on all streams together.
#[derive(Debug)]
struct ReceiveWindow {
    /// As the library has it.
    belief: u32,
    /// As the client has it.
    truth: u32,
}

impl Default for ReceiveWindow {
    fn default() -> ReceiveWindow {
        ReceiveWindow { belief: FIRST_WINDOW, truth: FIRST_WINDOW }
    }
}

/// How many bytes of bodies the client still takes.
#[derive(Debug)]
struct SendWindow {
    truth: u32,
    /// How much more the library believes. It cannot be talked out of the window that every connection begins with.
    excess: u32,
}

impl Default for SendWindow {
    fn default() -> SendWindow {
        SendWindow { truth: FIRST_WINDOW, excess: 0 }
    }
}

#[derive(Debug, Default)]
pub(super) struct Machine {
    stage: Stage,
    held: bool,
    /// A side has said that it is leaving, or what it does cannot be followed.
    ends: bool,
    /// From the client, and not looked at, from the first byte of a frame on.
    arrived: BytesMut,
    /// How much more of a body's frame, of which the library has the head, passes as it comes.
    passing: usize,
    /// Frames about new streams, while these are held.
    aside: BytesMut,
    /// What the library should read.
    pub(super) to_library: BytesMut,
    /// From the library: a part of a frame.
    written: BytesMut,
    /// From the library: what has to wait until the client makes its window wider, and what comes behind it.
    waiting: BytesMut,
    /// What should be sent to the client.
    pub(super) to_client: BytesMut,
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
    goodbye: Goodbye,
}

impl Machine {
    /// For a fresh connection.
    pub(super) fn fresh() -> Machine {
        Machine::default()
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
            send: SendWindow { truth: state.send_window, excess: FIRST_WINDOW.saturating_sub(state.send_window) },
            stateless: true,
            ..Machine::default()
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
        passes && self.owed == 0 && self.unacknowledged == 0 && self.is_done()
    }
    // ANCHOR_END: quiet

    /// Whether it will never be quiet.
    pub(super) fn ends(&self) -> bool {
        self.ends
    }

    // ANCHOR: goodbye
    /// Warns the client, which then begins no new streams (RFC 9113, section 6.8).
    pub(super) fn warn(&mut self) {
        if self.goodbye == Goodbye::Unsaid {
            self.goodbye = Goodbye::Wanted;
            self.speak();
        }
    }

    /// Whether the client has heard the warning: whatever it asked before has come.
    pub(super) fn is_warned(&self) -> bool {
        self.goodbye == Goodbye::Heard
    }

    /// Whether nothing is under way, so that the connection can end.
    pub(super) fn is_done(&self) -> bool {
        let buffers = [&self.to_library, &self.written, &self.waiting, &self.to_client];
        self.streams.are_over() && self.passing == 0 && buffers.iter().all(|bytes| bytes.is_empty())
    }

    /// Names the last stream that was answered. The connection must be [done](Self::is_done).
    pub(super) fn end(&mut self) {
        self.ends = true;
        put_goaway(&mut self.to_client, self.streams.last());
    }
    // ANCHOR_END: goodbye

    /// Takes a [warning](Self::warn) back that was not sent yet.
    pub(super) fn unwarn(&mut self) {
        if self.goodbye == Goodbye::Wanted {
            self.goodbye = Goodbye::Unsaid;
        }
    }

    /// Whether the library ends the connection by itself.
    pub(super) fn ends_by_itself(&self) -> bool {
        self.goodbye == Goodbye::Elsewhere || matches!(self.stage, Stage::Blind)
    }

    /// Whether the client has had the beginning of an answer.
    pub(super) fn has_answered(&self) -> bool {
        self.streams.any_answer()
    }

    /// From now on, the library is given no new stream.
    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    /// Ends [`hold`](Self::hold).
    pub(super) fn release(&mut self) {
        self.held = false;
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
        self.has_room().then_some(&mut self.arrived)
    }

    fn has_room(&self) -> bool {
        let kept = self.arrived.len() + self.aside.len();
        // What comes late is credited: a client that goes on sending has to read, too.
        let credits = self.to_client.len();
        kept < MOST_KEPT && self.to_library.len() < MOST_UNREAD && credits < 2 * MOST_UNSENT
    }

    /// Whether the library should write no more for now.
    pub(super) fn is_full(&self) -> bool {
        self.to_client.len() + self.waiting.len() > MOST_UNSENT
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
        self.give_passing();
        while let Some(head) = self.next_head() {
            // Before the frame is waited for: a client may announce up to 16 MiB.
            if self.is_refused(head) {
                return self.go_blind();
            }
            if !self.is_enough(head, &self.arrived) {
                break;
            }
            match self.verdict(head) {
                Verdict::Pass => {
                    self.streams.asked(head);
                    self.passing = head.frame_size();
                    self.give_passing();
                }
                Verdict::Drop => drop(self.arrived.split_to(head.frame_size())),
                Verdict::Aside => self.aside.unsplit(self.arrived.split_to(head.frame_size())),
                Verdict::Wait => break,
                Verdict::Refuse => return self.go_blind(),
            }
        }
        // Once for all that came late: a frame may have ten bytes, and a credit has thirteen.
        self.speak();
        if self.arrived.is_empty() {
            // An empty buffer may still own memory, for as long as the connection lasts.
            self.arrived = BytesMut::new();
        }
    }

    /// Of what has come from the client. What was set aside goes first, as soon as it interrupts nothing.
    fn next_head(&mut self) -> Option<Head> {
        if !self.held && self.passing == 0 && !self.streams.in_request_block() {
            self.unhold();
        }
        Head::read(&self.arrived)
    }

    fn give_passing(&mut self) {
        let length = self.passing.min(self.arrived.len());
        self.passing -= length;
        self.give(length);
    }

    fn is_refused(&self, head: Head) -> bool {
        head.length > self.ours.get(MAX_FRAME_SIZE) || head.is_malformed()
    }

    /// Whether the frame is complete, or need not be: a body passes as it comes.
    fn is_enough(&self, head: Head, bytes: &[u8]) -> bool {
        let kept = self.streams.is_late(head) || self.held && self.streams.is_new(head);
        head.is_complete(bytes) || head.kind == DATA && !kept
    }

    /// Whether what comes from the client may be shown to [`pass`](Self::pass) at once.
    pub(super) fn is_clear(&self) -> bool {
        let empty = self.arrived.is_empty() && self.aside.is_empty() && self.to_library.is_empty();
        empty && !self.held && matches!(self.stage, Stage::Open) && self.has_room()
    }

    /// How many of these bytes, the next ones of the client, the library can have where they are. Usually it is all of them, and
    /// nothing is copied. The rest goes the long way, through [`room`](Self::room).
    pub(super) fn pass(&mut self, bytes: &[u8]) -> usize {
        let mut passed = 0;
        loop {
            let length = self.passing.min(bytes.len() - passed);
            self.passing -= length;
            passed += length;
            let rest = &bytes[passed..];
            let Some(head) = Head::read(rest) else { return passed };
            let plain = match head.kind {
                DATA => head.length <= self.receive.belief.min(self.receive.truth),
                PING => !head.is_ack(),
                WINDOW_UPDATE => head.stream != 0,
                SETTINGS | GOAWAY => false,
                _ => true,
            };
            if !plain || self.streams.is_late(head) || self.is_refused(head) || !self.is_enough(head, rest) {
                return passed;
            }
            // As it is plain, it passes.
            let _ = self.verdict(head);
            self.streams.asked(head);
            self.passing = head.frame_size();
        }
    }

    fn give(&mut self, length: usize) {
        self.to_library.unsplit(self.arrived.split_to(length));
    }

    /// What becomes of a frame of the client. There is [enough](Self::is_enough) of it.
    #[inline]
    fn verdict(&mut self, head: Head) -> Verdict {
        if self.streams.is_late(head) {
            if head.kind == DATA {
                self.receive.truth = self.receive.truth.saturating_sub(head.length);
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
            // Ours, or a predecessor's whose goodbye was called off.
            PING if head.is_ack() && self.arrived[Head::SIZE..].starts_with(&GOODBYE) => {
                if self.goodbye == Goodbye::Warned {
                    self.goodbye = Goodbye::Heard;
                }
                return Verdict::Drop;
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

    /// Tells the client what the gate has to say by itself, between two frames.
    fn speak(&mut self) {
        if self.streams.in_answer_block() {
            return;
        }
        // What the library believes that the client was granted.
        let more = self.receive.belief.saturating_sub(self.receive.truth);
        if more > 0 {
            self.receive.truth += more;
            put_window_update(&mut self.to_client, more);
        }
        // Not before our settings.
        let greeted = self.stateless || self.unacknowledged > 0;
        if self.goodbye == Goodbye::Wanted && greeted && !matches!(self.stage, Stage::Blind) {
            self.goodbye = Goodbye::Warned;
            put_goaway(&mut self.to_client, ANY_STREAM);
            put_ping(&mut self.to_client, GOODBYE);
        }
    }

    /// Whether all these bytes, which the library has written, can be sent as they are. Otherwise they go the long way, through
    /// [`write`](Self::write).
    pub(super) fn sends(&mut self, bufs: &[IoSlice<'_>]) -> bool {
        let empty = self.to_client.is_empty() && self.written.is_empty() && self.waiting.is_empty();
        let plain = |head: Head| match head.kind {
            PING => head.is_ack(),
            WINDOW_UPDATE => head.stream != 0,
            SETTINGS | GOAWAY | PUSH_PROMISE => false,
            _ => true,
        };
        // Nothing is to be made up for in either direction.
        let even = self.send.excess == 0 && self.receive.belief <= self.receive.truth;
        let clear = empty && even && self.goodbye != Goodbye::Wanted && matches!(self.stage, Stage::Open);
        if !clear || !each_head(bufs, plain) {
            return false;
        }
        each_head(bufs, |head| {
            match head.kind {
                DATA => self.send.truth = self.send.truth.saturating_sub(head.length),
                PING => self.owed = self.owed.saturating_sub(1),
                _ => {}
            }
            self.streams.answered(head);
            true
        })
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
                return self.advance();
            }
            GOAWAY => (self.ends, self.goodbye) = (true, Goodbye::Elsewhere),
            PUSH_PROMISE => self.ends = true,
            _ => {}
        }
        self.streams.answered(head);
        // What is about the connection, or lets the client send, need not keep its place among the answers; an acknowledgement does:
        // what was said before it keeps to the settings before.
        if head.stream == 0 && head.kind != SETTINGS || head.kind == WINDOW_UPDATE {
            self.to_client.unsplit(frame);
        } else if self.waiting.is_empty() && (head.kind != DATA || head.length <= self.send.truth) {
            self.send.truth -= if head.kind == DATA { head.length } else { 0 };
            self.to_client.unsplit(frame);
        } else {
            self.waiting.unsplit(frame);
            self.send_waiting();
        }
        // In case it was put off.
        self.speak();
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
            self.speak();
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
        while let Some(head) = Head::read(&self.waiting) {
            if head.kind == DATA && head.length > self.send.truth {
                return self.send_part(head);
            }
            self.send.truth -= if head.kind == DATA { head.length } else { 0 };
            self.to_client.unsplit(self.waiting.split_to(head.frame_size()));
        }
        self.waiting = BytesMut::new();
    }

    /// A client may want to have all that it takes before it takes more. So it gets a part of the frame that waits. What waits
    /// behind it is not moved: a client may take one byte at a time.
    fn send_part(&mut self, head: Head) {
        let part = self.send.truth;
        if part == 0 || head.has(PADDED) {
            return;
        }
        self.send.truth = 0;
        Head { length: part, flags: head.flags & !END_STREAM, ..head }.put(&mut self.to_client);
        self.to_client.extend_from_slice(&self.waiting[Head::SIZE..][..part as usize]);
        self.waiting.advance(part as usize);
        Head { length: head.length - part, ..head }.put(&mut &mut self.waiting[..Head::SIZE]);
    }
}

/// Calls `each` with the heads of the frames in these buffers, until it says no. Whether it never does, each head is in one
/// buffer, and the last frame is complete.
fn each_head(bufs: &[IoSlice<'_>], mut each: impl FnMut(Head) -> bool) -> bool {
    let mut rest = 0;
    for bytes in bufs {
        let mut at = rest.min(bytes.len());
        rest -= at;
        while at < bytes.len() {
            let Some(head) = Head::read(&bytes[at..]).filter(|head| each(*head)) else { return false };
            let here = head.frame_size().min(bytes.len() - at);
            rest = head.frame_size() - here;
            at += here;
        }
    }
    rest == 0
}

#[cfg(test)]
mod tests {
    use super::super::frame::{ACK, CONTINUATION, END_HEADERS, HEADERS, RST_STREAM, frame};

    use super::*;

    const PRIORITY: u8 = 2;

    fn read(machine: &mut Machine, bytes: &[u8]) {
        machine.room().expect("there is room").extend_from_slice(bytes);
        machine.advance();
    }

    /// All that the library gets, or the client.
    fn out(bytes: &mut BytesMut) -> Vec<u8> {
        bytes.split().to_vec()
    }

    /// A connection on which both sides have said everything, and whose buffers are empty.
    fn greeted() -> Machine {
        let mut machine = Machine::fresh();
        read(&mut machine, &[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat());
        machine.write(&[frame(SETTINGS, 0, 0, &[]), frame(SETTINGS, ACK, 0, &[])].concat());
        assert!(!machine.is_quiet(), "the client has not acknowledged our settings");
        read(&mut machine, &frame(SETTINGS, ACK, 0, &[]));
        assert_eq!(out(&mut machine.to_client)[..15], [0, 0, 6, SETTINGS, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
        out(&mut machine.to_library);
        assert!(machine.is_quiet());
        machine
    }

    /// The same in the next process, whose library has said what it has to.
    fn moved(mut from: Machine) -> Machine {
        let mut machine = Machine::adopt(State::read(from.take().write()).expect("it was just written"));
        machine
            .write(&[frame(SETTINGS, 0, 0, &[]), frame(SETTINGS, ACK, 0, &[]), frame(SETTINGS, ACK, 0, &[])].concat());
        out(&mut machine.to_library);
        machine
    }

    fn request(stream: u32) -> Vec<u8> {
        frame(HEADERS, END_STREAM | END_HEADERS, stream, b"block")
    }

    /// A process whose predecessor has answered on stream 1.
    fn moved_after_a_request() -> Machine {
        let mut machine = greeted();
        read(&mut machine, &request(1));
        machine.write(&request(1));
        out(&mut machine.to_library);
        out(&mut machine.to_client);
        moved(machine)
    }

    #[test]
    fn a_library_is_told_what_the_client_said_and_the_client_nothing() {
        let mut machine = greeted();
        let said = [0, 4, 0, 0, 0, 9, 0, 1, 0, 0, 0, 99];
        read(&mut machine, &[frame(SETTINGS, 0, 0, &said), frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1, 0])].concat());
        assert!(
            {
                out(&mut machine.to_library);
                !machine.is_quiet()
            },
            "the client's settings are not acknowledged"
        );
        machine.write(&frame(SETTINGS, ACK, 0, &[]));
        assert_eq!(out(&mut machine.to_client), frame(SETTINGS, ACK, 0, &[]));
        let mut next = Machine::adopt(machine.take());
        let emptied = frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0, 0, 4, 0, 0, 0, 9]);
        let table = frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 99]);
        let prologue = [PREFACE, &emptied, &table, &frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1, 0])].concat();
        assert_eq!(out(&mut next.to_library), prologue);
        next.write(&[frame(SETTINGS, 0, 0, &[]), frame(SETTINGS, ACK, 0, &[])].concat());
        assert_eq!(out(&mut next.to_library), frame(SETTINGS, ACK, 0, &[]));
        read(&mut next, &request(1));
        assert!(next.to_library.is_empty(), "the library has not said its part");
        next.write(&frame(SETTINGS, ACK, 0, &[]));
        assert_eq!((out(&mut next.to_library), out(&mut next.to_client)), (request(1), Vec::new()));
    }

    #[test]
    fn a_library_that_allows_more_says_so_and_the_acknowledgement_is_ours() {
        let mut next = Machine::adopt(greeted().take());
        let more = frame(SETTINGS, 0, 0, &[0, 4, 0, 16, 0, 0]);
        next.write(&[more, frame(SETTINGS, ACK, 0, &[]), frame(SETTINGS, ACK, 0, &[])].concat());
        out(&mut next.to_library);
        let told = frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0, 0, 4, 0, 16, 0, 0]);
        assert_eq!(out(&mut next.to_client), told);
        assert!(!next.is_quiet());
        read(&mut next, &frame(SETTINGS, ACK, 0, &[]));
        assert!(next.to_library.is_empty() && next.is_quiet());
        // The next one was asked for by no process, and the library says so.
        read(&mut next, &frame(SETTINGS, ACK, 0, &[]));
        assert_eq!(out(&mut next.to_library), frame(SETTINGS, ACK, 0, &[]));
    }

    #[test]
    fn an_answer_to_a_predecessors_ping_is_dropped() {
        let mut machine = greeted();
        let ping = frame(PING, 0, 0, &[1; 8]);
        machine.write(&ping[..5]);
        assert!(!machine.is_quiet(), "half of it is written");
        machine.write(&ping[5..]);
        out(&mut machine.to_client);
        assert!(machine.is_quiet(), "it is not waited for");
        let mut next = moved(machine);
        read(&mut next, &frame(PING, ACK, 0, &[1; 8]));
        assert!(next.to_library.is_empty());
        next.write(&frame(PING, 0, 0, &[2; 8]));
        read(&mut next, &frame(PING, ACK, 0, &[2; 8]));
        assert_eq!(out(&mut next.to_library), frame(PING, ACK, 0, &[2; 8]));
    }

    #[test]
    fn before_the_client_keeps_no_table_its_requests_are_not_held_and_it_stays() {
        let mut machine = Machine::fresh();
        machine.hold();
        read(&mut machine, PREFACE);
        assert_eq!(out(&mut machine.to_library), PREFACE);
        assert!(!machine.is_quiet());
        read(&mut machine, &request(1));
        assert_eq!(out(&mut machine.to_library), request(1));
    }

    #[test]
    fn what_the_machine_has_to_act_on_goes_the_long_way() {
        let frames = |flags| [PING, SETTINGS, WINDOW_UPDATE, GOAWAY].map(|kind| frame(kind, flags, 0, &[0; 4]));
        let mut machine = greeted();
        for frame in [&frames(0)[..], &[frame(PUSH_PROMISE, END_HEADERS, 1, b"push")]].concat() {
            assert!(!machine.sends(&[IoSlice::new(&frame)]), "{frame:?}");
        }
        for frame in [&frames(0)[1..], &frames(ACK)[..2]].concat() {
            assert_eq!(machine.pass(&frame), 0, "{frame:?}");
        }
        assert_eq!(moved_after_a_request().pass(&frame(PRIORITY, 0, 1, &[0; 5])), 0, "it is late");
    }

    /// A process whose predecessor has sent all that the client takes, with a request.
    fn moved_after_a_long_answer() -> Machine {
        let mut machine = greeted();
        read(&mut machine, &request(1));
        assert!(machine.sends(&[IoSlice::new(&frame(DATA, END_STREAM, 1, &vec![0; 65_535]))]));
        out(&mut machine.to_library);
        let mut next = moved(machine);
        read(&mut next, &request(3));
        next
    }

    #[test]
    fn what_goes_as_it_is_uses_up_the_window_and_nothing_does_beyond_it() {
        let mut next = moved_after_a_long_answer();
        let byte = frame(DATA, 0, 3, b"?");
        assert!(!next.sends(&[IoSlice::new(&byte)]));
        next.write(&byte);
        assert!(next.to_client.is_empty(), "the client takes nothing");
    }

    #[test]
    fn an_answer_that_waits_comes_before_the_acknowledgement_of_settings_that_it_does_not_keep() {
        let mut next = moved_after_a_long_answer();
        let (answer, acknowledged) = (frame(DATA, END_STREAM, 3, b"answer"), frame(SETTINGS, ACK, 0, &[]));
        next.write(&answer);
        // From their acknowledgement on, the client takes nothing on any stream.
        read(&mut next, &frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]));
        next.write(&acknowledged);
        read(&mut next, &frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 9]));
        assert_eq!(out(&mut next.to_client), [answer, acknowledged].concat());
    }

    #[test]
    fn a_ping_of_the_client_keeps_the_connection_until_it_is_answered() {
        let mut machine = greeted();
        read(&mut machine, &frame(PING, 0, 0, &[1; 8]));
        out(&mut machine.to_library);
        assert!(!machine.is_quiet());
        machine.write(&frame(PING, ACK, 0, &[1; 8]));
        out(&mut machine.to_client);
        assert!(machine.is_quiet());
    }

    #[test]
    fn a_client_with_more_settings_than_are_remembered_stays() {
        let all: Vec<u8> = (0..40_u16).flat_map(|number| [&number.to_be_bytes()[..], &[0; 4]].concat()).collect();
        let mut machine = greeted();
        read(&mut machine, &frame(SETTINGS, 0, 0, &all));
        assert!(machine.ends());
    }

    #[test]
    fn a_body_passes_as_it_comes_and_what_was_held_before_it_comes_behind_it() {
        let mut machine = greeted();
        read(&mut machine, &frame(HEADERS, END_HEADERS, 1, b"block"));
        out(&mut machine.to_library);
        let body = frame(DATA, END_STREAM, 1, &[5; 100]);
        machine.hold();
        read(&mut machine, &[&request(3), &body[..50]].concat());
        assert_eq!(out(&mut machine.to_library), body[..50]);
        machine.write(&request(1));
        out(&mut machine.to_client);
        assert!(!machine.is_quiet(), "the library has half a frame");
        machine.release();
        read(&mut machine, &body[50..]);
        assert_eq!(out(&mut machine.to_library), [&body[50..], &request(3)].concat());
    }

    #[test]
    fn what_was_held_interrupts_no_header_block_and_comes_before_what_follows() {
        let mut machine = greeted();
        read(&mut machine, &frame(HEADERS, END_HEADERS, 1, b"block"));
        out(&mut machine.to_library);
        machine.hold();
        let trailers = [frame(HEADERS, END_STREAM, 1, b"trail"), frame(CONTINUATION, END_HEADERS, 1, b"ers")];
        read(&mut machine, &[&request(3)[..], &trailers[0]].concat());
        machine.release();
        assert_eq!(out(&mut machine.to_library), trailers[0]);
        read(&mut machine, &[&trailers[1][..], &request(5)].concat());
        assert_eq!(out(&mut machine.to_library), [&trailers[1][..], &request(3), &request(5)].concat());
    }

    #[test]
    fn settings_in_mid_life_keep_the_connection_until_they_are_acknowledged() {
        let mut machine = greeted();
        machine.write(&frame(SETTINGS, 0, 0, &[0, 4, 0, 16, 0, 0]));
        out(&mut machine.to_client);
        assert!(!machine.is_quiet());
        read(&mut machine, &frame(SETTINGS, ACK, 0, &[]));
        assert_eq!(out(&mut machine.to_library), frame(SETTINGS, ACK, 0, &[]));
        assert!(machine.is_quiet());
    }

    #[test]
    fn new_streams_are_held_and_all_else_goes_on() {
        let mut machine = greeted();
        read(&mut machine, &frame(HEADERS, END_HEADERS, 1, b"block"));
        out(&mut machine.to_library);
        machine.hold();
        let new = [request(3), frame(PRIORITY, 0, 5, &[0; 5]), frame(RST_STREAM, 0, 3, &[0; 4])].concat();
        let old = [frame(DATA, END_STREAM, 1, b"body"), frame(PING, 0, 0, &[7; 8])].concat();
        read(&mut machine, &[&new[..], &old, &request(7)[..4]].concat());
        assert_eq!(out(&mut machine.to_library), old);
        machine.write(&[frame(PING, ACK, 0, &[7; 8]), request(1)].concat());
        out(&mut machine.to_client);
        assert!(machine.is_quiet());
        let mut next = Machine::adopt(machine.take());
        next.write(&[frame(SETTINGS, 0, 0, &[]), frame(SETTINGS, ACK, 0, &[])].concat());
        out(&mut next.to_library);
        next.write(&frame(SETTINGS, ACK, 0, &[]));
        read(&mut next, &request(7)[4..]);
        assert_eq!(out(&mut next.to_library), [&new[..], &request(7)].concat());
    }

    #[test]
    fn a_hold_that_is_called_off_gives_the_library_everything_in_order() {
        let mut machine = greeted();
        machine.hold();
        read(&mut machine, &[request(1), request(3), request(5)[..7].to_vec()].concat());
        assert!(machine.to_library.is_empty());
        machine.release();
        read(&mut machine, &request(5)[7..]);
        assert_eq!(out(&mut machine.to_library), [request(1), request(3), request(5)].concat());
    }

    #[test]
    fn what_is_kept_has_a_limit() {
        let mut machine = greeted();
        machine.hold();
        for stream in (1..100).step_by(2) {
            let Some(room) = machine.room() else { break };
            room.extend_from_slice(&frame(HEADERS, END_STREAM | END_HEADERS, stream, &[0; 10_000]));
            machine.advance();
        }
        assert!((MOST_KEPT..MOST_KEPT + 20_000).contains(&machine.aside.len()), "{}", machine.aside.len());
        machine.release();
        assert!(machine.room().is_some());
    }

    #[test]
    fn a_client_that_takes_nothing_is_read_no_further() {
        let mut next = moved_after_a_request();
        let late = frame(DATA, 0, 1, b"?");
        for _ in 0..MOST_UNSENT {
            let Some(room) = next.room() else { break };
            room.extend_from_slice(&late);
            next.advance();
        }
        assert!(
            next.room().is_none() && !next.is_clear() && next.to_client.len() < 3 * MOST_UNSENT,
            "{}",
            next.to_client.len()
        );
        out(&mut next.to_client);
        assert!(next.is_clear() && next.room().is_some());
    }

    #[test]
    fn all_that_comes_late_at_a_time_is_credited_once() {
        let mut next = moved_after_a_request();
        read(&mut next, &frame(DATA, 0, 1, b"?").repeat(1_000));
        assert_eq!(out(&mut next.to_client), frame(WINDOW_UPDATE, 0, 0, &1_000_u32.to_be_bytes()));
    }

    #[test]
    fn what_the_library_does_not_read_has_a_limit() {
        let mut machine = greeted();
        for _ in 0..200 {
            let Some(room) = machine.room() else { break };
            room.extend_from_slice(&frame(PRIORITY, 0, 1, &[0; 5]).repeat(1_000));
            machine.advance();
        }
        assert!(
            (MOST_UNREAD..MOST_UNREAD + 20_000).contains(&machine.to_library.len()),
            "{}",
            machine.to_library.len()
        );
    }

    #[test]
    fn a_frame_that_is_too_long_passes_at_its_head() {
        let head = |length: u8| [0, 0x40, length, HEADERS, 0, 0, 0, 0, 1];
        for mut machine in [greeted(), moved(greeted())] {
            read(&mut machine, &head(1));
            assert_eq!(out(&mut machine.to_library), head(1));
            assert!(machine.ends());
        }
        let mut machine = greeted();
        read(&mut machine, &head(0));
        assert!(machine.to_library.is_empty() && !machine.ends(), "it is as long as may be");
    }

    #[test]
    fn what_no_library_accepts_passes_and_is_the_last_that_is_looked_at() {
        let of = |kind: u8, flags: u8, stream: u32, length: usize| frame(kind, flags, stream, &vec![1; length]);
        let settings = [of(SETTINGS, 0, 1, 6), of(SETTINGS, 0, 0, 5), of(SETTINGS, ACK, 0, 6)];
        let control = [of(PING, 0, 1, 8), of(PING, 0, 0, 7), of(GOAWAY, 0, 1, 8), of(WINDOW_UPDATE, 0, 0, 5)];
        let streams = [of(RST_STREAM, 0, 1, 5), of(DATA, 0, 0, 1), of(HEADERS, 0, 0, 1), of(CONTINUATION, 0, 0, 1)];
        for frame in [&settings[..], &control, &streams].concat() {
            let mut machine = moved_after_a_request();
            read(&mut machine, &frame);
            assert!(machine.ends() && out(&mut machine.to_library) == frame, "{frame:?}");
        }
    }

    #[test]
    fn a_library_whose_answers_wait_writes_no_more() {
        let mut machine = greeted();
        read(&mut machine, &request(1));
        let body = frame(DATA, 0, 1, &vec![0; 65_535]);
        machine.write(&body);
        assert!(machine.is_full(), "the client has not read them");
        out(&mut machine.to_client);
        assert!(!machine.is_full());
        machine.write(&body);
        assert!(machine.to_client.is_empty() && machine.is_full(), "the client takes no more");
        read(&mut machine, &frame(WINDOW_UPDATE, 0, 0, &[0, 1, 0, 0]));
        out(&mut machine.to_client);
        assert!(!machine.is_full());
    }

    #[test]
    fn what_was_held_or_waits_passes_when_a_client_is_refused() {
        let mut machine = greeted();
        read(&mut machine, &request(1));
        let body = frame(DATA, 0, 1, &vec![0; 65_535]);
        machine.write(&[body.clone(), frame(DATA, 0, 1, b"?")].concat());
        out(&mut machine.to_library);
        assert_eq!(out(&mut machine.to_client), body);
        machine.hold();
        read(&mut machine, &[request(3), frame(PING, 0, 0, b"short")].concat());
        assert_eq!(out(&mut machine.to_library), [request(3), frame(PING, 0, 0, b"short")].concat());
        assert_eq!(out(&mut machine.to_client), frame(DATA, 0, 1, b"?"));
    }

    #[test]
    fn a_padded_body_waits_until_the_client_takes_all_of_it() {
        let mut machine = greeted();
        read(&mut machine, &request(1));
        machine.write(&frame(DATA, 0, 1, &vec![0; 65_530]));
        out(&mut machine.to_client);
        let padded = frame(DATA, PADDED | END_STREAM, 1, &[2; 6]);
        machine.write(&padded);
        assert!(machine.to_client.is_empty());
        read(&mut machine, &frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]));
        assert_eq!(out(&mut machine.to_client), padded);
    }

    #[test]
    fn goodbyes_and_pushes_keep_a_connection_here() {
        let goaway = || frame(GOAWAY, 0, 0, &[0; 8]);
        let mut by_the_client = greeted();
        read(&mut by_the_client, &goaway());
        let [mut by_us, mut pushed] = [greeted(), greeted()];
        by_us.write(&goaway());
        pushed.write(&frame(PUSH_PROMISE, END_HEADERS, 1, &[0; 8]));
        for mut machine in [by_the_client, by_us, pushed] {
            out(&mut machine.to_library);
            out(&mut machine.to_client);
            assert!(machine.ends() && !machine.is_quiet());
        }
    }

    #[test]
    fn a_stream_is_over_when_both_sides_say_so_or_one_resets_it() {
        type Step = (bool, u8, u8);
        let ends: [&[Step]; 4] = [
            &[(true, DATA, END_STREAM), (false, HEADERS, END_STREAM | END_HEADERS)],
            &[(false, HEADERS, END_HEADERS), (false, DATA, END_STREAM), (true, HEADERS, END_STREAM | END_HEADERS)],
            &[(true, RST_STREAM, 0)],
            &[(false, RST_STREAM, 0)],
        ];
        for steps in ends {
            let mut machine = greeted();
            read(&mut machine, &frame(HEADERS, END_HEADERS, 1, b"block"));
            for (by_the_client, kind, flags) in steps {
                out(&mut machine.to_library);
                assert!(!machine.is_quiet(), "before {kind} of {steps:?}");
                let frame = frame(*kind, *flags, 1, &[0; 4]);
                if *by_the_client { read(&mut machine, &frame) } else { machine.write(&frame) }
            }
            assert!(!machine.is_quiet(), "the last frame is not sent");
            out(&mut machine.to_library);
            out(&mut machine.to_client);
            assert!(machine.is_quiet(), "after {steps:?}");
        }
    }

    #[test]
    fn the_library_gets_no_more_than_it_believes_and_the_client_what_both_believe() {
        let mut machine = greeted();
        let wider = |by: u32| frame(WINDOW_UPDATE, 0, 0, &by.to_be_bytes());
        machine.write(&wider(34_465));
        assert_eq!(out(&mut machine.to_client), wider(34_465), "the client has 100,000");
        let mut next = moved(machine);
        read(&mut next, &frame(HEADERS, END_HEADERS, 1, b"block"));
        let body = frame(DATA, 0, 1, &[0; 10_000]);
        read(&mut next, &body.repeat(9));
        let taken = out(&mut next.to_library).len() - frame(HEADERS, END_HEADERS, 1, b"block").len();
        assert_eq!(taken, 6 * body.len(), "a fresh library has 65,535");
        next.write(&wider(34_465));
        assert_eq!(out(&mut next.to_library), body.repeat(3));
        assert!(next.to_client.is_empty(), "the client had that");
        next.write(&wider(90_000));
        assert_eq!(out(&mut next.to_client), wider(90_000));
    }

    #[test]
    fn a_body_passes_up_to_the_last_byte_of_a_window() {
        let wider = |by: u32| frame(WINDOW_UPDATE, 0, 0, &by.to_be_bytes());
        let head = frame(HEADERS, END_HEADERS, 1, b"block");
        let fifth = frame(DATA, 0, 1, &[0; 13_107]);
        let mut machine = greeted();
        read(&mut machine, &[head.clone(), fifth.repeat(5)].concat());
        assert_eq!(out(&mut machine.to_library).len(), head.len() + 5 * fifth.len());
        assert!(!machine.ends());
        assert_eq!(machine.pass(&frame(DATA, 0, 1, b"?")), 0);
        read(&mut machine, &frame(DATA, 0, 1, b"?"));
        assert!(machine.ends(), "the client has no byte more");
        let mut machine = greeted();
        machine.write(&wider(1));
        out(&mut machine.to_client);
        let mut next = moved(machine);
        let long = frame(DATA, 0, 1, &[0; 13_108]);
        read(&mut next, &[head.clone(), fifth.repeat(4)].concat());
        out(&mut next.to_library);
        assert_eq!(next.pass(&long), 0);
        read(&mut next, &long);
        assert!(next.to_library.is_empty(), "the library takes no byte more");
        next.write(&wider(1));
        assert_eq!(out(&mut next.to_library), long);
    }

    #[test]
    fn a_window_can_be_made_as_wide_as_it_may_be_and_no_wider_and_not_by_nothing() {
        for (by, ends) in [(LARGEST_WINDOW - FIRST_WINDOW, false), (LARGEST_WINDOW - FIRST_WINDOW + 1, true), (0, true)]
        {
            let mut machine = greeted();
            read(&mut machine, &frame(WINDOW_UPDATE, 0, 0, &by.to_be_bytes()));
            assert_eq!(machine.ends(), ends, "by {by}");
        }
    }

    #[test]
    fn a_credit_does_not_interrupt_a_header_block() {
        let mut next = moved_after_a_request();
        read(&mut next, &request(3));
        let block = [frame(HEADERS, END_STREAM, 3, b"block"), frame(CONTINUATION, END_HEADERS, 3, b"rest")];
        next.write(&block[0]);
        read(&mut next, &frame(DATA, 0, 1, b"?"));
        assert_eq!(out(&mut next.to_client), block[0]);
        assert!(!next.sends(&[IoSlice::new(&block[1])]), "a credit is due");
        next.write(&block[1]);
        let credit = frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]);
        assert_eq!(out(&mut next.to_client), [&block[1][..], &credit].concat());
    }

    /// Of GOAWAY and PING, as a client gets them.
    fn warning() -> Vec<u8> {
        let warns = frame(GOAWAY, 0, 0, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        [warns, frame(PING, 0, 0, &GOODBYE)].concat()
    }

    #[test]
    fn a_goodbye_names_the_last_stream_that_was_answered_once_its_warning_was_heard() {
        let mut machine = greeted();
        for _ in 0..2 {
            machine.warn();
        }
        assert_eq!(out(&mut machine.to_client), warning(), "it is said once");
        // On its way when the warning came.
        read(&mut machine, &request(1));
        assert_eq!(out(&mut machine.to_library), request(1));
        assert!(!machine.is_warned());
        read(&mut machine, &frame(PING, ACK, 0, &GOODBYE));
        assert!(machine.is_warned() && !machine.is_quiet() && machine.to_library.is_empty());
        machine.write(&request(1));
        out(&mut machine.to_client);
        assert!(machine.is_quiet());
        machine.end();
        assert_eq!(out(&mut machine.to_client), frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]));
        assert!(!machine.is_quiet());
    }

    #[test]
    fn a_warning_comes_after_our_settings_and_does_not_interrupt_a_header_block() {
        let mut fresh = Machine::fresh();
        fresh.warn();
        assert_eq!(out(&mut fresh.to_client), b"");
        read(&mut fresh, &[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat());
        fresh.write(&frame(SETTINGS, 0, 0, &[]));
        let said = out(&mut fresh.to_client);
        assert!(said[3] == SETTINGS && said.ends_with(&warning()), "whether the client acknowledges them or not");
        let mut machine = greeted();
        read(&mut machine, &request(1));
        let block = [frame(HEADERS, END_STREAM, 1, b"block"), frame(CONTINUATION, END_HEADERS, 1, b"rest")];
        machine.write(&block[0]);
        machine.warn();
        assert_eq!(out(&mut machine.to_client), block[0]);
        assert!(!machine.sends(&[IoSlice::new(&block[1])]), "a warning is due");
        machine.write(&block[1]);
        assert_eq!(out(&mut machine.to_client), [&block[1][..], &warning()].concat());
    }

    /// A client that is told of a higher stream than before ends the connection, and all that is under way on it.
    #[test]
    fn nothing_is_said_beside_the_goodbye_of_the_library() {
        let mut machine = greeted();
        read(&mut machine, &request(1));
        machine.write(&frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]));
        out(&mut machine.to_client);
        machine.warn();
        assert_eq!(out(&mut machine.to_client), b"");
        assert!(machine.ends_by_itself());
    }

    #[test]
    fn a_warning_that_was_not_sent_can_be_taken_back() {
        let mut fresh = Machine::fresh();
        fresh.warn();
        fresh.unwarn();
        read(&mut fresh, &[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat());
        fresh.write(&[frame(SETTINGS, 0, 0, &[]), frame(SETTINGS, ACK, 0, &[])].concat());
        let said = out(&mut fresh.to_client);
        read(&mut fresh, &frame(SETTINGS, ACK, 0, &[]));
        assert_eq!((said[3], out(&mut fresh.to_client)), (SETTINGS, Vec::new()));
        fresh.warn();
        assert_eq!(out(&mut fresh.to_client), warning());
    }

    #[test]
    fn an_answer_to_a_warning_of_a_predecessor_is_for_no_library() {
        let mut next = moved_after_a_request();
        next.write(&frame(PING, 0, 0, &[1; 8]));
        read(&mut next, &[frame(PING, ACK, 0, &GOODBYE), frame(PING, ACK, 0, &[1; 8])].concat());
        assert!(!next.is_warned());
        assert_eq!(out(&mut next.to_library), frame(PING, ACK, 0, &[1; 8]));
        out(&mut next.to_client);
        next.warn();
        assert_eq!(out(&mut next.to_client), warning(), "it can still be said");
    }

    #[test]
    fn the_client_gets_no_more_than_it_takes_and_control_frames_overtake() {
        let mut machine = greeted();
        read(&mut machine, &request(1));
        machine.write(&frame(DATA, END_STREAM, 1, &vec![0; 65_000]));
        out(&mut machine.to_library);
        out(&mut machine.to_client);
        let mut next = moved(machine);
        read(&mut next, &[request(3), request(5)].concat());
        out(&mut next.to_library);
        let answer = frame(HEADERS, END_HEADERS, 5, b"block");
        let control = [frame(PING, 0, 0, &[1; 8]), frame(WINDOW_UPDATE, 0, 5, &[1; 4])].concat();
        next.write(&[&frame(DATA, END_STREAM, 3, &[1; 1_000])[..], &answer, &control].concat());
        assert_eq!(out(&mut next.to_client), [frame(DATA, 0, 3, &[1; 535]), control].concat(), "it takes 535");
        let wider = |by: u32| frame(WINDOW_UPDATE, 0, 0, &by.to_be_bytes());
        read(&mut next, &wider(465));
        assert_eq!(out(&mut next.to_client), [frame(DATA, END_STREAM, 3, &[1; 465]), answer].concat());
        assert!(next.to_library.is_empty(), "the library believes in more already");
        read(&mut next, &wider(65_000));
        assert_eq!(out(&mut next.to_library), wider(465));
    }

    #[test]
    fn what_waits_stays_where_it_is_while_the_client_takes_a_byte_at_a_time() {
        let mut machine = greeted();
        read(&mut machine, &request(1));
        machine.write(&[frame(DATA, 0, 1, &vec![0; 65_535]), frame(DATA, END_STREAM, 1, &[7; 3]), request(1)].concat());
        out(&mut machine.to_library);
        out(&mut machine.to_client);
        let end = machine.waiting.as_ptr_range().end;
        for flags in [0, 0, END_STREAM] {
            assert_eq!(machine.waiting.as_ptr_range().end, end, "each byte moves all that waits");
            assert!(!machine.is_quiet(), "the client does not have all");
            read(&mut machine, &frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]));
            assert_eq!(out(&mut machine.to_client)[..10], frame(DATA, flags, 1, &[7]));
        }
    }
}
