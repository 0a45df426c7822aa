//! The gate: a transport between the kernel and the HTTP library that sees, on the wire alone, where messages begin and end.
//!
//! The invariant: a socket that is [taken](Control::take) owes its client nothing, and comes with every byte that was
//! read from it and not answered. So the process that adopts both goes on as if nothing had happened.
//!
//! The library reads and writes through its [`Gate`] as through the socket itself; its service needs no wrapper and its bodies no
//! guard. The server holds a [`Control`] beside it.
#![allow(clippy::must_use_candidate, clippy::struct_excessive_bools)]

mod body;
mod head;
mod messages;

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::{MaybeUninit, take};
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::{unconstrained, yield_now};
use tokio::time::{Instant, Sleep, sleep};

use head::Head;
use messages::{Messages, is_blank};

/// How long a close waits for the client to close its side, too. A client that has got an answer with `Connection: close`
/// does it within a round trip.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// How much is read at a time while a request may have to stay here: it goes to the successor with the socket.
const READ_AHEAD: usize = 8 * 1024;

/// What a client speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// It has not sent enough to tell.
    #[default]
    Undecided,
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2 with prior knowledge. The gate lets it pass.
    Http2,
    /// Another protocol, after a 101 or an accepted CONNECT. The gate lets it pass.
    Tunnel,
    /// HTTP/1 that the library may read differently from the gate. The connection works as if there were no gate, and
    /// is never quiet.
    Unsure,
}

/// The library's side of a connection.
pub struct Gate<S> {
    shared: Arc<Mutex<Shared<S>>>,
    /// Something was written since the last flush.
    unflushed: bool,
}

/// The server's side of a connection.
pub struct Control<S>(Arc<Mutex<Shared<S>>>);

type Polled<T> = Poll<io::Result<T>>;

trait Socket: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket for S {}

struct Shared<S> {
    /// Until it is taken or cut, or the library drops the gate.
    socket: Option<S>,
    state: State,
}

#[derive(Default)]
struct State {
    messages: Messages,
    /// Bytes from the client that the library has not been given.
    unreleased: BytesMut,
    /// The rewritten head of an answer, as far as it is still to be written.
    rewritten: Bytes,
    /// The client has closed its side.
    client_ended: bool,
    /// The library has closed our side.
    ended: bool,
    /// The library has asked for more since it was last given bytes: it has used up all of them but a half head.
    asked: bool,
    /// Part of a request's head has arrived, and no complete head since.
    in_head: bool,
    /// Since when we wait for the client: since the library used up all bytes, or since the first part of a head.
    since: Option<Instant>,
    /// The library waits for the gate, and not for the socket.
    parked: bool,
    /// What the library wrote may still be on its way to the socket.
    unflushed: bool,
    /// The runtime has looked for bytes from the client since this answer was ready.
    looked: bool,
    activity: u64,
    /// Whether a close waits for the client's; and, once it does, the timer.
    lingers: bool,
    linger: Option<Pin<Box<Sleep>>>,
    /// The library's task.
    reader: Option<Waker>,
    /// A task that waits until it can write. A cut has to wake it, as the socket will not.
    writer: Option<Waker>,
    /// See [`cut`](Control::cut).
    cut: bool,
    /// The task that waits for the connection to become quiet.
    controller: Option<Waker>,
    /// The task that waits for its end, and whether it knows that the connection passes.
    watcher: Option<(Waker, bool)>,
}

fn lock<S>(shared: &Mutex<Shared<S>>) -> MutexGuard<'_, Shared<S>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S> Gate<S> {
    /// A gate in front of a fresh connection.
    pub fn new(socket: S) -> Gate<S> {
        Gate::adopt(socket, Bytes::new())
    }

    /// A gate in front of a connection that was [taken](Control::take) from another gate: `bytes` are read first.
    pub fn adopt(socket: S, bytes: Bytes) -> Gate<S> {
        let state = State { unreleased: bytes.into(), ..State::default() };
        Gate { shared: Arc::new(Mutex::new(Shared { socket: Some(socket), state })), unflushed: false }
    }

    /// A gate in front of a connection that is known to speak HTTP/2 or to be a tunnel, and so passes.
    pub fn passing(socket: S, protocol: Protocol) -> Gate<S> {
        let gate = Gate::new(socket);
        lock(&gate.shared).state.messages.protocol = protocol;
        gate
    }

    /// Lets a close wait until the client has closed its side, too, for 2 s at most. Needs a tokio runtime.
    #[must_use]
    pub fn lingering(self) -> Gate<S> {
        lock(&self.shared).state.lingers = true;
        self
    }

    /// Waits until the client has sent enough to tell what it speaks. No library is needed until then, and the
    /// connection can be taken meanwhile. Cancel safe.
    pub async fn decide(&mut self) -> Protocol
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        poll_fn(|cx| {
            let Shared { socket, state } = &mut *lock(&self.shared);
            socket.as_mut().map_or(Poll::Ready(Protocol::Http1), |socket| state.poll_decide(socket, cx))
        })
        .await
    }

    /// The server's side of this gate.
    pub fn control(&self) -> Control<S> {
        Control(Arc::clone(&self.shared))
    }
}

impl<S> Drop for Gate<S> {
    fn drop(&mut self) {
        let mut shared = lock(&self.shared);
        let socket = shared.socket.take();
        shared.state.ended = true;
        shared.state.wake_controller();
        drop(shared);
        drop(socket);
    }
}

impl<S> Clone for Control<S> {
    fn clone(&self) -> Control<S> {
        Control(Arc::clone(&self.0))
    }
}

impl<S> Control<S> {
    /// From now on, the library gets no byte beyond the request that it is answering.
    pub fn hold(&self) {
        lock(&self.0).state.messages.held = true;
    }

    /// Ends [`hold`](Control::hold) and [`close_politely`](Control::close_politely), unless an answer has said `close`.
    pub fn release(&self) {
        let state = &mut lock(&self.0).state;
        if state.messages.held || state.messages.closing {
            state.messages.held = false;
            // A client that has read `close` waits for the end.
            state.messages.closing &= state.messages.last;
            state.wake_reader();
        }
    }

    /// From now on, requests go to the library one at a time, and the first answer behind which no further request waits
    /// says `Connection: close`. Once that answer is written, the library reads the end of the connection.
    ///
    /// A connection that stays silent stays open, and so does one whose [`protocol`](Control::protocol) is not HTTP/1.
    pub fn close_politely(&self) {
        lock(&self.0).state.messages.closing = true;
    }

    /// Whether the connection can be [taken](Control::take) now: all that was released is answered, and the answers are
    /// written and flushed.
    pub fn is_quiet(&self) -> bool {
        lock(&self.0).state.is_quiet()
    }

    /// Ready when it is quiet (`true`), or never will be (`false`): it has ended, an answer has said that it will, or
    /// its [`protocol`](Control::protocol) is not HTTP/1. One task can wait at a time.
    pub fn poll_quiet(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let state = &mut lock(&self.0).state;
        if state.is_quiet() || state.never_quiet() {
            return Poll::Ready(state.is_quiet());
        }
        state.controller = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Waits as [`poll_quiet`](Control::poll_quiet) does.
    pub async fn quiet(&self) -> bool {
        poll_fn(|cx| self.poll_quiet(cx)).await
    }

    /// Takes a quiet connection away from the library: the socket, and the bytes that were read of the client's next
    /// requests. `None` if it is not quiet.
    ///
    /// From now on, the library reads the end of the connection, and its writes are discarded. Drop it.
    pub fn take(&self) -> Option<(S, Bytes)> {
        let Shared { socket, state } = &mut *lock(&self.0);
        let socket = socket.take_if(|_| state.is_quiet())?;
        let bytes = [state.messages.unfinished(), &take(&mut state.unreleased)].concat();
        state.ended = true;
        state.wake_reader();
        Some((socket, bytes.into()))
    }

    /// As [`take`](Control::take), for an HTTP/2 connection or a tunnel: not this gate says when.
    pub fn take_passing(&self) -> Option<(S, Bytes)> {
        let passes = |protocol| matches!(protocol, Protocol::Http2 | Protocol::Tunnel);
        let Shared { socket, state } = &mut *lock(&self.0);
        let socket = socket.take_if(|_| !state.ended && passes(state.messages.protocol))?;
        state.ended = true;
        state.wake_reader();
        Some((socket, take(&mut state.unreleased).freeze()))
    }

    /// Closes the socket, whatever is under way. The library, or the handler that has a tunnel, reads the end of it, and cannot
    /// write any more.
    pub fn cut(&self) {
        let Shared { socket, state } = &mut *lock(&self.0);
        drop(socket.take());
        (state.ended, state.cut) = (true, true);
        state.wake_reader();
        state.writer.take().into_iter().for_each(Waker::wake);
    }

    /// Waits until the socket is closed or taken. One task can wait at a time. It is woken, too, when the connection begins to
    /// [pass](Control::passes).
    pub async fn closed(&self) {
        poll_fn(|cx| {
            let Shared { socket, state } = &mut *lock(&self.0);
            if socket.is_none() {
                return Poll::Ready(());
            }
            state.watcher = Some((cx.waker().clone(), state.messages.is_blind()));
            Poll::Pending
        })
        .await;
    }

    /// Whether the library has closed the connection, which may still wait for the client to close it, too; or has it no more.
    pub fn has_ended(&self) -> bool {
        lock(&self.0).state.ended
    }

    /// Whether the gate lets the connection pass, because its [`protocol`](Control::protocol) is not HTTP/1.
    pub fn passes(&self) -> bool {
        lock(&self.0).state.messages.is_blind()
    }

    /// Since when a [quiet](Control::is_quiet) connection has waited for its client: for the next request, or (`true`)
    /// for the rest of a head.
    pub fn waits_since(&self) -> Option<(Instant, bool)> {
        let state = &lock(&self.0).state;
        state.since.filter(|_| state.is_quiet()).map(|since| (since, state.in_head))
    }

    /// Whether the client has sent something that was not read. This asks the kernel: the runtime may not know yet.
    pub fn has_unread(&self) -> bool
    where
        S: AsFd,
    {
        let peek = |socket: &S| SockRef::from(socket).peek(&mut [MaybeUninit::uninit()]);
        lock(&self.0).socket.as_ref().is_some_and(|socket| peek(socket).is_ok_and(|length| length > 0))
    }

    /// Requests that the library was given and whose answers are not written and flushed to the last byte. On an
    /// [unsure](Protocol::Unsure) connection: their number at the last byte that was framed.
    pub fn owed(&self) -> usize {
        let state = &lock(&self.0).state;
        state.messages.owed().max(usize::from(state.unflushed))
    }

    /// Whether a part of another request has arrived: more than empty lines.
    pub fn half_head(&self) -> bool {
        let state = &lock(&self.0).state;
        !state.messages.is_blind() && (state.messages.half_head() || !is_blank(&state.unreleased))
    }

    /// What the client speaks.
    pub fn protocol(&self) -> Protocol {
        lock(&self.0).state.messages.protocol
    }

    /// Whether the client speaks another protocol now, after a 101 or an accepted CONNECT.
    pub fn is_tunnel(&self) -> bool {
        self.protocol() == Protocol::Tunnel
    }

    /// Whether the client has sent what the library may read differently from the gate.
    pub fn is_unsure(&self) -> bool {
        self.protocol() == Protocol::Unsure
    }

    /// A number that changes with every byte, in either direction.
    pub fn activity(&self) -> u64 {
        lock(&self.0).state.activity
    }
}

impl State {
    fn is_quiet(&self) -> bool {
        self.asked && !self.unflushed && self.messages.is_between() && !self.never_quiet()
    }

    fn never_quiet(&self) -> bool {
        self.ended || self.messages.last || self.messages.is_blind()
    }

    fn wake_controller(&mut self) {
        if self.controller.is_some() && (self.is_quiet() || self.never_quiet()) {
            self.controller.take().into_iter().for_each(Waker::wake);
        }
        if let Some((watcher, _)) = self.watcher.take_if(|(_, knows)| self.ended || !*knows && self.messages.is_blind())
        {
            watcher.wake();
        }
    }

    fn wake_reader(&mut self) {
        self.parked = false;
        self.reader.take().into_iter().for_each(Waker::wake);
    }

    /// The library waits for more.
    #[inline]
    fn park(&mut self, cx: &Context<'_>) -> Polled<()> {
        let in_head = self.messages.half_head() || !is_blank(&self.unreleased);
        if in_head != self.in_head || self.since.is_none() {
            (self.in_head, self.since) = (in_head, Some(Instant::now()));
        }
        self.asked = true;
        self.reader.get_or_insert_with(|| cx.waker().clone()).clone_from(cx.waker());
        self.wake_controller();
        Poll::Pending
    }

    /// Whether every byte that arrives goes straight to the library.
    fn is_open(&self) -> bool {
        let held = self.messages.held || self.messages.closing || !self.unreleased.is_empty();
        !held && !self.client_ended && self.messages.protocol != Protocol::Undecided
    }

    #[inline]
    fn release(&mut self, bytes: &[u8]) -> usize {
        let owed = self.messages.owed();
        let released = self.messages.release(bytes);
        if self.messages.owed() != owed {
            // A head is complete, and the next one has a clock of its own. Empty lines alone leave the clock as it is.
            (self.in_head, self.since) = (false, None);
        }
        released
    }

    fn poll_decide(&mut self, socket: &mut impl Socket, cx: &mut Context<'_>) -> Poll<Protocol> {
        loop {
            self.messages.decide(&self.unreleased, self.client_ended);
            if self.messages.protocol != Protocol::Undecided {
                // What has arrived is the library's now, although it has not asked yet.
                self.asked = false;
                return Poll::Ready(self.messages.protocol);
            }
            match self.poll_read_ahead(socket, cx) {
                Poll::Pending => {
                    let _ = self.park(cx);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(())) => {}
                // The library will meet the error, too.
                Poll::Ready(Err(_)) => self.client_ended = true,
            }
        }
    }

    fn poll_read(&mut self, socket: &mut impl Socket, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Polled<()> {
        let before = buf.filled().len();
        while self.is_open() {
            if Pin::new(&mut *socket).poll_read(cx, buf)?.is_pending() {
                return self.park(cx);
            }
            let new = &buf.filled()[before..];
            if !new.is_empty() || buf.remaining() == 0 {
                self.activity += new.len() as u64;
                self.asked = false;
                self.release(new);
                return Poll::Ready(Ok(()));
            }
            self.client_ended = true;
        }
        self.poll_read_held(socket, cx, buf)
    }

    #[cold]
    fn poll_read_held(&mut self, socket: &mut impl Socket, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Polled<()> {
        loop {
            self.messages.decide(&self.unreleased, self.client_ended);
            let decided = self.messages.protocol != Protocol::Undecided;
            let room = if decided { buf.remaining().min(self.unreleased.len()) } else { 0 };
            let unreleased = take(&mut self.unreleased);
            let released = self.release(&unreleased[..room]);
            self.unreleased = unreleased;
            if released > 0 || buf.remaining() == 0 {
                self.asked = false;
                buf.put_slice(&self.unreleased.split_to(released));
                if self.unreleased.is_empty() {
                    // An empty buffer may still own memory, for as long as the connection lasts.
                    self.unreleased = BytesMut::new();
                }
                return Poll::Ready(Ok(()));
            }
            if self.client_ended || !self.messages.admits() {
                let last = self.messages.closing && self.messages.last;
                let ends = last || self.client_ended && self.unreleased.is_empty();
                let owes = self.unflushed || self.messages.owed() > 0;
                if ends && (!owes || self.messages.is_in_body() || self.messages.is_blind()) {
                    return Poll::Ready(Ok(()));
                }
                self.parked = true;
                return self.park(cx);
            }
            if self.poll_read_ahead(socket, cx)?.is_pending() {
                return self.park(cx);
            }
        }
    }

    /// Reads bytes that stay here for now.
    fn poll_read_ahead(&mut self, socket: &mut impl Socket, cx: &mut Context<'_>) -> Polled<()> {
        // Not zeroed: that would cost more than the rest of a short read.
        let mut bytes = [MaybeUninit::uninit(); READ_AHEAD];
        let mut bytes = ReadBuf::uninit(&mut bytes);
        ready!(Pin::new(socket).poll_read(cx, &mut bytes))?;
        self.activity += bytes.filled().len() as u64;
        self.client_ended = bytes.filled().is_empty();
        self.unreleased.extend_from_slice(bytes.filled());
        Poll::Ready(Ok(()))
    }

    fn poll_write(&mut self, socket: &mut impl Socket, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Polled<usize> {
        if !self.rewritten.is_empty() {
            ready!(self.poll_flush(socket, cx))?;
        }
        if self.messages.closing
            && self.messages.answer_begins()
            && let Some((length, head)) =
                bufs.iter().find(|bytes| !bytes.is_empty()).and_then(|bytes| Head::closing(bytes))
            && ready!(self.poll_is_last(socket, cx))
        {
            self.unflushed = true;
            self.messages.sent(&[IoSlice::new(&head)], head.len());
            self.rewritten = head.into();
            return Poll::Ready(Ok(length));
        }
        let Poll::Ready(written) = Pin::new(socket).poll_write_vectored(cx, bufs) else {
            self.writer = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let written = written?;
        self.activity += written as u64;
        self.unflushed = true;
        self.messages.sent(bufs, written);
        Poll::Ready(Ok(written))
    }

    /// Whether the answer that is about to begin should be the last one: nothing of another request has arrived.
    fn poll_is_last(&mut self, socket: &mut impl Socket, cx: &mut Context<'_>) -> Poll<bool> {
        // The runtime may not know yet what has arrived in the kernel. Let it look.
        if !take(&mut self.looked) {
            self.looked = true;
            let _ = pin!(yield_now()).poll(cx);
            return Poll::Pending;
        }
        if self.unreleased.len() < READ_AHEAD {
            let _ = pin!(unconstrained(poll_fn(|cx| self.poll_read_ahead(socket, cx)))).poll(cx);
            // The socket wakes one task only, and that must be the one that reads.
            self.wake_reader();
        }
        Poll::Ready(self.messages.may_end(&self.unreleased))
    }

    /// Closes our side, and reads on until the client closes its own (RFC 9112, section 9.6).
    ///
    /// A close with unread bytes makes our kernel send RST and discard what it has not sent yet; and the RST may make
    /// the client's kernel discard what the client has not read yet.
    fn poll_shutdown(&mut self, socket: &mut impl Socket, cx: &mut Context<'_>) -> Polled<()> {
        if self.linger.is_none() {
            ready!(self.poll_flush(socket, cx))?;
            ready!(Pin::new(&mut *socket).poll_shutdown(cx))?;
        }
        // In a tunnel, the handler may want to read on.
        if !self.lingers || self.messages.protocol == Protocol::Tunnel {
            return Poll::Ready(Ok(()));
        }
        let mut unwanted = [0; 1024];
        while !self.client_ended {
            if self.linger.get_or_insert_with(|| Box::pin(sleep(LINGER_TIMEOUT))).as_mut().poll(cx).is_ready() {
                break;
            }
            let mut unwanted = ReadBuf::new(&mut unwanted);
            ready!(Pin::new(&mut *socket).poll_read(cx, &mut unwanted))?;
            self.client_ended = unwanted.filled().is_empty();
        }
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn poll_flush(&mut self, socket: &mut impl Socket, cx: &mut Context<'_>) -> Polled<()> {
        while !self.rewritten.is_empty() {
            match ready!(Pin::new(&mut *socket).poll_write(cx, &self.rewritten))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.rewritten.advance(written),
            }
        }
        let Poll::Ready(flushed) = Pin::new(socket).poll_flush(cx) else {
            self.writer = Some(cx.waker().clone());
            return Poll::Pending;
        };
        flushed?;
        self.unflushed = false;
        if self.asked && !self.in_head {
            // Until now, the client has waited for us, and not we for the client.
            self.since = Some(Instant::now());
        }
        if self.parked {
            self.wake_reader();
        }
        self.wake_controller();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gate<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Polled<()> {
        let Shared { socket, state } = &mut *lock(&self.shared);
        socket.as_mut().map_or(Poll::Ready(Ok(())), |socket| state.poll_read(socket, cx, buf))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Gate<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Polled<usize> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Polled<usize> {
        let Gate { shared, unflushed } = &mut *self;
        let Shared { socket, state } = &mut *lock(shared);
        if state.cut {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let Some(socket) = socket else { return Poll::Ready(Ok(bufs.iter().map(|bytes| bytes.len()).sum())) };
        let written = ready!(state.poll_write(socket, cx, bufs))?;
        *unflushed = state.poll_flush(socket, cx)?.is_pending();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        lock(&self.shared).socket.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<()> {
        if !self.unflushed {
            return Poll::Ready(Ok(()));
        }
        let Gate { shared, unflushed } = &mut *self;
        let Shared { socket, state } = &mut *lock(shared);
        ready!(socket.as_mut().map_or(Poll::Ready(Ok(())), |socket| state.poll_flush(socket, cx)))?;
        *unflushed = false;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<()> {
        let Shared { socket, state } = &mut *lock(&self.shared);
        let Some(socket) = socket else { return Poll::Ready(Ok(())) };
        if !state.ended {
            state.ended = true;
            state.wake_controller();
        }
        state.poll_shutdown(socket, cx)
    }
}
