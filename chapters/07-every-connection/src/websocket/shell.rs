//! The machine between a socket and a library, beside it the handler's leave, and the server's side.
//!
//! The invariant: the handler is told to leave in the same moment in which nothing is under way, and from then on neither reads nor
//! writes; so what goes is its state, and the bytes that it was not given.

use std::future::poll_fn;
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
use tokio::time::{Instant, timeout};

use super::Websockets;
use super::machine::{CLOSE, Machine, WHOLE};

/// "The server is going down." (RFC 6455, section 7.4.1.)
const GOING_AWAY: u16 = 1001;

/// "The service is restarted: connect again." (The registry of RFC 6455, section 11.7.)
const SERVICE_RESTART: u16 = 1012;

/// How long a client has to answer that.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// How often in the time that a client has, it is looked at.
const LOOKS: u32 = 8;

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

#[derive(Default)]
struct Shared {
    /// Until it ends.
    client: Option<Box<dyn Transport>>,
    machine: Machine,
    /// Bytes from the client that the library was not given.
    unread: BytesMut,
    /// The library has asked for more since it was last given bytes: the handler has dealt with all that it was given.
    asked: bool,
    /// Since when the handler waits for the rest of a message, although the connection should go.
    in_message: Option<Instant>,
    /// Since when the library waits for the client to take something.
    blocked: Option<Instant>,
    /// The connection should go.
    goes: bool,
    /// It should, and the handler waits where it can be told so: no further message is begun.
    held: bool,
    stage: Stage,
    /// The handler's task.
    handler: Option<Waker>,
    /// What waits for a read that was held: nothing else wakes it.
    reader: Option<Waker>,
    /// The task that waits for the connection.
    controller: Option<Waker>,
}

#[derive(Default)]
enum Stage {
    #[default]
    Served,
    /// The handler was told to leave, and has not returned its state yet.
    Told,
    /// It can be taken, in this state.
    Left(Bytes),
    /// It was taken, or closed.
    Over,
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves a websocket, again and again if it does not go.
pub(super) fn serve<S>(protocol: Websockets<S>, client: Box<dyn Transport>, unread: Bytes, mut state: S) -> Control
where
    S: Serialize + DeserializeOwned + Send + 'static,
{
    let shared = Shared { client: Some(client), unread: unread.into(), ..Shared::default() };
    let shared = Arc::new(Mutex::new(shared));
    let control = Control { shared: Arc::clone(&shared), message_timeout: protocol.message_timeout };
    tokio::spawn(async move {
        let ends = Ends(shared);
        loop {
            let [gate, leave] = [(); 2].map(|()| Arc::clone(&ends.0));
            let Some(left) = (protocol.serve)(Gate(gate), Leave(leave), state).await else { return };
            lock(&ends.0).leave(|unread| protocol.write(&left, unread));
            if !poll_fn(|cx| lock(&ends.0).poll_comes_back(cx)).await {
                return;
            }
            state = left;
        }
    });
    control
}

/// The handler's task. When it ends, or panics, the connection ends, too, unless it was taken.
struct Ends(Arc<Mutex<Shared>>);

impl Drop for Ends {
    fn drop(&mut self) {
        lock(&self.0).end();
    }
}

impl Stage {
    fn is_served(&self) -> bool {
        matches!(self, Stage::Served)
    }
}

impl Shared {
    /// The handler has returned its state.
    fn leave(&mut self, write: impl FnOnce(&[u8]) -> Result<Bytes, String>) {
        match self.stage {
            Stage::Told if self.goes => match write(&self.unread) {
                Ok(state) => self.stage = Stage::Left(state),
                Err(why) => {
                    tracing::error!(why, "a websocket stays: its state cannot be written down");
                    (self.goes, self.stage) = (false, Stage::Served);
                }
            },
            Stage::Told => self.stage = Stage::Served,
            // It was not told to.
            _ => self.end(),
        }
        self.wake_controller();
    }

    /// Whether a handler that has left has to go on here.
    fn poll_comes_back(&mut self, cx: &Context<'_>) -> Poll<bool> {
        self.handler = Some(cx.waker().clone());
        match self.stage {
            Stage::Served => Poll::Ready(self.client.is_some()),
            Stage::Over => Poll::Ready(false),
            _ => Poll::Pending,
        }
    }

    fn end(&mut self) {
        if !matches!(self.stage, Stage::Over) {
            self.client = None;
            self.wake_controller();
        }
    }

    /// Ready when the handler has left (`true`), or the connection has ended.
    fn poll_left(&mut self, cx: &Context<'_>) -> Poll<bool> {
        self.controller = Some(cx.waker().clone());
        let left = matches!(self.stage, Stage::Left(_));
        if left || self.client.is_none() { Poll::Ready(left) } else { Poll::Pending }
    }

    fn wake_controller(&mut self) {
        self.controller.take().into_iter().for_each(Waker::wake);
    }

    fn wake_handler(&mut self) {
        self.handler.take().into_iter().for_each(Waker::wake);
        self.wake_reader();
    }

    fn wake_reader(&mut self) {
        self.reader.take().into_iter().for_each(Waker::wake);
    }

    fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.handler = Some(cx.waker().clone());
        let in_message = self.goes && self.machine.is_in_message();
        self.in_message = in_message.then(|| self.in_message.unwrap_or_else(Instant::now));
        let quiet = self.goes && self.stage.is_served() && self.asked && self.machine.is_quiet();
        if quiet && let Poll::Ready(Ok(())) = self.poll_flush(cx) {
            self.stage = Stage::Told;
        }
        if self.stage.is_served() { Poll::Pending } else { Poll::Ready(()) }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Polled<()> {
        loop {
            let Some(client) = self.client.as_mut().filter(|_| self.stage.is_served()) else {
                return Poll::Ready(Ok(()));
            };
            let released = self.machine.release(&self.unread, buf.remaining(), self.held);
            // The next message has its own time.
            self.in_message.take_if(|_| !self.machine.is_in_message());
            if released > 0 || buf.remaining() == 0 {
                buf.put_slice(&self.unread.split_to(released));
                self.asked = false;
                return Poll::Ready(Ok(()));
            }
            let read = if self.held && self.machine.is_quiet() {
                self.reader = Some(cx.waker().clone());
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
            if ready!(read)? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Does something with the client; an error once it is not the handler's any more.
    fn poll<T>(&mut self, poll: impl FnOnce(Pin<&mut Box<dyn Transport>>) -> Polled<T>) -> Polled<T> {
        let client = self.client.as_mut().filter(|_| self.stage.is_served());
        client.map_or(Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())), |client| poll(Pin::new(client)))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Polled<usize> {
        let written = self.poll(|client| client.poll_write(cx, buf));
        let written = ready!(self.blocked_by(written))?;
        self.machine.sent(&buf[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Polled<()> {
        let flushed = self.poll(|client| client.poll_flush(cx));
        self.blocked_by(flushed)
    }

    /// Notes since when what the client should take waits.
    fn blocked_by<T>(&mut self, polled: Polled<T>) -> Polled<T> {
        self.blocked = polled.is_pending().then(|| self.blocked.unwrap_or_else(Instant::now));
        polled
    }

    /// Whether for this long, the client has not ended its message, or has taken nothing of what it is sent.
    fn is_kept_by_client(&self, message_timeout: Duration) -> bool {
        let in_message = self.in_message.filter(|_| self.machine.is_in_message());
        [in_message, self.blocked].into_iter().flatten().any(|since| since.elapsed() >= message_timeout)
    }
}

impl Leave {
    /// Waits for `future`, or until the handler should leave and return its state (`None`).
    ///
    /// That is when the future waits, or has not begun, the library waits for the next message, and all that it has written has been
    /// sent: so all before the next call of this has to be flushed, and nothing that is lost with the future may be under way in it.
    /// A read that waits, alone or among others that lose nothing, is what it is for.
    pub async fn unless<F: Future>(&mut self, future: F) -> Option<F::Output> {
        // First, because the future may never wait, in a room that is never silent.
        if std::future::poll_fn(|cx| Poll::Ready(lock(&self.0).poll_leave(cx))).await.is_ready() {
            return None;
        }
        let mut future = pin!(future);
        poll_fn(|cx| {
            let held = |held: bool| {
                let mut shared = lock(&self.0);
                shared.held = held && shared.goes;
                shared
            };
            drop(held(true));
            let polled = future.as_mut().poll(cx);
            let mut shared = held(false);
            if polled.is_ready() || !shared.machine.is_quiet() {
                shared.wake_reader();
            }
            match polled {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                Poll::Pending => shared.poll_leave(cx).map(|()| None),
            }
        })
        .await
    }
}

impl Gate {
    /// If this task has to wait, it is woken when the connection is over, too.
    fn lock(&self, cx: &Context<'_>) -> MutexGuard<'_, Shared> {
        let mut shared = lock(&self.0);
        shared.handler = Some(cx.waker().clone());
        shared
    }
}

impl AsyncRead for Gate {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Polled<()> {
        self.lock(cx).poll_read(cx, buf)
    }
}

impl AsyncWrite for Gate {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Polled<usize> {
        self.lock(cx).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<()> {
        self.lock(cx).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<()> {
        self.lock(cx).poll(|client| client.poll_shutdown(cx))
    }
}

impl Movable for Control {
    fn quiet(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(async {
            let goes = Goes::begin(&self.shared);
            let left = self.leaves().await;
            if left {
                // It is taken as it is.
                std::mem::forget(goes);
            } else {
                self.say_goodbye(SERVICE_RESTART).await;
            }
            left
        })
    }

    fn take(&self) -> Option<Bytes> {
        let shared = &mut *lock(&self.shared);
        let Stage::Left(state) = &shared.stage else { return None };
        let state = state.clone();
        shared.stage = Stage::Over;
        shared.wake_handler();
        Some(state)
    }

    fn close(&self, stops: bool, _idle: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let _goes = Goes::begin(&self.shared);
            self.leaves().await;
            self.say_goodbye(if stops { GOING_AWAY } else { SERVICE_RESTART }).await;
        })
    }
}

impl Control {
    /// Waits until the handler has left (`true`), or the connection has ended, or its client keeps it.
    async fn leaves(&self) -> bool {
        loop {
            match timeout(self.message_timeout / LOOKS, poll_fn(|cx| lock(&self.shared).poll_left(cx))).await {
                Ok(left) => return left,
                Err(_) if lock(&self.shared).is_kept_by_client(self.message_timeout) => return false,
                Err(_) => {}
            }
        }
    }

    /// Takes the client away from the library, and says goodbye.
    async fn say_goodbye(&self, code: u16) {
        let (client, fits) = {
            let shared = &mut *lock(&self.shared);
            shared.stage = Stage::Over;
            shared.wake_handler();
            (shared.client.take(), shared.machine.is_between_frames())
        };
        let Some(mut client) = client.filter(|_| fits) else { return };
        let [high, low] = code.to_be_bytes();
        let goodbye = async move {
            client.write_all(&[0x80 | CLOSE, 2, high, low]).await?;
            client.shutdown().await?;
            copy(&mut client, &mut sink()).await
        };
        // What the client answers is of no interest, but a close before it comes would be a reset. In a task, because what waits
        // for this may be dropped in the middle.
        let _ = tokio::spawn(timeout(LINGER_TIMEOUT, goodbye)).await;
    }
}

/// As long as it is there, the connection should go.
struct Goes<'shared>(&'shared Mutex<Shared>);

impl Goes<'_> {
    fn begin(shared: &Mutex<Shared>) -> Goes<'_> {
        let locked = &mut *lock(shared);
        locked.goes = true;
        locked.wake_handler();
        Goes(shared)
    }
}

impl Drop for Goes<'_> {
    fn drop(&mut self) {
        let shared = &mut *lock(self.0);
        // A flush that only a leave waits for is not polled again: its time must not count in the next handover.
        (shared.goes, shared.blocked) = (false, None);
        if matches!(shared.stage, Stage::Left(_)) {
            shared.stage = Stage::Served;
        }
        shared.wake_handler();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use connection_handover::TunnelProtocol as _;
    use fastrand::Rng;
    use futures_util::future::{ready, select};
    use futures_util::stream::FuturesUnordered;
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio::io::{BufWriter, DuplexStream, ReadHalf, duplex, split};
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

    #[tokio::test]
    async fn a_handler_that_never_has_to_wait_leaves_all_the_same() {
        let (_client, server) = duplex(100);
        let process = Websockets::new("busy/1", async |gate, mut leave: Leave, (): ()| {
            let mut socket = WebSocketStream::from_raw_socket(gate, Role::Server, None).await;
            while leave.unless(select(socket.next(), ready(()))).await.is_some() {
                tokio::task::yield_now().await;
            }
            Some(())
        });
        let control = process.resume(Box::new(server), process.write(&(), b"").expect("it is JSON"));
        let quiet = control.as_ref().expect("its state is understood").quiet();
        assert!(timeout(Duration::from_secs(1), quiet).await.expect("it leaves"));
    }

    /// An empty message of a client.
    const EMPTY: [u8; 6] = [0x81, 0x80, 0, 0, 0, 0];

    const ANSWER: [u8; 6] = *b"\x81\x04yes.";

    /// A handler that gives the same answer to whatever it reads.
    fn parrot(answer: &'static [u8], flushes: bool) -> Websockets<()> {
        Websockets::new("parrot/1", move |mut gate: Gate, mut leave: Leave, (): ()| async move {
            let mut read = [0; 100];
            while let Some(length) = leave.unless(gate.read(&mut read)).await {
                if length.ok()? == 0 {
                    return None;
                }
                gate.write_all(answer).await.ok()?;
                if flushes {
                    gate.flush().await.ok()?;
                }
            }
            Some(())
        })
    }

    fn begin(process: &Websockets<()>, server: impl Transport + 'static) -> Box<dyn Movable> {
        let state = process.write(&(), b"").expect("it is JSON");
        process.resume(Box::new(server), state).expect("its state is understood")
    }

    /// Returns once all is read that will be.
    async fn say(client: &mut DuplexStream, bytes: &[u8]) {
        client.write_all(bytes).await.expect("the connection stays");
        sleep(Duration::from_millis(1)).await;
    }

    async fn assert_answered(client: &mut DuplexStream, message: &[u8], answer: &[u8]) {
        client.write_all(message).await.expect("the connection stays");
        let mut read = vec![0; answer.len()];
        let heard = timeout(Duration::from_secs(1), client.read_exact(&mut read)).await;
        heard.expect("it is served on").expect("the connection stays");
        assert_eq!(read, answer);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_only_its_client_can_make_quiet_is_served_on_although_it_should_go() {
        const EXTENSION: [u8; 6] = [0xc1, 0x80, 0, 0, 0, 0];
        const UNANSWERED: [u8; 6] = [0x89, 0x80, 0, 0, 0, 0];
        const WHOLE: [u8; 2] = [0x81, 0];
        const PART: [u8; 2] = [0x01, 0];
        const GOODBYE: [u8; 2] = [0x88, 0];
        for (said, answer) in [(EXTENSION, &WHOLE), (UNANSWERED, &WHOLE), (EMPTY, &PART), (EMPTY, &GOODBYE)] {
            let (mut client, server) = duplex(100);
            let control = begin(&parrot(answer, true), server);
            assert_answered(&mut client, &said, answer).await;
            let talk = async {
                // The handler hears first that it should go.
                sleep(Duration::from_millis(1)).await;
                assert_answered(&mut client, &EMPTY, answer).await;
                client.shutdown().await.expect("the connection stays");
            };
            let quiet = timeout(Duration::from_secs(2), control.quiet());
            let (left, ()) = tokio::join!(quiet, talk);
            assert!(!left.expect("its end is read"), "{said:?}, {answer:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_was_held_goes_on_when_the_handover_is_called_off() {
        async fn next(mut reader: ReadHalf<Gate>) -> Option<ReadHalf<Gate>> {
            reader.read_exact(&mut EMPTY.clone()).await.ok()?;
            Some(reader)
        }
        let process = Websockets::new("parrot/1", async |gate: Gate, mut leave: Leave, (): ()| {
            let (reader, mut writer) = split(gate);
            // They poll a read again only if it is woken itself.
            let mut reads = FuturesUnordered::from_iter([next(reader)]);
            while let Some(read) = leave.unless(reads.next()).await {
                writer.write_all(&ANSWER).await.ok()?;
                reads.push(next(read??));
            }
            Some(())
        });
        let (mut client, server) = duplex(4);
        let control = begin(&process, BufWriter::new(server));
        say(&mut client, &EMPTY).await;
        let quiet = timeout(Duration::from_secs(1), control.quiet());
        let said = timeout(Duration::from_secs(2), client.write_all(&EMPTY));
        let (quiet, said) = tokio::join!(quiet, said);
        quiet.expect_err("the client has not taken the answer");
        said.expect("it is read").expect("the connection stays");
        sleep(Duration::from_millis(1)).await;
        let mut answers = [0; 2 * ANSWER.len()];
        let read = timeout(Duration::from_secs(1), client.read_exact(&mut answers));
        let (left, read) = tokio::join!(control.quiet(), read);
        assert!(left && read.is_ok() && answers == [ANSWER; 2].as_flattened());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_cut_although_its_transport_takes_it() {
        for flushes in [true, false] {
            let (mut client, server) = duplex(4);
            let control = begin(&parrot(&ANSWER, flushes), BufWriter::new(server));
            say(&mut client, &EMPTY).await;
            let left = timeout(Duration::from_secs(30), control.quiet()).await;
            assert!(!left.expect("it is cut"), "flushes: {flushes}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_has_its_time_however_long_the_one_before_took() {
        const BEGINS: [u8; 6] = [0x01, 0x80, 0, 0, 0, 0];
        const ENDS: [u8; 6] = [0x80, 0x80, 0, 0, 0, 0];
        let process = Websockets::new("pair/1", async |mut gate: Gate, mut leave: Leave, (): ()| {
            let mut read = [0; 6];
            for _ in 0..2 {
                leave.unless(gate.read_exact(&mut read)).await?.ok()?;
            }
            // And another one, which it needs.
            for _ in 0..2 {
                gate.read_exact(&mut read).await.ok()?;
            }
            gate.write_all(&ANSWER).await.ok()?;
            leave.unless(gate.read(&mut read)).await.is_none().then_some(())
        });
        let (mut client, server) = duplex(100);
        let control = begin(&process, server);
        say(&mut client, &BEGINS).await;
        let talk = async {
            for (seconds, part) in [(9, ENDS), (2, BEGINS), (2, ENDS)] {
                sleep(Duration::from_secs(seconds)).await;
                say(&mut client, &part).await;
            }
            let mut read = ANSWER;
            client.read_exact(&mut read).await.expect("the connection stays");
            assert_eq!(read, ANSWER);
        };
        let (left, ()) = tokio::join!(control.quiet(), talk);
        assert!(left);
    }

    #[tokio::test(start_paused = true)]
    async fn a_goodbye_that_has_begun_is_said_to_its_end() {
        let (mut client, server) = duplex(2);
        let control = begin(&parrot(&ANSWER, true), server);
        let closed = timeout(Duration::from_secs(1), control.close(true, Duration::ZERO)).await;
        closed.expect_err("the client has not read all of it");
        let mut read = Vec::new();
        client.read_to_end(&mut read).await.expect("it is closed");
        assert_eq!(read, [0x80 | CLOSE, 2, 3, 233]);
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
