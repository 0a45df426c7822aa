//! As much of HTTP/2 as an idle client needs (RFC 9113).
//!
//! The invariant: every SETTINGS and every PING of the server is acknowledged, as a client that is well does.

use super::client::News;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// What a client sends first: it speaks HTTP/2, and wants `/`.
pub(super) fn request() -> Vec<u8> {
    // Of HPACK's static table (RFC 7541, appendix A): the method, the scheme, the path; and the authority, written out.
    const BLOCK: &[u8] = b"\x82\x86\x84\x01\x03lab";
    [PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(HEADERS, END_STREAM | END_HEADERS, 1, BLOCK)].concat()
}

/// Takes the next frame, if it is there as a whole.
pub(super) fn next(received: &mut Vec<u8>) -> Option<News> {
    let head = received.first_chunk::<9>()?;
    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    let (kind, flags) = (head[3], head[4]);
    let payload = received.get(9..9 + length)?.to_vec();
    received.drain(..9 + length);
    Some(match kind {
        DATA | HEADERS if flags & END_STREAM != 0 => News::Answer,
        GOAWAY => News::End,
        SETTINGS if flags & ACK == 0 => News::Reply(frame(SETTINGS, ACK, 0, &[])),
        PING if flags & ACK == 0 => News::Reply(frame(PING, ACK, 0, &payload)),
        _ => News::Other,
    })
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    // Below 256, all of them.
    let length = payload.len().to_be_bytes()[size_of::<usize>() - 1];
    [&[0, 0, length, kind, flags], &stream.to_be_bytes()[..], payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_waits_for_is_sent() {
        let mut received = [frame(SETTINGS, 0, 0, &[]), frame(PING, 0, 0, b"12345678")].concat();
        assert_eq!(next(&mut received), Some(News::Reply(frame(SETTINGS, ACK, 0, &[]))));
        let half = received.split_off(10);
        assert_eq!(next(&mut received), None);
        received.extend(half);
        assert_eq!(next(&mut received), Some(News::Reply(frame(PING, ACK, 0, b"12345678"))));
        assert_eq!(next(&mut received), None);
    }
}
