//! How an HTTP/2 connection ended: with notice, or without.
//!
//! The invariant: it only looks. hyper reports both endings alike, so we read the frame headers (RFC 9113, section 4.1)
//! as they pass.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::tally::Tally;

/// The type of a GOAWAY frame (RFC 9113, section 6.8).
const GOAWAY: u8 = 7;
/// Bytes of a frame header: three for the length, one for the type, one for flags, four for the stream.
const HEADER: usize = 9;

/// What the server has done to end a connection.
#[derive(Debug, Default)]
pub(super) struct Ending {
    /// It sent a GOAWAY.
    announced: AtomicBool,
    /// There is nothing more to read. Known here before any stream hears of it.
    closed: AtomicBool,
}

impl Ending {
    /// Counts a connection that will not be used any more.
    pub(super) fn count(&self, tally: &mut Tally) {
        if self.announced.load(Ordering::Relaxed) {
            tally.closed_announced += 1;
        } else if self.closed.load(Ordering::Relaxed) {
            tally.closed_unannounced += 1;
        }
    }
}

/// A socket that takes note of how it ends.
#[derive(Debug)]
pub(super) struct Watched<S> {
    socket: S,
    ending: Arc<Ending>,
    frames: Frames,
}

#[derive(Debug, Default)]
struct Frames {
    header: Vec<u8>,
    /// Bytes of the current frame's payload that are still to come.
    payload: usize,
}

impl<S> Watched<S> {
    pub(super) fn new(socket: S) -> (Watched<S>, Arc<Ending>) {
        let ending = Arc::new(Ending::default());
        (Watched { socket, ending: Arc::clone(&ending), frames: Frames::default() }, ending)
    }
}

impl Frames {
    /// Whether a GOAWAY begins among the next bytes of the connection.
    fn announce_end(&mut self, mut bytes: &[u8]) -> bool {
        let mut announced = false;
        while !bytes.is_empty() {
            let skipped = self.payload.min(bytes.len());
            self.payload -= skipped;
            let (header, rest) = bytes[skipped..].split_at((HEADER - self.header.len()).min(bytes.len() - skipped));
            self.header.extend_from_slice(header);
            bytes = rest;
            if let [length_2, length_1, length_0, kind, ..] = *self.header
                && self.header.len() == HEADER
            {
                self.payload = u32::from_be_bytes([0, length_2, length_1, length_0]) as usize;
                announced |= kind == GOAWAY;
                self.header.clear();
            }
        }
        announced
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut this.socket).poll_read(cx, buf));
        let new = &buf.filled()[before..];
        if this.frames.announce_end(new) {
            this.ending.announced.store(true, Ordering::Relaxed);
        }
        if new.is_empty() {
            this.ending.closed.store(true, Ordering::Relaxed);
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::Frames;

    const SETTINGS: [u8; 15] = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0];
    const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0];

    #[test]
    fn a_goaway_is_found_however_the_bytes_arrive() {
        let bytes = [&SETTINGS[..], &GOAWAY[..], &SETTINGS[..]].concat();
        for size in 1..=bytes.len() {
            let mut frames = Frames::default();
            let found = bytes.chunks(size).filter(|chunk| frames.announce_end(chunk)).count();
            assert_eq!(found, 1, "in chunks of {size}");
        }
    }

    #[test]
    fn nothing_else_is_taken_for_a_goaway() {
        let mut frames = Frames::default();
        assert!(!frames.announce_end(&[&SETTINGS[..], &SETTINGS[..]].concat()));
    }
}
