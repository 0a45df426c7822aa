//! What the library of this process, or another server in it, allows each client, and so whose connections it can go on with.
//!
//! The invariant: the library is asked, and not its documentation.

use std::convert::Infallible;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use connection_handover::{GatedListener, http2_library};
use graceful_shutdown::ClientTimeouts;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use super::frame::{Head, PING, PREFACE, SETTINGS, WINDOW_UPDATE, number, put_ping};
use super::settings::{FIRST_WINDOW, Settings};
use super::state::State;

/// What the library says first is much shorter.
const GREETING: usize = 4096;

#[derive(Debug, PartialEq)]
pub(super) struct Limits {
    settings: Settings,
    window: u32,
}

impl Default for Limits {
    /// What a library allows that says nothing.
    fn default() -> Limits {
        Limits { settings: Settings::default(), window: FIRST_WINDOW }
    }
}

impl Limits {
    /// Lets the library greet a client that says nothing about itself.
    pub(super) fn of_the_library() -> Limits {
        let service = service_fn(async |_: Request<Incoming>| Ok::<_, Infallible>(Response::new(String::new())));
        // Without PINGs, which would need a clock.
        let timeouts = ClientTimeouts { idle: Duration::MAX, ..ClientTimeouts::default() };
        let mut limits = pin!(Limits::of(async |mut listener| {
            let (client, _) = listener.accept().await;
            http2_library(&timeouts).serve_connection(TokioIo::new(client), service).await
        }));
        // Both ends are here, so each of them has something to do until both are done.
        loop {
            if let Poll::Ready(limits) = limits.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return limits.unwrap_or_default();
            }
        }
    }

    /// Lets a server greet it. `None`: it does not speak HTTP/2.
    pub(super) async fn of<F: Future>(serve: impl FnOnce(GatedListener) -> F) -> Option<Limits> {
        let (mut client, server) = duplex(GREETING);
        let asks = async {
            let mut says = BytesMut::from(PREFACE);
            Settings::default().put_frame(&mut says);
            let (mut limits, mut said) = (Limits::default(), BytesMut::new());
            // Until the second is answered, everything has been said that was put off for the first.
            for _ in 0..2 {
                put_ping(&mut says, [0; 8]);
                client.write_all_buf(&mut says).await.ok()?;
                while !limits.hear(&mut said) {
                    client.read_buf(&mut said).await.ok().filter(|read| *read > 0)?;
                }
            }
            Some(limits)
        };
        tokio::select! {
            limits = asks => limits,
            _ = serve(GatedListener::with(server)) => None,
        }
    }

    /// Takes in what the library says. Whether it has answered a PING.
    fn hear(&mut self, said: &mut BytesMut) -> bool {
        let mut answered = false;
        while let Some(head) = Head::read(said).filter(|head| head.is_complete(said)) {
            let frame = said.split_to(head.frame_size());
            match head.kind {
                SETTINGS => drop(self.settings.merge(&frame[Head::SIZE..])),
                WINDOW_UPDATE => self.window += number(&frame),
                PING => answered |= head.is_ack(),
                _ => {}
            }
        }
        answered
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
    use hyper::server::conn::http1;

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

    /// A server of one client.
    async fn serve(mut listener: GatedListener, http2: bool) {
        let service = service_fn(async |_: Request<Incoming>| Ok::<_, Infallible>(Response::new(String::new())));
        let (client, _) = listener.accept().await;
        let client = TokioIo::new(client);
        let _ = if http2 {
            http2_library(&ClientTimeouts::default()).serve_connection(client, service).await
        } else {
            http1::Builder::new().serve_connection(client, service).await
        };
    }

    #[tokio::test]
    async fn another_server_says_the_same_if_its_library_does() {
        assert_eq!(Limits::of(|listener| serve(listener, true)).await, Some(Limits::of_the_library()));
        assert_eq!(Limits::of(|listener| serve(listener, false)).await, None, "it does not speak HTTP/2");
    }

    #[test]
    fn a_client_that_was_granted_more_than_the_library_allows_is_declined() {
        let limits = Limits { settings: settings(&[(3, 100), (4, 99_000), (9, 1)]), window: 500 };
        let ours = |values: &[(u16, u32)]| State { ours: settings(values), receive_window: 500, ..State::default() };
        // Of the table, the gate says what there is. A client that was told less than is allowed hears of more.
        let fine = [&[(1, 0), (3, 100), (4, 99_000)][..], &[(3, 1), (4, 0), (5, 1 << 14), (8, 0)], &[(3, 1), (9, 1)]];
        for values in fine {
            limits.check(&ours(values)).expect("it is no more than is allowed");
        }
        for value in [(3, 101), (4, 99_001), (5, (1 << 14) + 1), (8, 1), (9, 2)] {
            limits.check(&ours(&[(3, 100), value])).expect_err("it is more than is allowed");
        }
        limits.check(&ours(&[])).expect_err("it was told no limit of streams");
        let wide = State { receive_window: 501, ..ours(&[(3, 100)]) };
        assert!(limits.check(&wide).expect_err("it may send more").contains("501"));
    }
}
