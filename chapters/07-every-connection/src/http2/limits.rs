//! What the library of this process allows each client, and so whose connections it can go on with.
//!
//! The invariant: the library is asked, and not its documentation.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::BytesMut;
use connection_handover::http2_library;
use graceful_shutdown::ClientTimeouts;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf, duplex};

use super::frame::{Head, PREFACE, SETTINGS, WINDOW_UPDATE, number};
use super::settings::{FIRST_WINDOW, Settings};
use super::state::State;

/// What the library says first is much shorter.
const GREETING: usize = 4096;

#[derive(Debug)]
pub(super) struct Limits {
    settings: Settings,
    window: u32,
}

impl Limits {
    /// Lets the library greet a client that says nothing about itself.
    pub(super) fn of_the_library() -> Limits {
        let (mut client, server) = duplex(GREETING);
        let mut says = BytesMut::from(PREFACE);
        Settings::default().put_frame(&mut says);
        let (mut room, cx) = ([0; GREETING], &mut Context::from_waker(Waker::noop()));
        let mut heard = ReadBuf::new(&mut room);
        let service = service_fn(async |_: Request<Incoming>| Ok::<_, Infallible>(Response::new(String::new())));
        // Without PINGs, which would need a clock.
        let timeouts = ClientTimeouts { idle: Duration::MAX, ..ClientTimeouts::default() };
        let mut library = pin!(http2_library(&timeouts).serve_connection(TokioIo::new(server), service));
        // There is room for all this, so each is done at once; then the library waits for a request.
        let _ = Pin::new(&mut client).poll_write(cx, &says);
        let _ = library.as_mut().poll(cx);
        let _ = Pin::new(&mut client).poll_read(cx, &mut heard);
        Limits::of(BytesMut::from(heard.filled()))
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

    /// Whether the library can go on with a connection in this state. A client may use all that it was granted; so what it was
    /// granted must be no more than the library allows.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn check(&self, state: &State) -> Result<(), String> {
        self.settings.cover(&state.ours)?;
        if state.receive_window > self.window {
            return Err(format!(
                "the client may send {}, and the window is {} here",
                state.receive_window, self.window
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(values: &[(u16, u32)]) -> Settings {
        let mut settings = Settings::default();
        for (number, value) in values {
            settings.set(*number, *value);
        }
        settings
    }

    #[test]
    fn the_library_says_what_it_allows() {
        let Limits { settings, window } = Limits::of_the_library();
        assert_eq!((settings.get(3), settings.get(4), settings.get(5)), (200, 1 << 20, 1 << 14));
        assert_eq!(window, 1 << 20);
    }

    #[test]
    fn a_client_that_was_granted_more_than_the_library_allows_is_declined() {
        let limits = Limits { settings: settings(&[(3, 100), (4, 1000), (9, 1)]), window: 500 };
        let ours = |values: &[(u16, u32)]| State { ours: settings(values), receive_window: 500, ..State::default() };
        // Of the table, the gate says what there is. A client that was told less than is allowed hears of more.
        let fine = [&[(1, 0), (3, 100), (4, 1000)][..], &[(3, 1), (4, 0), (5, 1 << 14), (8, 0)], &[(9, 1)]];
        for values in fine {
            limits.check(&ours(values)).expect("it is no more than is allowed");
        }
        for values in [[(3, 101)], [(4, 1001)], [(5, (1 << 14) + 1)], [(8, 1)], [(9, 2)]] {
            limits.check(&ours(&values)).expect_err("it is more than is allowed");
        }
        let wide = State { receive_window: 501, ..State::default() };
        assert!(limits.check(&wide).expect_err("it may send more").contains("501"));
    }
}
