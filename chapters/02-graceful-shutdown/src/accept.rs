//! Taking connections from a listener.
//!
//! The invariant: no error ends the loop and none makes it spin; and when a server stops for good, the connections that
//! wait in the queue are taken, not reset.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::coop::consume_budget;
use tokio::time::sleep;
use tokio_util::either::Either;

use crate::address::{Address, Listener};
use crate::client::ClientAddress;
use crate::socket_file::SocketFile;

/// An accepted connection.
pub type Stream = Either<TcpStream, UnixStream>;

/// The first and the longest pause after an error of accept(2): most often descriptors have run out, and only time helps.
/// Go's net/http has the same two: too short for a client to notice, long enough not to keep a core busy.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

/// A listener that the runtime waits on.
pub struct Acceptor {
    /// Dropped first.
    file: Option<SocketFile>,
    listener: Either<TcpListener, UnixListener>,
}

impl Acceptor {
    /// # Errors
    /// If epoll_ctl(2) fails.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(mut listener: Listener) -> io::Result<Acceptor> {
        let (address, file) = (listener.address()?, listener.take_file());
        let socket = OwnedFd::from(listener);
        let listener = match address {
            Address::Tcp(_) => Either::Left(TcpListener::from_std(socket.into())?),
            Address::Unix(_) => Either::Right(UnixListener::from_std(socket.into())?),
        };
        Ok(Acceptor { file, listener })
    }

    // ANCHOR: run
    /// Hands every connection to `take` until `drain` completes, then returns the acceptor.
    pub async fn run(self, drain: impl Future, take: &impl Fn(Stream, ClientAddress)) -> Acceptor {
        let mut drain = pin!(drain);
        let mut pause = PAUSES.0;
        loop {
            let accepted = tokio::select! {
                biased;
                _ = &mut drain => return self,
                accepted = self.accept() => accepted,
            };
            match accepted {
                Ok((stream, client)) => {
                    pause = PAUSES.0;
                    take(stream, client);
                }
                Err(error) => {
                    tracing::warn!(%error, ?pause, "cannot accept");
                    tokio::select! {
                        _ = &mut drain => return self,
                        () = sleep(pause) => pause = (2 * pause).min(PAUSES.1),
                    }
                }
            }
        }
    }
    // ANCHOR_END: run

    /// Hands the connections in the accept queue to `take` while `go_on` is true, then closes the listener. The file of
    /// a unix socket is removed first: a client that finds no file does not connect.
    pub async fn empty_queue(mut self, go_on: impl Fn() -> bool, take: &impl Fn(Stream, ClientAddress)) {
        drop(self.file.take());
        while go_on() {
            match self.next_in_queue() {
                Ok((stream, client)) => take(stream, client),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => sleep(PAUSES.0).await,
            }
            // New ones may keep coming, and those that were taken must be served, too.
            consume_budget().await;
        }
    }

    async fn accept(&self) -> io::Result<(Stream, ClientAddress)> {
        Ok(match &self.listener {
            Either::Left(listener) => {
                let (stream, client) = listener.accept().await?;
                (Either::Left(stream), ClientAddress(Some(client)))
            }
            Either::Right(listener) => (Either::Right(listener.accept().await?.0), ClientAddress(None)),
        })
    }

    /// Takes the next connection without waiting, straight from the kernel: what the runtime knows may be out of date.
    ///
    /// The kernel completes handshakes without asking us. A client in the queue is connected, may have sent a request, and
    /// would be reset by our close(2).
    fn next_in_queue(&self) -> io::Result<(Stream, ClientAddress)> {
        let (socket, client) = match &self.listener {
            Either::Left(listener) => SockRef::from(listener).accept()?,
            Either::Right(listener) => SockRef::from(listener).accept()?,
        };
        socket.set_nonblocking(true)?;
        let stream = match &self.listener {
            Either::Left(_) => Either::Left(TcpStream::from_std(socket.into())?),
            Either::Right(_) => Either::Right(UnixStream::from_std(socket.into())?),
        };
        Ok((stream, ClientAddress(client.as_socket())))
    }
}
