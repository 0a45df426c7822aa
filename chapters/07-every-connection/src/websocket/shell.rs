//! The machine between a socket and a library, beside it the handler's leave, and the server's side.
//!
//! The invariant: the handler is told to leave in the same moment in which nothing is under way, and from then on neither reads nor
//! writes; so what goes is its state, and the bytes that it was not given.

use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use connection_handover::{Movable, Transport};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf, copy, sink};
use tokio::time::timeout;

use super::Websockets;
use super::machine::{Machine, WHOLE};

/// "The service is restarted: connect again." (1012, of the registry of RFC 6455, section 11.7.)
const CLOSE: [u8; 4] = [0x88, 2, 0x03, 0xf4];

/// How long a client has to answer that.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

type Polled<T> = Poll<io::Result<T>>;

/// The library's side of a websocket: what it reads from and writes to.
pub struct Gate(Arc<Mutex<Shared>>);

/// Tells a handler when to leave.
pub struct Leave(Arc<Mutex<Shared>>);

/// The server's side.
pub(super) struct Control {
    shared: Arc<Mutex<Shared>>,
    message_timeout: Duration,
}

struct Shared {
    /// Until it ends.
    client: Option<Box<dyn Transport>>,
    machine: Machine,
    /// Bytes from the client that the library was not given.
    unread: BytesMut,
    /// The library has asked for more since it was last given bytes: the handler has dealt with all that it was given.
    asked: bool,
    stage: Stage,
    /// The handler's task.
    handler: Option<Waker>,
    /// The task that waits for the connection.
    controller: Option<Waker>,
}

enum Stage {
    Served,
    /// Served, but no further message is begun.
    Held,
    /// The handler was told to leave, and has not returned its state yet.
    Told,
    /// The same, and it will not go after all.
    Recalled,
    /// It can be taken, in this state.
    Left(Bytes),
    Taken,
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves a websocket, again and again if it does not go.
pub(super) fn serve<S>(protocol: Websockets<S>, client: Box<dyn Transport>, unread: Bytes, mut state: S) -> Control
where
    S: Serialize + DeserializeOwned + Send + 'static,
{
    let shared = Shared {
        client: Some(client),
        machine: Machine::default(),
        unread: unread.into(),
        asked: false,
        stage: Stage::Served,
        handler: None,
        controller: None,
    };
    let shared = Arc::new(Mutex::new(shared));
    let control = Control { shared: Arc::clone(&shared), message_timeout: protocol.message_timeout };
    tokio::spawn(async move {
        let ends = Ends(shared);
        loop {
            let [gate, leave] = [(); 2].map(|()| Arc::clone(&ends.0));
            let Some(left) = (protocol.serve)(Gate(gate), Leave(leave), state).await else { return };
            if !lock(&ends.0).leave(|unread| protocol.write(&left, unread)) || !ends.comes_back().await {
                return;
            }
            state = left;
        }
    });
    control
}

/// The handler's task. When it ends, or panics, the connection ends, too, unless it was taken.
struct Ends(Arc<Mutex<Shared>>);

impl Ends {
    /// Whether a handler that has left has to go on here.
    async fn comes_back(&self) -> bool {
        std::future::poll_fn(|cx| {
            let shared = &mut *lock(&self.0);
            match shared.stage {
                Stage::Served => Poll::Ready(true),
                Stage::Taken => Poll::Ready(false),
                _ => {
                    shared.handler = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        lock(&self.0).end();
    }
}

impl Stage {
    /// Whether the handler may read and write.
    fn is_served(&self) -> bool {
        matches!(self, Stage::Served | Stage::Held)
    }
}

impl Shared {
    /// The handler has returned its state. `false`: it was not told to.
    fn leave(&mut self, write: impl FnOnce(&[u8]) -> Result<Bytes, String>) -> bool {
        self.stage = match self.stage {
            Stage::Told => match write(&self.unread) {
                Ok(state) => Stage::Left(state),
                Err(why) => {
                    tracing::error!(why, "a websocket stays: its state cannot be written down");
                    Stage::Served
                }
            },
            Stage::Recalled => Stage::Served,
            _ => return false,
        };
        self.wake_controller();
        true
    }

    fn end(&mut self) {
        if !matches!(self.stage, Stage::Taken) {
            self.client = None;
            self.wake_controller();
        }
    }

    fn wake_controller(&mut self) {
        self.controller.take().into_iter().for_each(Waker::wake);
    }

    fn enter(&mut self, stage: Stage) {
        self.stage = stage;
        self.handler.take().into_iter().for_each(Waker::wake);
    }

    fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.handler = Some(cx.waker().clone());
        let quiet = matches!(self.stage, Stage::Held) && self.asked && self.machine.is_quiet();
        if let Some(client) = self.client.as_mut().filter(|_| quiet)
            && let Poll::Ready(Ok(())) = Pin::new(client).poll_flush(cx)
        {
            self.stage = Stage::Told;
        }
        if self.stage.is_served() { Poll::Pending } else { Poll::Ready(()) }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Polled<()> {
        loop {
            let Some(client) = self.client.as_mut().filter(|_| self.stage.is_served()) else {
                return Poll::Ready(Ok(()));
            };
            let held = matches!(self.stage, Stage::Held);
            let released = self.machine.release(&self.unread, buf.remaining(), held);
            if released > 0 || buf.remaining() == 0 {
                buf.put_slice(&self.unread.split_to(released));
                self.asked = false;
                return Poll::Ready(Ok(()));
            }
            let passes = usize::try_from(self.machine.passes()).unwrap_or(usize::MAX);
            let read = if passes > 0 {
                // Of a long frame, nothing has to be kept.
                let length = passes.min(buf.remaining());
                let mut part = ReadBuf::new(buf.initialize_unfilled_to(length));
                Pin::new(client).poll_read(cx, &mut part).map_ok(|()| part.filled().len())
            } else if held && !self.machine.is_in_message() {
                Poll::Pending
            } else {
                self.unread.reserve(WHOLE);
                pin!(client.read_buf(&mut self.unread)).poll(cx)
            };
            if self.unread.is_empty() {
                // An empty buffer owns memory, too, for as long as the connection is idle.
                self.unread = BytesMut::new();
            }
            self.asked = read.is_pending();
            let read = ready!(read)?;
            if passes > 0 {
                buf.advance(read);
                self.machine.released(read as u64);
            }
            if passes > 0 || read == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Does something with the client; an error once it is not the handler's any more.
    fn poll<T>(&mut self, poll: impl FnOnce(Pin<&mut Box<dyn Transport>>) -> Polled<T>) -> Polled<T> {
        let client = self.client.as_mut().filter(|_| self.stage.is_served());
        client.map_or(Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())), |client| poll(Pin::new(client)))
    }
}

impl Leave {
    /// Waits for `future`, or until the handler should leave and return its state (`None`).
    ///
    /// That is when the future waits, the library waits for the next message, and all that it has written has been sent: so all
    /// before the next call of this has to be flushed, and nothing that is lost with the future may be under way in it. A read that
    /// waits, alone or among others that lose nothing, is what it is for.
    pub async fn unless<F: Future>(&mut self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => lock(&self.0).poll_leave(cx).map(|()| None),
        })
        .await
    }
}

impl AsyncRead for Gate {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Polled<()> {
        lock(&self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Gate {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Polled<usize> {
        let shared = &mut *lock(&self.0);
        let written = ready!(shared.poll(|client| client.poll_write(cx, buf)))?;
        shared.machine.sent(&buf[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<()> {
        lock(&self.0).poll(|client| client.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<()> {
        lock(&self.0).poll(|client| client.poll_shutdown(cx))
    }
}

impl Movable for Control {
    fn quiet(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(async {
            let held = Held::begin(&self.shared);
            loop {
                match timeout(self.message_timeout, self.left()).await {
                    Ok(left) => {
                        if left {
                            // It is taken as it is.
                            std::mem::forget(held);
                        }
                        return left;
                    }
                    Err(_) if lock(&self.shared).machine.is_in_message() => {
                        self.close().await;
                        return false;
                    }
                    Err(_) => {}
                }
            }
        })
    }

    fn take(&self) -> Option<Bytes> {
        let shared = &mut *lock(&self.shared);
        let Stage::Left(state) = &shared.stage else { return None };
        let state = state.clone();
        shared.enter(Stage::Taken);
        Some(state)
    }
}

impl Control {
    /// Waits until the handler has left (`true`), or the connection has ended.
    async fn left(&self) -> bool {
        std::future::poll_fn(|cx| {
            let shared = &mut *lock(&self.shared);
            let left = matches!(shared.stage, Stage::Left(_));
            if left || shared.client.is_none() {
                return Poll::Ready(left);
            }
            shared.controller = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Takes the client away from the library, and says goodbye.
    async fn close(&self) {
        let (client, fits) = {
            let shared = &mut *lock(&self.shared);
            shared.enter(Stage::Served);
            (shared.client.take(), shared.machine.is_between_frames())
        };
        let Some(mut client) = client.filter(|_| fits) else { return };
        let goodbye = async {
            client.write_all(&CLOSE).await?;
            client.shutdown().await?;
            copy(&mut client, &mut sink()).await
        };
        // What the client answers is of no interest, but a close before it comes would be a reset.
        let _ = timeout(LINGER_TIMEOUT, goodbye).await;
    }
}

/// As long as it is there, no further message is begun.
struct Held<'shared>(&'shared Mutex<Shared>);

impl Held<'_> {
    fn begin(shared: &Mutex<Shared>) -> Held<'_> {
        let locked = &mut *lock(shared);
        // One that was recalled may not have returned yet.
        let stage = if matches!(locked.stage, Stage::Recalled) { Stage::Told } else { Stage::Held };
        locked.enter(stage);
        Held(shared)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let shared = &mut *lock(self.0);
        let stage = if matches!(shared.stage, Stage::Told) { Stage::Recalled } else { Stage::Served };
        shared.enter(stage);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use connection_handover::TunnelProtocol as _;
    use fastrand::Rng;
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio::io::{DuplexStream, duplex};
    use tokio::time::sleep;
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;

    /// A socket that the next process gets, too.
    #[derive(Clone)]
    struct Socket(Arc<Mutex<DuplexStream>>);

    impl Socket {
        fn poll<T>(&self, poll: impl FnOnce(Pin<&mut DuplexStream>) -> T) -> T {
            poll(Pin::new(&mut *self.0.lock().expect("no panic")))
        }
    }

    impl AsyncRead for Socket {
        fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Polled<()> {
            self.poll(|socket| socket.poll_read(cx, buf))
        }
    }

    impl AsyncWrite for Socket {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Polled<usize> {
            self.poll(|socket| socket.poll_write(cx, buf))
        }

        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<()> {
            self.poll(|socket| socket.poll_flush(cx))
        }

        fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<()> {
            self.poll(|socket| socket.poll_shutdown(cx))
        }
    }

    async fn count(gate: Gate, mut leave: Leave, mut count: u64) -> Option<u64> {
        let mut socket = WebSocketStream::from_raw_socket(gate, Role::Server, None).await;
        while let Some(next) = leave.unless(socket.next()).await {
            let message = next?.ok()?;
            if message.is_text() {
                count += 1;
                sleep(Duration::from_millis(count % 3)).await;
                socket.send(format!("{count} {message}").into()).await.ok()?;
            }
        }
        // The time in which it may be recalled, although it has left.
        sleep(Duration::from_millis(count % 5)).await;
        Some(count)
    }

    /// Handovers that succeed, and handovers that are called off at any moment, while the client talks on and does not always
    /// read.
    #[tokio::test(start_paused = true)]
    async fn whenever_it_is_called_off_or_goes_no_message_is_lost_or_read_twice() {
        const MESSAGES: u64 = 200;
        let (mut gone, mut recalled) = (0, 0);
        for seed in 0..30 {
            let (client, server) = duplex(2_000);
            let server = Socket(Arc::new(Mutex::new(server)));
            let mut client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
            let client = async {
                let mut random = Rng::with_seed(seed);
                let (mut said, mut heard) = (0, 0);
                while heard < MESSAGES {
                    if said < MESSAGES.min(heard + 5) && random.bool() {
                        said += 1;
                        let text = format!("{said}{}", "x".repeat(random.usize(..300)));
                        client.send(text.into()).await.expect("the connection stays");
                    } else if said > heard {
                        let answer = client.next().await.expect("the connection stays").expect("no error");
                        heard += 1;
                        let answer = answer.to_text().expect("a text");
                        assert!(answer.starts_with(&format!("{heard} {heard}")), "seed {seed}: {answer}");
                    }
                    sleep(Duration::from_millis(random.u64(..4))).await;
                }
            };
            let process = Websockets::new("counter/1", count);
            let handovers = async {
                let mut random = Rng::with_seed(seed);
                let mut control = process.resume(Box::new(server.clone()), process.write(&0, b"").expect("it is JSON"));
                loop {
                    let here = control.as_ref().expect("its state is understood");
                    if timeout(Duration::from_millis(random.u64(..20)), here.quiet()).await.is_ok_and(|quiet| quiet) {
                        let state = here.take().expect("it has left");
                        control = process.resume(Box::new(server.clone()), state);
                        gone += 1;
                    } else {
                        recalled += 1;
                    }
                    sleep(Duration::from_millis(random.u64(..20))).await;
                }
            };
            tokio::select! {
                () = client => {}
                () = handovers => {}
            }
        }
        assert!(gone > 300 && recalled > 100, "both should happen often: {gone}, {recalled}");
    }
}
