//! The machine between a socket and a library, and beside it the server's side.
//!
//! The invariant: the gate reads from the client only when the library asks for more, and all that the machine has to say is
//! written before the library hears that it is flushed.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use connection_handover::{Movable, Transport};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf, empty};
use tokio::time::timeout;

use super::machine::Machine;

// ANCHOR: phases
/// How long a connection with open streams is served as always, in the hope that none is open for a moment. That costs no client
/// anything.
const WAIT: Duration = Duration::from_millis(250);

/// How long new streams are held then, until the open ones have ended. The requests on them wait for as long.
const HOLD: Duration = Duration::from_millis(250);
// ANCHOR_END: phases

/// How much is read at a time: a frame, unless the client was told that they may be longer.
const READ: usize = 16 * 1024 + 9;

type Polled<T> = Poll<io::Result<T>>;

/// The library's side.
pub(super) struct Gate(Arc<Mutex<Shared>>);

/// The server's side.
pub(super) struct Control(Arc<Mutex<Shared>>);

#[expect(clippy::struct_excessive_bools, reason = "they are about different things")]
struct Shared {
    client: Box<dyn Transport>,
    machine: Machine,
    /// The library has asked for more since it was last given bytes: it has dealt with all that it was given.
    asked: bool,
    /// What was written may still be on its way to the socket.
    unflushed: bool,
    /// The client has closed its side.
    client_ended: bool,
    /// The library has closed ours, or the connection was taken.
    ended: bool,
    taken: bool,
    /// A goodbye is said: the task that says it hears of whatever happens.
    closes: bool,
    /// The library's task.
    reader: Option<Waker>,
    /// The task that waits for the connection to become quiet.
    controller: Option<Waker>,
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A gate in front of a client.
pub(super) fn gate(client: Box<dyn Transport>, machine: Machine) -> (Gate, Control) {
    let shared = Shared {
        client,
        machine,
        asked: false,
        unflushed: false,
        client_ended: false,
        ended: false,
        taken: false,
        closes: false,
        reader: None,
        controller: None,
    };
    let shared = Arc::new(Mutex::new(shared));
    (Gate(Arc::clone(&shared)), Control(shared))
}

impl Movable for Control {
    fn quiet(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(async {
            if let Ok(quiet) = timeout(WAIT, self.becomes(Shared::is_quiet, Shared::never_quiet)).await {
                return quiet;
            }
            let held = Held::begin(self);
            let quiet = timeout(HOLD, self.becomes(Shared::is_quiet, Shared::never_quiet)).await.unwrap_or(false);
            if quiet {
                // It is taken with what was held.
                std::mem::forget(held);
            }
            quiet
        })
    }

    fn take(&self) -> Option<Bytes> {
        let shared = &mut *lock(&self.0);
        if !shared.is_quiet() {
            shared.release();
            return None;
        }
        (shared.ended, shared.taken) = (true, true);
        shared.wake_reader();
        Some(shared.machine.take().write())
    }

    fn close(&self, _stops: bool, idle: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let _closes = Closes::begin(self);
            // A client that gets a GOAWAY before its first answer may take the connection for broken (curl does).
            let answered = self.becomes(|shared| shared.machine.has_answered(), Shared::ends_by_itself);
            let _ = timeout(idle, answered).await;
            lock(&self.0).warn();
            let heard = self.becomes(|shared| shared.machine.is_warned(), Shared::ends_by_itself);
            let _ = timeout(idle / 2, heard).await;
            // The end gives back what comes now.
            let held = Held::begin(self);
            while self.becomes(Shared::is_done, Shared::ends_by_itself).await {
                let Some((mut client, rest)) = lock(&self.0).end_done() else { continue };
                std::mem::forget(held);
                // In a task, because what waits for this may be dropped in the middle.
                tokio::spawn(async move {
                    client.write_all(&rest).await?;
                    client.shutdown().await
                });
                return;
            }
        })
    }
}

impl Control {
    /// Waits until this is so (`true`), or it never will be.
    async fn becomes(&self, so: impl Fn(&Shared) -> bool, never: impl Fn(&Shared) -> bool) -> bool {
        std::future::poll_fn(|cx| {
            let shared = &mut *lock(&self.0);
            let is = so(shared);
            if is || never(shared) {
                return Poll::Ready(is);
            }
            shared.controller = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

/// As long as it is there, a goodbye is said.
struct Closes<'control>(&'control Control);

impl Closes<'_> {
    fn begin(control: &Control) -> Closes<'_> {
        lock(&control.0).closes = true;
        Closes(control)
    }
}

impl Drop for Closes<'_> {
    fn drop(&mut self) {
        let shared = &mut *lock(&self.0.0);
        shared.closes = false;
        shared.machine.unwarn();
    }
}

/// As long as it is there, new streams are held.
struct Held<'control>(&'control Control);

impl Held<'_> {
    fn begin(control: &Control) -> Held<'_> {
        lock(&control.0).machine.hold();
        Held(control)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        lock(&self.0.0).release();
    }
}

impl Shared {
    fn is_quiet(&self) -> bool {
        self.asked && !self.unflushed && self.machine.is_quiet() && !self.never_quiet()
    }

    fn never_quiet(&self) -> bool {
        self.ended || self.machine.ends()
    }

    fn warn(&mut self) {
        self.machine.warn();
        // The library's task sends it.
        self.wake_reader();
    }

    fn release(&mut self) {
        self.machine.release();
        self.wake_reader();
    }

    fn is_done(&self) -> bool {
        self.asked && !self.unflushed && self.machine.is_done()
    }

    fn ends_by_itself(&self) -> bool {
        self.ended || self.machine.ends_by_itself()
    }

    /// Takes a connection away from the library on which nothing is under way, to say the end of the goodbye: the client, and what
    /// it should get.
    fn end_done(&mut self) -> Option<(Box<dyn Transport>, BytesMut)> {
        if !self.is_done() {
            return None;
        }
        self.machine.end();
        (self.ended, self.taken) = (true, true);
        self.wake_reader();
        Some((self.leave_client(), std::mem::take(&mut self.machine.to_client)))
    }

    fn leave_client(&mut self) -> Box<dyn Transport> {
        std::mem::replace(&mut self.client, Box::new(empty()))
    }

    fn wake_controller(&mut self) {
        if self.controller.is_some() && (self.closes || self.is_quiet() || self.never_quiet()) {
            self.controller.take().into_iter().for_each(Waker::wake);
        }
    }

    fn wake_reader(&mut self) {
        self.reader.take().into_iter().for_each(Waker::wake);
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Polled<()> {
        loop {
            let bytes = &mut self.machine.to_library;
            if !bytes.is_empty() {
                buf.put_slice(&bytes.split_to(bytes.len().min(buf.remaining())));
                self.asked = false;
                return Poll::Ready(Ok(()));
            }
            *bytes = BytesMut::new();
            if self.taken || self.client_ended {
                return Poll::Ready(Ok(()));
            }
            // The machine may have something to say by itself.
            let _ = self.poll_send(cx)?;
            let filled = buf.filled().len();
            let read = if self.machine.is_clear() { self.poll_pass(cx, buf) } else { self.poll_fill(cx) };
            if buf.filled().len() > filled {
                self.asked = false;
                return Poll::Ready(Ok(()));
            }
            if read?.is_pending() {
                self.asked = true;
                self.reader.get_or_insert_with(|| cx.waker().clone()).clone_from(cx.waker());
                self.wake_controller();
                return Poll::Pending;
            }
        }
    }

    /// Reads from the client what the library can have as it is, and takes the rest in.
    fn poll_pass(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Polled<()> {
        let filled = buf.filled().len();
        ready!(Pin::new(&mut self.client).poll_read(cx, buf))?;
        let read = &buf.filled()[filled..];
        if read.is_empty() && buf.remaining() > 0 {
            self.end();
            return Poll::Ready(Ok(()));
        }
        let passed = self.machine.pass(read);
        if passed < read.len()
            && let Some(room) = self.machine.room()
        {
            room.extend_from_slice(&read[passed..]);
            buf.set_filled(filled + passed);
            self.advance();
        }
        Poll::Ready(Ok(()))
    }

    /// Reads from the client, unless enough is kept already.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Polled<()> {
        let Some(room) = self.machine.room() else { return Poll::Pending };
        room.reserve(READ);
        let read = pin!(self.client.read_buf(room)).poll(cx)?;
        if room.is_empty() {
            // An empty buffer owns memory, too, for as long as the connection is idle.
            *room = BytesMut::new();
        }
        if ready!(read) == 0 {
            self.end();
        } else {
            self.advance();
        }
        Poll::Ready(Ok(()))
    }

    /// The client has closed its side.
    fn end(&mut self) {
        self.client_ended = true;
        self.machine.go_blind();
        self.wake_controller();
    }

    fn advance(&mut self) {
        self.machine.advance();
        if self.closes || self.machine.ends() {
            self.wake_controller();
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Polled<usize> {
        while self.machine.is_full() {
            self.reader.get_or_insert_with(|| cx.waker().clone()).clone_from(cx.waker());
            ready!(self.poll_send(cx))?;
            // The library reads no more, but only the client can make room.
            if self.machine.is_full() {
                ready!(self.poll_fill(cx))?;
            }
        }
        if self.machine.sends(bufs) {
            self.unflushed = true;
            let sent = match Pin::new(&mut self.client).poll_write_vectored(cx, bufs)? {
                Poll::Ready(sent) => sent,
                Poll::Pending => 0,
            };
            let mut rest = sent;
            for bytes in bufs {
                let (_, unsent) = bytes.split_at(rest.min(bytes.len()));
                rest = rest.saturating_sub(bytes.len());
                self.machine.to_client.extend_from_slice(unsent);
            }
        } else {
            for bytes in bufs {
                self.machine.write(bytes);
            }
        }
        if !self.machine.to_library.is_empty() {
            self.wake_reader();
        }
        let _ = self.poll_send(cx)?;
        if self.machine.ends() {
            self.wake_controller();
        }
        Poll::Ready(Ok(bufs.iter().map(|bytes| bytes.len()).sum()))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Polled<()> {
        let bytes = &mut self.machine.to_client;
        if bytes.is_empty() && !self.unflushed {
            return Poll::Ready(Ok(()));
        }
        self.unflushed = true;
        while !bytes.is_empty() {
            match ready!(Pin::new(&mut self.client).poll_write(cx, bytes))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => bytes.advance(written),
            }
        }
        *bytes = BytesMut::new();
        ready!(Pin::new(&mut self.client).poll_flush(cx))?;
        self.unflushed = false;
        self.wake_controller();
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Gate {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Polled<()> {
        lock(&self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Gate {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Polled<usize> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Polled<usize> {
        let shared = &mut *lock(&self.0);
        if shared.taken {
            return Poll::Ready(Ok(bufs.iter().map(|bytes| bytes.len()).sum()));
        }
        shared.poll_write(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<()> {
        let shared = &mut *lock(&self.0);
        if shared.taken { Poll::Ready(Ok(())) } else { shared.poll_send(cx) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<()> {
        let shared = &mut *lock(&self.0);
        if shared.taken {
            return Poll::Ready(Ok(()));
        }
        ready!(shared.poll_send(cx))?;
        shared.ended = true;
        shared.wake_controller();
        Pin::new(&mut shared.client).poll_shutdown(cx)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let mut shared = lock(&self.0);
        shared.ended = true;
        shared.wake_controller();
        if !shared.taken {
            // The end of the connection, although the server still has its side.
            let client = shared.leave_client();
            drop(shared);
            drop(client);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{DuplexStream, duplex};
    use tokio::time::{sleep, timeout};

    use super::super::frame::{ACK, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, SETTINGS, frame};

    use super::*;

    async fn say(to: &mut (impl AsyncWrite + Unpin), frames: &[Vec<u8>]) {
        to.write_all(&frames.concat()).await.expect("it is connected");
        to.flush().await.expect("it is connected");
    }

    async fn hear(library: &mut Gate) -> Vec<u8> {
        let mut heard = vec![0; 1000];
        let length = timeout(Duration::from_secs(1), library.read(&mut heard)).await.expect("it is given something");
        heard.truncate(length.expect("it is connected"));
        heard
    }

    /// A client that has asked on stream 1, and the library, which has been given that.
    async fn asked() -> (DuplexStream, Gate, Control) {
        let (mut client, server) = duplex(1000);
        let (mut library, control) = gate(Box::new(server), Machine::fresh());
        say(&mut client, &[PREFACE.to_vec(), frame(SETTINGS, 0, 0, &[])]).await;
        hear(&mut library).await;
        say(&mut library, &[frame(SETTINGS, 0, 0, &[]), frame(SETTINGS, ACK, 0, &[])]).await;
        let request = frame(HEADERS, END_HEADERS | END_STREAM, 1, b"block");
        say(&mut client, &[frame(SETTINGS, ACK, 0, &[]), request]).await;
        hear(&mut library).await;
        (client, library, control)
    }

    /// The library of another server runs beside the task that takes the connection.
    #[tokio::test(start_paused = true)]
    async fn what_is_given_something_after_it_was_quiet_is_not_taken_and_not_held() {
        let (mut client, mut library, control) = asked().await;
        let answer = async {
            // By then, new streams are held.
            sleep(WAIT + HOLD / 2).await;
            say(&mut library, &[frame(HEADERS, END_HEADERS | END_STREAM, 1, b"block")]).await;
            let more = timeout(Duration::from_millis(1), library.read(&mut [0; 1000])).await;
            more.expect_err("the client says nothing");
        };
        let (quiet, ()) = tokio::join!(control.quiet(), answer);
        assert!(quiet);
        say(&mut client, &[frame(PING, 0, 0, &[1; 8])]).await;
        assert_eq!(hear(&mut library).await, frame(PING, 0, 0, &[1; 8]));
        assert!(control.take().is_none());
        let request = frame(HEADERS, END_HEADERS | END_STREAM, 3, b"block");
        say(&mut client, std::slice::from_ref(&request)).await;
        assert_eq!(hear(&mut library).await, request);
    }
}
