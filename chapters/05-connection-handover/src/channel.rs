//! The channel between two generations over which connections go.
//!
//! The invariant: a message arrives whole or not at all, in the order in which it was sent, and a descriptor that comes
//! with it has an owner, and CLOEXEC, from the first moment.
//!
//! It is a `SOCK_SEQPACKET` pair, as the channel for words is. A descriptor travels as `SCM_RIGHTS` (unix(7)): the kernel
//! gives the receiver another descriptor of the same open socket, with everything that belongs to it: the connection, what
//! waits in its queues, `O_NONBLOCK`, `TCP_NODELAY`.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram as StdSocket;
use std::time::{Duration, Instant};

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    Shutdown, recv, recvmsg, send, sendmsg, shutdown,
};
use tokio::io::Interest;
use tokio::net::UnixDatagram;

/// The most descriptors that go with a message. The kernel would take 253 (unix(7)).
pub(crate) const MOST: usize = 64;

const SPACE: usize = rustix::cmsg_space!(ScmRights(MOST));

// ANCHOR: old_end
/// The old process's end, in a thread that waits in its system calls.
#[derive(Debug)]
pub(crate) struct OldEnd(StdSocket);

impl OldEnd {
    /// # Errors
    /// What fcntl(2) says.
    pub(crate) fn new(end: OwnedFd) -> io::Result<OldEnd> {
        let socket = StdSocket::from(end);
        socket.set_nonblocking(false)?;
        Ok(OldEnd(socket))
    }

    /// Sends a message, with [`MOST`] sockets at the most, as soon as there is room for it: what has not been received yet
    /// counts against the send buffer (`net.core.wmem_default`, socket(7)).
    ///
    /// # Errors
    /// If the other end is gone; `WouldBlock` if there was no room until `deadline`.
    pub(crate) fn send(&self, message: &[u8], sockets: &[BorrowedFd<'_>], deadline: Instant) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); SPACE];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !sockets.is_empty() && !control.push(SendAncillaryMessage::ScmRights(sockets)) {
            return Err(io::ErrorKind::ArgumentListTooLong.into());
        }
        self.0.set_write_timeout(Some(until(deadline)?))?;
        // Our server's signals may come to this thread, too, and a call with a timeout is not restarted (signal(7)).
        retry_on_intr(|| sendmsg(&self.0, &[IoSlice::new(message)], &mut control, SendFlags::NOSIGNAL))?;
        Ok(())
    }

    /// Receives a message into `room`: its length, 0 if the other end is gone.
    ///
    /// # Errors
    /// `WouldBlock` if none came until `deadline`, and what else recv(2) says.
    pub(crate) fn receive(&self, room: &mut [u8], deadline: Instant) -> io::Result<usize> {
        self.0.set_read_timeout(Some(until(deadline)?))?;
        loop {
            match retry_on_intr(|| recv(&self.0, &mut *room, RecvFlags::empty())) {
                // It is gone and has not heard us out. What it said before can still be heard.
                Err(Errno::CONNRESET) => {}
                received => return Ok(received?.0),
            }
        }
    }

    /// Ends the channel in both directions. What waits at this end can still be received; whatever the other end sends
    /// from now on fails.
    pub(crate) fn break_off(&self) {
        // `Err` only if the other end is gone.
        let _ = shutdown(&self.0, Shutdown::Both);
    }
}

/// The time that is left.
fn until(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    // To setsockopt(2), no time is all the time in the world.
    if left.is_zero() { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(left) }
}
// ANCHOR_END: old_end

// ANCHOR: new_end
/// The new process's end, in a task: its threads serve. Tokio's datagram socket only waits until it is readable or writable,
/// which is the same for `SOCK_SEQPACKET`.
#[derive(Debug)]
pub(crate) struct NewEnd(UnixDatagram);

impl NewEnd {
    /// # Errors
    /// What epoll_ctl(2) says.
    pub(crate) fn new(end: OwnedFd) -> io::Result<NewEnd> {
        let socket = StdSocket::from(end);
        socket.set_nonblocking(true)?;
        Ok(NewEnd(UnixDatagram::from_std(socket)?))
    }

    /// Receives a message into `room`: its length, 0 if the other end is gone, and the descriptors that came with it.
    ///
    /// The last of them are missing if this process has reached its descriptor limit: the kernel has nowhere to put them
    /// then, and drops them.
    ///
    /// # Errors
    /// What recvmsg(2) says.
    pub(crate) async fn receive(&self, room: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        let mut receive = || {
            let mut space = [MaybeUninit::uninit(); SPACE];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let received = recvmsg(&self.0, &mut [IoSliceMut::new(room)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
            let sockets = control.drain().filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
                _ => None,
            });
            Ok((received.bytes, sockets.flatten().collect()))
        };
        loop {
            match self.0.async_io(Interest::READABLE, &mut receive).await {
                // As above.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
                received => return received,
            }
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// If the other end is gone.
    pub(crate) async fn send(&self, message: &[u8]) -> io::Result<()> {
        let send = || send(&self.0, message, SendFlags::NOSIGNAL).map_err(io::Error::from);
        self.0.async_io(Interest::WRITABLE, send).await?;
        Ok(())
    }
}
// ANCHOR_END: new_end

#[cfg(test)]
pub(crate) mod tests {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    /// A channel, by its ends.
    pub(crate) fn channel() -> (OldEnd, NewEnd) {
        let (old, new) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .expect("there are descriptors left");
        let old = OldEnd::new(old).expect("it is a socket");
        (old, NewEnd::new(new).expect("the runtime waits on it"))
    }
}
