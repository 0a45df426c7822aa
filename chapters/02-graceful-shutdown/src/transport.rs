//! One accepted socket, between the kernel and hyper.
//!
//! The invariant: as long as the socket is open, the server counts it, whoever holds it: hyper, or the handler that
//! took it over with an upgrade. So a drain that has counted down to none is over.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use nix::sys::socket::{AddressFamily, MsgFlags, SockaddrLike as _, SockaddrStorage, getsockname, recv};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::coop::has_budget_remaining;
use tokio::time::{Sleep, sleep};
use tokio_util::either::Either;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::heir::Idle;
use crate::leave::PATIENCE;
use crate::phase::Phase;
use crate::traffic::Traffic;

/// What an HTTP/2 client with prior knowledge sends first (RFC 9113, section 3.4).
pub(crate) const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A TCP or unix stream.
pub(crate) type Stream = Either<TcpStream, UnixStream>;

/// One of the two directions of a connection.
#[derive(Clone, Copy)]
enum Half {
    Read,
    Write,
}

// ANCHOR: transport
/// A counted socket that notes its traffic.
pub(crate) struct Transport {
    stream: Stream,
    /// Bytes that were read from the stream and given back: they are read again first.
    replay: Bytes,
    /// The first bytes are still too few to tell HTTP/2 from HTTP/1.
    undecided: bool,
    /// See [`Transport::linger`].
    lingers: bool,
    /// What is left of it, once our end has been said.
    patience: Option<Pin<Box<Sleep>>>,
    entry: Entry,
    /// Wake the handler of an upgraded connection when the deadline passes; hyper's connections are cut from outside. One
    /// for each [`Half`]: a future wakes only the task that polled it last, and a handler may give each half to another.
    cut: [Option<Pin<Box<dyn Future<Output = ()> + Send>>>; 2],
}

/// A connection's entry in the books of the server. It must live exactly as long as the socket is open.
pub(crate) struct Entry {
    traffic: Arc<Traffic>,
    /// The drop of this token is what the drain waits for.
    _counted: TaskTrackerToken,
}
// ANCHOR_END: transport

impl Entry {
    pub(crate) fn new(traffic: Arc<Traffic>, counted: TaskTrackerToken) -> Entry {
        Entry { traffic, _counted: counted }
    }
}

impl Transport {
    pub(crate) fn new(stream: Stream, entry: Entry) -> Transport {
        let (replay, cut) = (Bytes::new(), [None, None]);
        Transport { stream, replay, undecided: true, lingers: false, patience: None, entry, cut }
    }

    // ANCHOR: idle
    /// A connection that somebody else had, for this runtime to wait on: what was read of it is read again first.
    ///
    /// # Errors
    /// What epoll_ctl(2) says.
    pub(crate) fn adopt(idle: Idle, entry: Entry) -> io::Result<Transport> {
        let address: SockaddrStorage = getsockname(idle.socket.as_raw_fd())?;
        let stream = if address.family() == Some(AddressFamily::Unix) {
            Either::Right(UnixStream::from_std(idle.socket.into())?)
        } else {
            Either::Left(TcpStream::from_std(idle.socket.into())?)
        };
        let mut transport = Transport::new(stream, entry);
        transport.unread(idle.unparsed);
        Ok(transport)
    }

    /// The connection as somebody else can take it: the runtime does not wait on it any more.
    ///
    /// # Errors
    /// What epoll_ctl(2) says.
    pub(crate) fn into_idle(self, listener: Arc<str>) -> io::Result<(Idle, Entry)> {
        let socket = match self.stream {
            Either::Left(stream) => stream.into_std()?.into(),
            Either::Right(stream) => stream.into_std()?.into(),
        };
        Ok((Idle { listener, socket, unparsed: self.replay }, self.entry))
    }
    // ANCHOR_END: idle

    /// Gives back bytes that were read and not used, before those that were given back and not read again.
    pub(crate) fn unread(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.replay =
                if self.replay.is_empty() { bytes } else { [bytes, self.replay.split_off(0)].concat().into() };
        }
        // Who reads again begins anew.
        self.undecided = self.replay.is_empty() || is_half_a_preface(&self.replay);
    }

    /// Bytes that were read from the stream, and not by hyper.
    pub(crate) fn unread_bytes(&self) -> &[u8] {
        &self.replay
    }

    /// Ready when there is something to read: bytes, or the client's end.
    pub(crate) async fn readable(&mut self) -> io::Result<()> {
        if !self.replay.is_empty() {
            return Ok(());
        }
        match &self.stream {
            Either::Left(stream) => stream.readable().await,
            Either::Right(stream) => stream.readable().await,
        }
    }

    // ANCHOR: peek
    /// Whether there are bytes that hyper has not seen: held back here, or still in the kernel.
    pub(crate) fn has_unread_bytes(&self) -> bool {
        if !self.replay.is_empty() {
            return true;
        }
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        recv(self.as_fd().as_raw_fd(), &mut [0], flags).is_ok_and(|bytes| bytes > 0)
    }
    // ANCHOR_END: peek

    // ANCHOR: close
    /// From now on the end of what is written here is not the end: the socket is open until the client has closed its side,
    /// too (RFC 9112, section 9.6), for [`PATIENCE`] at most.
    ///
    /// A close with unread bytes makes our kernel send RST and throw away what it has not sent yet, and RST may make the
    /// client's throw away what the client has not read yet (Linux does not). So say that no more will come, and read on.
    pub(crate) fn linger(&mut self) {
        self.lingers = true;
    }

    /// Ends a connection on which something was answered, without destroying the answer.
    pub(crate) async fn close(mut self) {
        self.linger();
        let draining = self.entry.traffic.draining.clone();
        // In any case the socket is closed now. Nobody is owed anything, so a deadline that passes here cuts nothing.
        tokio::select! {
            _ = self.shutdown() => {}
            () = draining.cut() => {}
        }
    }
    // ANCHOR_END: close
}

impl AsFd for Transport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.stream {
            Either::Left(stream) => stream.as_fd(),
            Either::Right(stream) => stream.as_fd(),
        }
    }
}

/// Prepares a socket that was accepted. What is set here stays with it, whoever serves it later.
pub(crate) fn prepare(stream: &Stream) {
    if let Either::Left(stream) = stream {
        // Answers are written whole; waiting for more to send with them (Nagle) only delays them.
        let _ = stream.set_nodelay(true);
    }
}

// ANCHOR: drop
impl Drop for Entry {
    fn drop(&mut self) {
        if self.traffic.is_upgraded() {
            let ledger = &self.traffic.ledger;
            match self.traffic.draining.phase() {
                Phase::Serving => 0,
                Phase::Retiring | Phase::HandingOver | Phase::Stopping => ledger.finished.fetch_add(1, Relaxed),
                Phase::Cut => ledger.cut.fetch_add(1, Relaxed),
            };
        }
    }
}
// ANCHOR_END: drop

impl AsyncRead for Transport {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check_not_cut(Half::Read, cx)?;
        if self.entry.traffic.holds_back() {
            // Whoever waits for the connection to leave wakes this task.
            return Poll::Pending;
        }
        let before = buf.filled().len();
        loop {
            if !self.undecided && !self.replay.is_empty() {
                let bytes = self.replay.len().min(buf.remaining());
                buf.put_slice(&self.replay[..bytes]);
                self.replay.advance(bytes);
            } else if Pin::new(&mut self.stream).poll_read(cx, buf)?.is_pending() {
                // Else it is tokio that wants others to have a turn, and says nothing about the socket.
                if has_budget_remaining() {
                    self.entry.traffic.read_nothing();
                }
                return Poll::Pending;
            }
            self.entry.traffic.read(buf.filled().len() - before);
            if !self.undecided {
                return Poll::Ready(Ok(()));
            }
            self.hold_back_half_a_preface(before, buf);
            if buf.filled().len() > before || self.entry.traffic.client_ended() && self.replay.is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl Transport {
    // ANCHOR: deadline
    /// Fails once the deadline has passed on an upgraded connection.
    fn check_not_cut(&mut self, half: Half, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.entry.traffic.is_upgraded() {
            return Ok(());
        }
        let draining = self.entry.traffic.draining.clone();
        let cut = self.cut[half as usize].get_or_insert_with(|| Box::pin(async move { draining.cut().await }));
        match cut.as_mut().poll(cx) {
            Poll::Ready(()) => {
                self.cut[half as usize] = None;
                Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the server's drain deadline has passed"))
            }
            Poll::Pending => Ok(()),
        }
    }
    // ANCHOR_END: deadline

    // ANCHOR: preface
    /// hyper tells the two protocols apart by the whole preface and takes half of it for a broken HTTP/1 request: so it
    /// gets to see the first bytes only once they cannot be half a preface.
    fn hold_back_half_a_preface(&mut self, before: usize, buf: &mut ReadBuf<'_>) {
        let new = &buf.filled()[before..];
        let ended = new.is_empty();
        if self.replay.is_empty() && !is_half_a_preface(new) {
            self.undecided = false;
            return;
        }
        let mut held = BytesMut::from(&self.replay[..]);
        held.extend_from_slice(new);
        buf.set_filled(before);
        self.undecided = is_half_a_preface(&held) && !ended;
        self.replay = held.freeze();
    }
    // ANCHOR_END: preface
}

fn is_half_a_preface(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.len() < H2_PREFACE.len() && H2_PREFACE.starts_with(bytes)
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check_not_cut(Half::Write, cx)?;
        self.entry.traffic.set_unflushed(true);
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_not_cut(Half::Write, cx)?;
        self.entry.traffic.set_unflushed(true);
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.entry.traffic.set_unflushed(false);
        Poll::Ready(Ok(()))
    }

    // ANCHOR: linger
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.patience.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        }
        if !self.lingers || self.entry.traffic.client_ended() {
            return Poll::Ready(Ok(()));
        }
        if self.patience.get_or_insert_with(|| Box::pin(sleep(PATIENCE))).as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let (mut unwanted, mut bytes) = ([0; 1024], 1);
        while bytes > 0 {
            let mut unwanted = ReadBuf::new(&mut unwanted);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut unwanted))?;
            bytes = unwanted.filled().len();
        }
        Poll::Ready(Ok(()))
    }
    // ANCHOR_END: linger
}
