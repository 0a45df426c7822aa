//! Taking connections from a listener.
//!
//! The invariant: no error ends the loop and none makes it spin; and when a server stops for good, the connections that
//! wait in the queue are taken, not reset.

use std::io;
use std::time::Duration;

use nix::errno::Errno;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::yield_now;
use tokio_util::either::Either;

use crate::address::{Listener, SocketFile};
use crate::phase::{Draining, Phase};
use crate::transport::Stream;

// ANCHOR: acceptor
/// The first and the longest pause after an error that only time, or closing something, can mend. Go's net/http has the
/// same two: too short for a client to feel, long enough not to keep a processor busy.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

/// Connections that are taken from a queue before others get a turn. What tokio lets a task do at a stretch, too.
const AT_A_TIME: u32 = 128;

/// A listener that the runtime waits on.
pub(crate) struct Acceptor {
    listener: Either<TcpListener, UnixListener>,
    /// Removed when we stop for good. Before the queue is emptied: a client that finds no file does not connect.
    file: Option<SocketFile>,
}
// ANCHOR_END: acceptor

impl Acceptor {
    /// # Errors
    /// What epoll_ctl(2) says.
    pub(crate) fn new(listener: Listener) -> io::Result<Acceptor> {
        Ok(match listener {
            Listener::Tcp(listener) => {
                Acceptor { listener: Either::Left(TcpListener::from_std(listener)?), file: None }
            }
            Listener::Unix(listener, file) => {
                Acceptor { listener: Either::Right(UnixListener::from_std(listener)?), file }
            }
        })
    }

    // ANCHOR: run
    /// Hands every connection to `take`, until a drain begins.
    pub(crate) async fn run(self, draining: Draining, take: impl Fn(Stream)) {
        let mut pause = PAUSES.0;
        loop {
            tokio::select! {
                biased;
                () = draining.begun() => break,
                accepted = self.accept() => match accepted {
                    Ok(stream) => {
                        pause = PAUSES.0;
                        take(stream);
                        continue;
                    }
                    Err(error) if passes(&error) => continue,
                    Err(error) => tracing::warn!(%error, ?pause, "cannot accept"),
                },
            }
            tokio::select! {
                () = draining.begun() => break,
                () = tokio::time::sleep(pause) => pause = (2 * pause).min(PAUSES.1),
            }
        }
        if draining.phase() == Phase::Stopping {
            self.empty_the_queue(draining, take).await;
        }
    }
    // ANCHOR_END: run

    async fn accept(&self) -> io::Result<Stream> {
        match &self.listener {
            Either::Left(listener) => Ok(Either::Left(listener.accept().await?.0)),
            Either::Right(listener) => Ok(Either::Right(listener.accept().await?.0)),
        }
    }

    // ANCHOR: queue
    /// The kernel completes handshakes without asking us. A client in the queue is connected, may have sent a request,
    /// and would be reset by our close(2). What remains is the instant between the last accept(2) and the close(2): only
    /// a successor, or a load balancer that was told, takes that away.
    pub(crate) async fn empty_the_queue(self, draining: Draining, take: impl Fn(Stream)) {
        drop(self.file);
        // Straight from the kernel: what the runtime knows of the queue may be older.
        let next: Box<dyn Fn() -> io::Result<Stream> + Send> = match self.listener {
            Either::Left(listener) => {
                let Ok(listener) = listener.into_std() else { return };
                Box::new(move || {
                    let (stream, _) = listener.accept()?;
                    stream.set_nonblocking(true)?;
                    Ok(Either::Left(TcpStream::from_std(stream)?))
                })
            }
            Either::Right(listener) => {
                let Ok(listener) = listener.into_std() else { return };
                Box::new(move || {
                    let (stream, _) = listener.accept()?;
                    stream.set_nonblocking(true)?;
                    Ok(Either::Right(UnixStream::from_std(stream)?))
                })
            }
        };
        let mut taken = 0_u32;
        while draining.phase() != Phase::Cut {
            match next() {
                Ok(stream) => {
                    take(stream);
                    taken += 1;
                    // There may be no end of them, and those that were taken want to be served.
                    if taken.is_multiple_of(AT_A_TIME) {
                        yield_now().await;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if passes(&error) => {}
                Err(_) => tokio::select! {
                    () = draining.cut() => return,
                    () = tokio::time::sleep(PAUSES.0) => {}
                },
            }
        }
    }
    // ANCHOR_END: queue
}

// ANCHOR: passes
/// Whether an error of accept(2) is about one connection, or about the network below it, and not about us: the next call
/// may well succeed. The list is the one in the manual page's section "Error handling".
fn passes(error: &io::Error) -> bool {
    matches!(
        Errno::from_raw(error.raw_os_error().unwrap_or_default()),
        Errno::ECONNABORTED
            | Errno::EINTR
            | Errno::ENETDOWN
            | Errno::EPROTO
            | Errno::ENOPROTOOPT
            | Errno::EHOSTDOWN
            | Errno::ENONET
            | Errno::EHOSTUNREACH
            | Errno::EOPNOTSUPP
            | Errno::ENETUNREACH
    )
}
// ANCHOR_END: passes
