//! One connection's socket, between the kernel and the gate.
//!
//! The invariant: as long as the socket is open here, the server counts it, whatever holds it: the HTTP library, a
//! handler that took the connection over, or a transfer. So a drain is over when the count is zero.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use graceful_shutdown::{Address, ClientAddress, Stream};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::either::Either;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::tls::{TlsOffer, TlsSocket, Wrap};

/// A counted socket.
pub(crate) struct Socket {
    /// As it is, or under a layer.
    stream: Either<Stream, Box<dyn TlsSocket>>,
    /// Its drop is what a drain waits for.
    _counted: TaskTrackerToken,
}

impl Socket {
    /// A connection that was just accepted.
    pub(crate) fn accepted(stream: Stream, counted: TaskTrackerToken) -> Socket {
        if let Either::Left(tcp) = &stream {
            // Answers are written whole; waiting for more to send with them (Nagle) only delays them. The option stays
            // with the socket, whichever process serves it later.
            let _ = tcp.set_nodelay(true);
        }
        Socket { stream: Either::Left(stream), _counted: counted }
    }

    /// A connection that another process had.
    ///
    /// # Errors
    /// If it is no socket, and what epoll_ctl(2) says.
    pub(crate) fn adopted(socket: OwnedFd, counted: TaskTrackerToken) -> io::Result<Socket> {
        // One of ours is. A read of one that is not would stop a thread of the runtime, and every connection on it.
        SockRef::from(&socket).set_nonblocking(true)?;
        let stream = match Address::of(&SockRef::from(&socket).local_addr()?) {
            Some(Address::Tcp(_)) => Either::Left(TcpStream::from_std(socket.into())?),
            _ => Either::Right(UnixStream::from_std(socket.into())?),
        };
        Ok(Socket { stream: Either::Left(stream), _counted: counted })
    }

    /// Puts a layer on it.
    pub(crate) fn wrap(self, wrap: Option<Wrap>) -> Socket {
        match (self.stream, wrap) {
            (Either::Left(stream), Some(wrap)) => Socket { stream: Either::Right(wrap(stream)), ..self },
            (stream, _) => Socket { stream, ..self },
        }
    }

    /// Waits until its layer, if it has one, has done its handshake.
    pub(crate) async fn handshake(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Either::Left(_) => Ok(()),
            Either::Right(layer) => poll_fn(|cx| layer.poll_handshake(cx)).await,
        }
    }

    /// Whether it has a layer.
    pub(crate) fn is_encrypted(&self) -> bool {
        matches!(self.stream, Either::Right(_))
    }

    /// Takes its layer off, if it has one. `Err`: not now.
    pub(crate) fn offer(self) -> Result<(Socket, Option<Box<TlsOffer>>), Socket> {
        let (stream, offer) = match self.stream {
            Either::Left(stream) => (stream, None),
            Either::Right(layer) => match layer.offer() {
                Ok((stream, offer)) => (stream, Some(Box::new(offer))),
                Err(layer) => return Err(Socket { stream: Either::Right(layer), ..self }),
            },
        };
        Ok((Socket { stream: Either::Left(stream), ..self }, offer))
    }

    /// The client's address, as the kernel has it: none any more if the client has just gone.
    pub(crate) fn client(&self) -> ClientAddress {
        ClientAddress(SockRef::from(self).peer_addr().ok().and_then(|address| address.as_socket()))
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        let stream = match &self.stream {
            Either::Left(stream) => stream,
            Either::Right(layer) => layer.socket(),
        };
        match stream {
            Either::Left(stream) => stream.as_fd(),
            Either::Right(stream) => stream.as_fd(),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::net::UnixStream as StdStream;

    use tokio::io::AsyncReadExt as _;
    use tokio_util::task::TaskTracker;

    use super::*;

    #[tokio::test]
    async fn a_socket_whose_reads_would_wait_is_adopted_as_one_whose_reads_do_not() {
        let (waits, mut client) = StdStream::pair().expect("there are descriptors left");
        let mut socket = Socket::adopted(waits.into(), TaskTracker::new().token()).expect("it is a socket");
        let mut bytes = [0];
        let read = socket.read(&mut bytes);
        let written = async { io::Write::write_all(&mut client, b"a").expect("it is taken") };
        let (read, ()) = tokio::join!(read, written);
        assert_eq!((read.expect("it is open"), bytes), (1, *b"a"));
    }

    #[tokio::test]
    async fn what_is_no_socket_is_not_adopted() {
        let null = File::open("/dev/null").expect("it is there");
        let adopted = Socket::adopted(null.into(), TaskTracker::new().token());
        assert!(adopted.is_err(), "no client is at its other end");
    }
}
