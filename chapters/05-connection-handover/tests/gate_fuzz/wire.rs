//! The wire between a client and a server, in memory: how much arrives, and how much is taken, is up to the test.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[derive(Default)]
pub(crate) struct Wire {
    pub(crate) sent: Vec<u8>,
    pub(crate) ended: bool,
    /// Written, and not flushed.
    pub(crate) written: Vec<u8>,
    /// Whether a flush completes: one tick after the last write.
    pub(crate) flushes: bool,
    pub(crate) received: Vec<u8>,
    /// The server has closed its side, or dropped the socket.
    pub(crate) closed: bool,
    /// How many bytes the client still takes.
    pub(crate) window: usize,
    pub(crate) reader: Option<Waker>,
    pub(crate) writer: Option<Waker>,
}

/// The server's end.
pub(crate) struct Socket(pub(crate) Arc<Mutex<Wire>>);

pub(crate) fn locked(wire: &Mutex<Wire>) -> MutexGuard<'_, Wire> {
    wire.lock().expect("one thread holds the lock")
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut wire = locked(&self.0);
        if wire.sent.is_empty() && !wire.ended {
            wire.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let length = wire.sent.len().min(buf.remaining());
        buf.put_slice(&wire.sent[..length]);
        wire.sent.drain(..length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut wire = locked(&self.0);
        assert!(!wire.closed, "the server writes behind its close");
        if wire.window == 0 {
            wire.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let before = wire.written.len();
        for buf in bufs {
            let length = buf.len().min(wire.window);
            wire.written.extend_from_slice(&buf[..length]);
            wire.window -= length;
        }
        wire.flushes = false;
        Poll::Ready(Ok(wire.written.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = &mut *locked(&self.0);
        if !wire.flushes && !wire.written.is_empty() {
            wire.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        wire.received.append(&mut wire.written);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        locked(&self.0).closed = true;
        Poll::Ready(Ok(()))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let mut wire = locked(&self.0);
        wire.closed = true;
        let wire = &mut *wire;
        wire.received.append(&mut wire.written);
    }
}
