//! The channel over which a generation sends connections to the next one.
//!
//! The invariant: a message arrives whole or not at all, and in the order of sending; a descriptor that comes with it
//! has an owner and CLOEXEC from the first moment.
//!
//! It is a `SOCK_SEQPACKET` pair. A descriptor travels as `SCM_RIGHTS` (unix(7)): the kernel gives the receiver another
//! descriptor of the same open socket, with everything that belongs to it: the connection, what waits in its queues,
//! `O_NONBLOCK`, `TCP_NODELAY`.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram as StdSocket;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use tokio::io::Interest;
use tokio::net::UnixDatagram;

/// The most descriptors that go with a message. The kernel would take 253 (unix(7)).
pub(crate) const MOST: usize = 64;

const SPACE: usize = rustix::cmsg_space!(ScmRights(MOST));

/// One end. Tokio's datagram socket only waits for readiness here, which works the same for `SOCK_SEQPACKET`.
#[derive(Debug)]
pub(crate) struct Channel(UnixDatagram);

/// The two ends of a new channel.
///
/// # Errors
/// If the descriptor limit is reached.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

impl Channel {
    /// # Errors
    /// What fcntl(2) and epoll_ctl(2) say.
    pub(crate) fn new(end: OwnedFd) -> io::Result<Channel> {
        let socket = StdSocket::from(end);
        socket.set_nonblocking(true)?;
        Ok(Channel(UnixDatagram::from_std(socket)?))
    }

    /// Sends a message with at most [`MOST`] sockets, as soon as there is room for it: whatever the other end has not
    /// received yet counts against the send buffer (`net.core.wmem_default`, socket(7)).
    ///
    /// # Errors
    /// If the other end is gone, and what else sendmsg(2) says.
    pub(crate) async fn send(&self, message: &[u8], sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
        let send = || {
            let mut space = [MaybeUninit::uninit(); SPACE];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !sockets.is_empty() && !control.push(SendAncillaryMessage::ScmRights(sockets)) {
                return Err(io::ErrorKind::ArgumentListTooLong.into());
            }
            Ok(sendmsg(&self.0, &[IoSlice::new(message)], &mut control, SendFlags::NOSIGNAL)?)
        };
        self.0.async_io(Interest::WRITABLE, send).await?;
        Ok(())
    }

    /// Receives a message into `room`; returns its length, 0 if the other end is gone, and the descriptors that came
    /// with it. Cancel safe.
    ///
    /// The last of them are missing if this process has reached its descriptor limit: the kernel then has nowhere to
    /// put them, and drops them.
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
                // The other end is gone and left messages unread. What it sent before can still be received.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
                received => return received,
            }
        }
    }

    /// Ends the channel in both directions. What has arrived here can still be received; from now on, the other end's
    /// sends fail.
    pub(crate) fn break_off(&self) {
        // `Err` only if the other end is gone.
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }
}
