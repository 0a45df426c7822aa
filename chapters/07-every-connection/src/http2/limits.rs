//! What the library of this process allows each client, and so whose connections it can go on with.
//!
//! The invariant: the library is asked, and not its documentation.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use connection_handover::http2_library;
use graceful_shutdown::ClientTimeouts;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frame::{Head, PREFACE, SETTINGS, WINDOW_UPDATE, number};
use super::settings::{FIRST_WINDOW, Settings};
use super::state::State;

#[derive(Debug)]
pub(super) struct Limits {
    settings: Settings,
    window: u32,
}

impl Limits {
    /// Lets the library greet a client that says nothing about itself.
    pub(super) fn of_the_library() -> Limits {
        let mut says = BytesMut::from(PREFACE);
        Settings::default().put_frame(&mut says);
        let heard = Arc::default();
        let client = Client { says: says.freeze(), heard: Arc::clone(&heard) };
        let service = service_fn(async |_: Request<Incoming>| Ok::<_, Infallible>(Response::new(String::new())));
        // Without PINGs, which would need a clock.
        let timeouts = ClientTimeouts { idle: Duration::MAX, ..ClientTimeouts::default() };
        let mut library = pin!(http2_library(&timeouts).serve_connection(TokioIo::new(client), service));
        // It now waits for a request.
        let _ = library.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let greeting = heard.lock().unwrap_or_else(PoisonError::into_inner).split();
        Limits::of(greeting)
    }

    fn of(mut greeting: BytesMut) -> Limits {
        let mut limits = Limits { settings: Settings::default(), window: FIRST_WINDOW };
        while let Some(head) = Head::read(&greeting).filter(|head| head.is_complete(&greeting)) {
            let frame = greeting.split_to(head.frame_size());
            match head.kind {
                SETTINGS => drop(limits.settings.merge(&frame[Head::SIZE..])),
                WINDOW_UPDATE => limits.window += number(&frame),
                _ => {}
            }
        }
        limits
    }

    // ANCHOR: check
    /// Whether the library can go on with a connection in this state. A client may use all that it was granted; so what it was
    /// granted must be no more than the library allows.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn check(&self, state: &State) -> Result<(), String> {
        self.settings.cover(&state.ours)?;
        if state.receive_window > self.window {
            return Err(format!("the client may send {}, and the window is {} here", state.receive_window, self.window));
        }
        Ok(())
    }
    // ANCHOR_END: check
}

/// A client in memory.
struct Client {
    says: Bytes,
    heard: Arc<Mutex<BytesMut>>,
}

impl AsyncRead for Client {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.says.is_empty() {
            return Poll::Pending;
        }
        let length = self.says.len().min(buf.remaining());
        buf.put_slice(&self.says.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Client {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
