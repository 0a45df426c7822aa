//! Where the HTTP/1 messages of one connection begin and end, told from its bytes alone.
//!
//! The invariant: as long as messages are framed here, they are framed as the library frames them. At the first byte
//! that the library may read differently, the framing ends for good, and the connection is [unsure](Protocol::Unsure).

use std::collections::VecDeque;
use std::io::IoSlice;

use super::Protocol;
use super::body::Body;
use super::head::{Head, Heads, Method, Unsure};

/// What an HTTP/2 client with prior knowledge sends first (RFC 9113, section 3.4).
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Both directions of one connection.
#[derive(Debug, Default)]
pub(super) struct Messages {
    pub(super) protocol: Protocol,
    /// No further request is released; the rest of one whose head was released still is.
    pub(super) held: bool,
    /// A request is released once all before it are answered, and none after the last answer.
    pub(super) closing: bool,
    requests: (Heads, Body),
    answers: (Heads, Body),
    /// One for each request whose head was released and whose answer is not complete. They are answered in this order.
    owed: VecDeque<Method>,
    /// The length of another answer with the last head, if it is known; else 0.
    usual: u64,
    /// An answer has said that no other will follow.
    pub(super) last: bool,
}

impl Messages {
    /// Whether every byte passes, and nothing is framed.
    pub(super) fn is_blind(&self) -> bool {
        !matches!(self.protocol, Protocol::Undecided | Protocol::Http1)
    }

    /// Looks at the first bytes of the connection until they tell which protocol it speaks. `ended`: no more follow.
    pub(super) fn decide(&mut self, first: &[u8], ended: bool) {
        if self.protocol != Protocol::Undecided {
        } else if first.starts_with(H2_PREFACE) {
            self.protocol = Protocol::Http2;
        } else if ended || !H2_PREFACE.starts_with(first) {
            self.protocol = Protocol::Http1;
        }
    }

    /// Whether the next byte from the client may be released.
    pub(super) fn admits(&self) -> bool {
        let waits = self.held || self.closing && (self.last || !self.owed.is_empty());
        !waits || self.is_in_body() || self.is_blind()
    }

    /// Releases as many of these bytes as it may, and returns how many.
    #[inline]
    pub(super) fn release(&mut self, bytes: &[u8]) -> usize {
        let mut released = 0;
        while released < bytes.len() && self.admits() {
            match self.request(&bytes[released..]) {
                Ok(length) => released += length,
                Err(Unsure) => self.protocol = Protocol::Unsure,
            }
        }
        released
    }

    /// A step into a request; returns its length.
    #[inline]
    fn request(&mut self, bytes: &[u8]) -> Result<usize, Unsure> {
        if self.is_blind() {
            return Ok(bytes.len());
        }
        let (heads, body) = &mut self.requests;
        if !body.is_over() {
            return body.skip(bytes);
        }
        let Some(length) = heads.read(bytes)? else { return Ok(bytes.len()) };
        *body = heads.last.body.unwrap_or(Body::None);
        self.owed.push_back(heads.last.method);
        Ok(length)
    }

    /// Notes what the library has written of these buffers.
    #[inline]
    pub(super) fn sent(&mut self, bufs: &[IoSlice<'_>], written: usize) {
        // Usually it is a whole answer like the last.
        let usual = self.usual == written as u64 && self.owed.len() == 1 && self.owed[0] == Method::Other;
        if usual && self.answer_begins() && self.answers.0.repeats(&bufs[0]) {
            self.owed.clear();
            return;
        }
        let mut left = written;
        for bytes in bufs {
            let (mut bytes, rest) = (&bytes[..left.min(bytes.len())], left.saturating_sub(bytes.len()));
            while !bytes.is_empty() && !self.is_blind() {
                match self.answer(bytes) {
                    Ok(length) => bytes = &bytes[length..],
                    Err(Unsure) => self.protocol = Protocol::Unsure,
                }
            }
            left = rest;
        }
    }

    /// A step into an answer; returns its length.
    fn answer(&mut self, bytes: &[u8]) -> Result<usize, Unsure> {
        // With none owed, this is the refusal of a head that the library has not even read to its end.
        let method = *self.owed.front().ok_or(Unsure)?;
        let (heads, body) = &mut self.answers;
        let length = if body.is_over() {
            let Some(length) = heads.read(bytes)? else { return Ok(bytes.len()) };
            let Head { start, close, keep_alive, .. } = heads.last;
            let status = &start[9..];
            if status == b"101" || status[0] == b'2' && method == Method::Connect {
                self.protocol = Protocol::Tunnel;
                self.owed.clear();
            }
            self.usual = 0;
            if status[0] == b'1' {
                // An interim answer: the final one is still to come.
                return Ok(length);
            }
            let bodiless = status == b"204" || status == b"304" || method == Method::Head;
            *body = if bodiless { Body::None } else { heads.last.body.unwrap_or(Body::UntilClose) };
            if let (Body::Length(rest), Method::Other) = (*body, method) {
                self.usual = rest.saturating_add(heads.last_bytes.len() as u64);
            }
            self.last |= close || !keep_alive && start.starts_with(b"HTTP/1.0") || *body == Body::UntilClose;
            length
        } else {
            body.skip(bytes)?
        };
        if body.is_over() {
            self.owed.pop_front();
        }
        Ok(length)
    }

    /// Whether the next byte that the library writes begins an answer.
    pub(super) fn answer_begins(&self) -> bool {
        !self.is_blind() && self.answers.1.is_over() && self.answers.0.unfinished.is_empty()
    }

    /// Whether the next answer may be the last: the client has sent nothing behind its request, which did not ask for a
    /// tunnel. `unreleased`: what was not released.
    pub(super) fn may_end(&self, unreleased: &[u8]) -> bool {
        let mut body = self.requests.1;
        let followed = self.half_head() || !body.skip(unreleased).is_ok_and(|length| is_blank(&unreleased[length..]));
        self.owed.len() == 1 && self.owed[0] != Method::Connect && !followed
    }

    /// Requests that were released and are not fully answered.
    pub(super) fn owed(&self) -> usize {
        self.owed.len()
    }

    /// Whether the rest of a request's body is still to be released.
    pub(super) fn is_in_body(&self) -> bool {
        !self.requests.1.is_over()
    }

    /// Whether all that was released is answered, and the client's next byte begins or continues a head.
    pub(super) fn is_between(&self) -> bool {
        self.owed.is_empty() && !self.is_in_body() && !self.is_blind()
    }

    /// What was released of an incomplete head.
    pub(super) fn unfinished(&self) -> &[u8] {
        &self.requests.0.unfinished
    }

    /// Whether that is more than empty lines.
    pub(super) fn half_head(&self) -> bool {
        !is_blank(self.unfinished())
    }
}

/// Whether these are only empty lines, or parts of them.
pub(super) fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The machine after these requests and, if they are complete, these answers; each in pieces that `cut` chooses.
    fn after(requests: &[u8], answers: &[u8], mut cut: impl FnMut(usize) -> usize) -> Messages {
        let mut messages = Messages { protocol: Protocol::Http1, ..Messages::default() };
        for (bytes, sent) in [(requests, false), (answers, true)] {
            let mut rest = bytes;
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at(cut(rest.len()));
                if sent {
                    // The library offers more than the socket takes.
                    messages.sent(&[IoSlice::new(rest)], piece.len());
                } else {
                    assert_eq!(messages.release(piece), piece.len(), "nothing is held");
                }
                rest = behind;
            }
        }
        messages
    }

    /// Checks the machine after the bytes came whole, byte by byte, in two pieces, and in random ones.
    fn always(requests: &[u8], answers: &[u8], check: impl Fn(&Messages) -> bool) {
        let what = || format!("{:?} {:?}", String::from_utf8_lossy(requests), String::from_utf8_lossy(answers));
        assert!(check(&after(requests, answers, |left| left)), "whole: {}", what());
        assert!(check(&after(requests, answers, |_| 1)), "byte by byte: {}", what());
        for first in 1..requests.len().max(answers.len()) {
            let cut = |left: usize| if left > first { left - first } else { left };
            assert!(check(&after(requests, answers, cut)), "the last {first} apart: {}", what());
        }
        for seed in 0..50 {
            let mut random = fastrand::Rng::with_seed(seed);
            assert!(check(&after(requests, answers, |left| random.usize(1..=left))), "seed {seed}: {}", what());
        }
    }

    const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

    #[test]
    fn requests_end_where_their_heads_say() {
        let requests: [&[u8]; 9] = [
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"\r\n\r\nGET / HTTP/1.0\r\n\r\n",
            b"POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\n\r\n\r\n\r",
            b"POST / HTTP/1.1\r\nCONTENT-LENGTH:0\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: \tChunked \r\n\r\n0\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n00A;x=\"y\"\r\n\r\n0\r\n\r\nabc\r\n0\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0;last\r\nX: 1\r\nContent-Length: 9\r\n\r\n",
            b"GET / HTTP/1.1\r\nUpgrade-Insecure-Requests: 1\r\nCookie: a\r\nTE: trailers\r\nConnection: close\r\n\r\n",
            b"DELETE / HTTP/1.1\r\nContent-Length: \t7\t \r\n\r\nGET / H",
        ];
        for request in requests {
            always(request, b"", |messages| messages.owed() == 1 && !messages.is_in_body() && !messages.half_head());
            always(request, OK, Messages::is_between);
            for end in 1..request.len() {
                let half = after(&request[..end], b"", |left| left);
                let begun = !is_blank(&request[..end]);
                assert_eq!(
                    half.half_head() || half.is_in_body(),
                    begun,
                    "{:?}",
                    String::from_utf8_lossy(&request[..end])
                );
            }
            let pipeline = request.repeat(3);
            always(&pipeline, b"", |messages| messages.owed() == 3 && messages.unfinished().is_empty());
            always(&pipeline, &OK.repeat(2), |messages| messages.owed() == 1);
            always(&pipeline, &OK.repeat(3), Messages::is_between);
        }
    }

    #[test]
    fn answers_end_where_their_heads_and_requests_say() {
        let between: [(&[u8], &[u8]); 8] = [
            (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"),
            (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n"),
            (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"),
            (b"HEAD / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"),
            (b"HEAD / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
            (b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\ncontent-length: 1\r\n\r\na"),
            (
                b"GET / HTTP/1.1\r\n\r\n",
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\n\r\n",
            ),
            (b"PUT / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 Done\r\n\r\n"),
        ];
        for (request, answer) in between {
            always(request, answer, |messages| messages.is_between() && messages.answer_begins() && !messages.last);
            always(&request.repeat(2), answer, |messages| messages.owed() == 1 && messages.answer_begins());
            for end in 0..answer.len() {
                let half = after(request, &answer[..end], |left| left);
                assert!(!half.is_between(), "{:?} is half an answer", String::from_utf8_lossy(&answer[..end]));
            }
        }
        let last: [&[u8]; 4] = [
            b"HTTP/1.1 200 OK\r\nconnection: x, Close\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\nuntil it ends",
        ];
        for answer in last {
            always(b"GET / HTTP/1.1\r\n\r\n", answer, |messages| messages.last);
        }
    }

    #[test]
    fn an_answer_like_the_last_is_complete_with_its_last_byte_and_not_before() {
        let request = b"GET / HTTP/1.1\r\n\r\n";
        let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
        for first in 1..=OK.len() {
            for second in 1..=OK.len() {
                let mut messages = after(&request.repeat(2), b"", |left| left);
                messages.sent(&[IoSlice::new(OK)], first);
                messages.sent(&[IoSlice::new(&OK[first..])], OK.len() - first);
                messages.sent(&[IoSlice::new(&OK[..38]), IoSlice::new(&OK[38..])], second);
                assert_eq!(messages.is_between(), second == OK.len(), "{first} bytes, then the rest, then {second}");
            }
            let mut messages = after(&request.repeat(2), &[OK, interim].concat(), |left| left);
            messages.sent(&[IoSlice::new(&[&interim[..], OK].concat())], first);
            assert!(!messages.is_between(), "two interim answers complete no request");
        }
    }

    #[test]
    fn a_tunnel_is_no_longer_framed() {
        let [upgrade, connect] = [&b"GET / HTTP/1.1\r\nUpgrade: x\r\n\r\n"[..], b"CONNECT a:1 HTTP/1.1\r\n\r\n"];
        let [switching, ok] = [&b"HTTP/1.1 101 Switching Protocols\r\n\r\n\n\n"[..], b"HTTP/1.1 200 OK\r\n\r\n\n\n"];
        for (request, answer) in [(upgrade, switching), (connect, ok)] {
            always(request, answer, |messages| messages.protocol == Protocol::Tunnel && messages.owed() == 0);
        }
        always(connect, b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", Messages::is_between);
    }

    #[test]
    fn what_another_parser_may_read_in_another_way_is_unsure() {
        let heads = [
            "Content-Length: 1\r\nContent-Length: 1",
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 1",
            "Transfer-Encoding: chunked\r\ntransfer-encoding: chunked",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: identity",
            "Transfer-Encoding: \u{b}chunked",
            "Transfer-Encoding : chunked",
            "Content-Length : 1",
            "Content-Length",
            "Content-Length:",
            "Content-Length: +1",
            "Content-Length: -1",
            "Content-Length: 1, 1",
            "Content-Length: 0x1",
            "Content-Length: 1\u{b}",
            "Content-Length: 1\r",
            "Content-Length: 18446744073709551616",
            "X: 1\r\n Content-Length: 1",
            "X: 1\r\n\tContent-Length: 1",
            "X: 1\nContent-Length: 1",
        ];
        for head in heads {
            let request = format!("POST / HTTP/1.1\r\n{head}\r\n\r\n");
            always(request.as_bytes(), b"", |messages| messages.protocol == Protocol::Unsure);
        }
        let bodies = [
            "\r\n",
            " 1\r\n",
            "1 \r\n",
            "1\n",
            "1\ra",
            "g",
            "1;\n",
            "1\r\nab",
            "1\r\na\n",
            "1000000000000000000",
            "0\r\nX: 1\n",
            "0\r\n\n",
        ];
        for body in bodies {
            let request = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
            always(request.as_bytes(), b"", |messages| messages.protocol == Protocol::Unsure);
        }
        for bytes in ["\nGET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\n\n", "GET\r\n\r\n"] {
            always(bytes.as_bytes(), b"", |messages| messages.protocol == Protocol::Unsure);
        }
        let endless = [b"GET / HTTP/1.1\r\nX: ", &vec![b'x'; 40_000][..]].concat();
        assert_eq!(
            after(&endless, b"", |left| left.min(1000)).protocol,
            Protocol::Unsure,
            "a head of this length is not kept"
        );
        always(b"GET / HT", b"HTTP/1.1 400 Bad Request\r\n\r\n", |messages| messages.protocol == Protocol::Unsure);
        always(b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\n\n", |messages| messages.protocol == Protocol::Unsure);
    }

    #[test]
    fn a_held_request_is_released_to_its_end_and_no_further() {
        let first = b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello";
        let both = [&first[..], b"GET /"].concat();
        let mut messages = after(&first[..41], b"", |left| left);
        messages.held = true;
        assert_eq!(messages.release(&both[41..]), first.len() - 41);
        messages.sent(&[IoSlice::new(OK)], OK.len());
        assert!(messages.is_between() && !messages.admits());
        messages.held = false;
        messages.closing = true;
        assert_eq!(messages.release(&both.repeat(2)), first.len(), "one request at a time");
    }

    #[test]
    fn the_preface_of_http_2_is_seen_once_it_is_whole() {
        for length in 0..H2_PREFACE.len() {
            let mut messages = Messages::default();
            messages.decide(&H2_PREFACE[..length], false);
            assert_eq!(messages.protocol, Protocol::Undecided);
            messages.decide(&H2_PREFACE[..length], true);
            assert_eq!(messages.protocol, Protocol::Http1, "no more will come");
        }
        let mut messages = Messages::default();
        messages.decide(b"POST", false);
        assert_eq!(messages.protocol, Protocol::Http1);
        messages = Messages::default();
        messages.decide(H2_PREFACE, false);
        assert_eq!(messages.protocol, Protocol::Http2);
    }
}
