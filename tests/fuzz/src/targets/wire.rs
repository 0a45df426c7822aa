//! A socket in memory, which every process has, one after the other: what arrives, and what is taken, is up to the target.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[derive(Default)]
pub(super) struct State {
    /// What the server can read, and whether that is all.
    pub(super) arrived: VecDeque<u8>,
    pub(super) ended: bool,
    pub(super) written: Vec<u8>,
    /// How much the client still takes; `None`: everything.
    pub(super) room: Option<usize>,
    wakers: Vec<Waker>,
}

#[derive(Clone, Default)]
pub(super) struct Socket(Arc<Mutex<State>>);

impl Socket {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        std::mem::take(&mut state.wakers).into_iter().for_each(Waker::wake);
    }

    /// Whether no process has it any more.
    pub(super) fn is_ours_alone(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        if state.arrived.is_empty() && !state.ended {
            state.wakers.push(cx.waker().clone());
            return Poll::Pending;
        }
        let part = state.arrived.as_slices().0;
        let length = part.len().min(buf.remaining());
        buf.put_slice(&part[..length]);
        state.arrived.drain(..length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.lock();
        let length = state.room.unwrap_or(usize::MAX).min(buf.len());
        if length == 0 && !buf.is_empty() {
            state.wakers.push(cx.waker().clone());
            return Poll::Pending;
        }
        state.room = state.room.map(|room| room - length);
        state.written.extend_from_slice(&buf[..length]);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
