//! Frames (RFC 9113, section 4): where each begins and ends, and the little in them that the gate reads and writes.
//!
//! The invariant: nothing here looks into a header block. What HPACK has compressed passes as it is.

use bytes::{BufMut, BytesMut};

/// What a client sends first (section 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const ACK: u8 = 1;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const PADDED: u8 = 8;

/// The nine bytes before each payload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Head {
    /// Of the payload.
    pub(super) length: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
    /// 0: the frame is about the connection.
    pub(super) stream: u32,
}

impl Head {
    pub(super) const SIZE: usize = 9;

    /// The head at the beginning of these bytes. `None`: it is incomplete.
    #[inline]
    pub(super) fn read(bytes: &[u8]) -> Option<Head> {
        let [a, b, c, kind, flags, stream @ ..] = *bytes.first_chunk::<{ Head::SIZE }>()?;
        let stream = u32::from_be_bytes(stream) & !(1 << 31);
        Some(Head { length: u32::from_be_bytes([0, a, b, c]), kind, flags, stream })
    }

    pub(super) fn put(self, to: &mut impl BufMut) {
        to.put_uint(self.length.into(), 3);
        to.put_slice(&[self.kind, self.flags]);
        to.put_u32(self.stream);
    }

    /// Of the whole frame.
    pub(super) fn frame_size(self) -> usize {
        Head::SIZE + self.length as usize
    }

    /// Whether the bytes begin with the whole frame.
    pub(super) fn is_complete(self, bytes: &[u8]) -> bool {
        bytes.len() >= self.frame_size()
    }

    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(super) fn is_ack(self) -> bool {
        matches!(self.kind, SETTINGS | PING) && self.has(ACK)
    }

    pub(super) fn ends_stream(self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.has(END_STREAM)
    }

    /// Whether it says something that the gate has to understand, and in a form that no library accepts.
    pub(super) fn is_malformed(self) -> bool {
        match self.kind {
            SETTINGS => self.stream != 0 || !self.length.is_multiple_of(6) || self.has(ACK) && self.length != 0,
            PING => self.stream != 0 || self.length != 8,
            GOAWAY => self.stream != 0,
            WINDOW_UPDATE | RST_STREAM => self.length != 4,
            DATA | HEADERS | CONTINUATION => self.stream == 0,
            _ => false,
        }
    }
}

/// The number in the payload of a frame that is complete: of WINDOW_UPDATE, the increment.
pub(super) fn number(frame: &[u8]) -> u32 {
    let payload = frame[Head::SIZE..].first_chunk().copied().unwrap_or_default();
    u32::from_be_bytes(payload) & !(1 << 31)
}

pub(super) fn put_window_update(to: &mut BytesMut, increment: u32) {
    Head { length: 4, kind: WINDOW_UPDATE, flags: 0, stream: 0 }.put(to);
    to.put_u32(increment);
}

pub(super) fn put_settings_ack(to: &mut BytesMut) {
    Head { length: 0, kind: SETTINGS, flags: ACK, stream: 0 }.put(to);
}

pub(super) fn put_ping(to: &mut BytesMut, payload: [u8; 8]) {
    Head { length: 8, kind: PING, flags: 0, stream: 0 }.put(to);
    to.put_slice(&payload);
}

/// Without an error.
pub(super) fn put_goaway(to: &mut BytesMut, last: u32) {
    Head { length: 8, kind: GOAWAY, flags: 0, stream: 0 }.put(to);
    to.put_u32(last);
    to.put_u32(0);
}

/// A whole frame.
#[cfg(test)]
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut head = BytesMut::new();
    Head { length: u32::try_from(payload.len()).expect("short"), kind, flags, stream }.put(&mut head);
    [&head[..], payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_three_bytes_and_numbers_31_bits() {
        let bytes = [1, 2, 3, WINDOW_UPDATE, 4, 0x80, 0, 0, 5, 0x80, 0, 0, 6];
        let head = Head { length: 0x1_02_03, kind: WINDOW_UPDATE, flags: 4, stream: 5 };
        assert_eq!((Head::read(&bytes), number(&bytes)), (Some(head), 6));
    }

    #[test]
    fn only_settings_and_pings_are_acknowledged() {
        let head = Head { length: 0, kind: DATA, flags: ACK, stream: 1 };
        assert!(!head.is_ack() && Head { kind: PING, ..head }.is_ack() && Head { kind: SETTINGS, ..head }.is_ack());
    }
}
