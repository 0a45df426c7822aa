//! Which streams of a connection are open, told from the frames in both directions.
//!
//! The invariant: a stream is open from the first frame of its request that the library was given, until both sides have said
//! that they are done with it, or one of them has reset it (RFC 9113, section 5.1).

use std::collections::BTreeMap;

use super::frame::{CONTINUATION, END_HEADERS, HEADERS, Head, RST_STREAM};

#[derive(Debug, Default)]
pub(super) struct Streams {
    /// The last one that was a predecessor's. All up to here are over.
    predecessors: u32,
    /// The last one whose request the library was given. Not what PRIORITY names: clients name streams that they never open.
    last: u32,
    open: BTreeMap<u32, Done>,
    /// The client, or the library, is in the middle of a header block, which no other frame may interrupt.
    client_block: bool,
    library_block: bool,
    /// The client has had the beginning of an answer, here or before.
    any_answer: bool,
}

/// What has ended of an open stream.
#[derive(Debug, Default)]
struct Done {
    request: bool,
    answer: bool,
}

impl Streams {
    /// The streams after those of a predecessor.
    pub(super) fn after(last: u32) -> Streams {
        Streams { predecessors: last, last, any_answer: last > 0, ..Streams::default() }
    }

    pub(super) fn last(&self) -> u32 {
        self.last
    }

    /// Whether no stream is open, and no header block half sent.
    pub(super) fn are_over(&self) -> bool {
        self.open.is_empty() && !self.client_block && !self.library_block
    }

    pub(super) fn any_answer(&self) -> bool {
        self.any_answer
    }

    /// Whether the client is in the middle of a header block.
    pub(super) fn in_request_block(&self) -> bool {
        self.client_block
    }

    /// Whether the library is in the middle of a header block.
    pub(super) fn in_answer_block(&self) -> bool {
        self.library_block
    }

    /// Whether this frame is about a stream that a predecessor had. The library has never heard of it.
    pub(super) fn is_late(&self, head: Head) -> bool {
        head.stream != 0 && head.stream <= self.predecessors
    }

    /// Whether this frame is about a stream that the library has not been given.
    pub(super) fn is_new(&self, head: Head) -> bool {
        head.stream > self.last
    }

    /// A frame of the client that the library is given.
    #[inline]
    pub(super) fn asked(&mut self, head: Head) {
        match head.kind {
            HEADERS => {
                // An even number is an error, and ends the connection.
                if self.is_new(head) && head.stream % 2 == 1 {
                    self.last = head.stream;
                    self.open.insert(head.stream, Done::default());
                }
                self.client_block = !head.has(END_HEADERS);
            }
            CONTINUATION => self.client_block = !head.has(END_HEADERS),
            RST_STREAM => drop(self.open.remove(&head.stream)),
            _ => {}
        }
        if head.ends_stream() {
            self.end(head.stream, |done| done.request = true);
        }
    }

    /// A frame of the library.
    #[inline]
    pub(super) fn answered(&mut self, head: Head) {
        match head.kind {
            HEADERS | CONTINUATION => {
                self.library_block = !head.has(END_HEADERS);
                self.any_answer = true;
            }
            RST_STREAM => drop(self.open.remove(&head.stream)),
            _ => {}
        }
        if head.ends_stream() {
            self.end(head.stream, |done| done.answer = true);
        }
    }

    fn end(&mut self, stream: u32, what: impl Fn(&mut Done)) {
        if let Some(done) = self.open.get_mut(&stream) {
            what(done);
            if done.request && done.answer {
                self.open.remove(&stream);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(stream: u32, flags: u8) -> Head {
        Head { length: 0, kind: HEADERS, flags, stream }
    }

    #[test]
    fn a_stream_that_a_client_cannot_open_is_none() {
        let mut streams = Streams::default();
        streams.asked(headers(2, END_HEADERS));
        assert!(streams.are_over());
    }

    #[test]
    fn a_header_block_is_not_over_before_its_last_frame() {
        // A block about a stream that is reset in between, or that there never was, keeps its connection.
        let [mut asked, mut answered] = [Streams::default(), Streams::default()];
        asked.asked(headers(2, 0));
        answered.answered(headers(2, 0));
        assert!(!asked.are_over() && !answered.are_over());
        let rest = Head { kind: CONTINUATION, ..headers(2, END_HEADERS) };
        asked.asked(rest);
        answered.answered(rest);
        assert!(asked.are_over() && answered.are_over());
    }

    #[test]
    fn the_streams_after_a_predecessors_have_higher_numbers() {
        let streams = Streams::after(7);
        assert_eq!(streams.last(), 7);
        for (stream, late, new) in [(0, false, false), (7, true, false), (9, false, true)] {
            let head = headers(stream, END_HEADERS);
            assert_eq!((streams.is_late(head), streams.is_new(head)), (late, new), "{stream}");
        }
    }
}
