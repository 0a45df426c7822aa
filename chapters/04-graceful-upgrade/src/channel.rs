//! What two generations tell each other, and how each learns that the other is gone.
//!
//! The invariant: the channel has exactly two ends, one in each generation. So its end of file means that the other
//! process is gone, for whatever reason, and no pid is needed to know that.
//!
//! It is a `SOCK_SEQPACKET` pair (unix(7)): connected, so that it ends, and with message boundaries, so that a message is
//! never half a message.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram as StdSocket;

use nix::sys::socket::{MsgFlags, recv, send};
use serde::{Deserialize, Serialize};
use tokio::net::UnixDatagram;

/// Room for the longest message that fits into the send buffer of a unix socket (`net.core.wmem_max`, socket(7)), and
/// so for some thousand names of listeners. The kernel truncates a longer one.
const LONGEST: usize = 212_992;

/// What a successor cannot find out about the unix sockets among its listeners.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Files {
    /// The files they were bound to (device and inode), by the inode of the socket: another version may give a socket
    /// another name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) ids: BTreeMap<u64, (u64, u64)>,
    /// Where relative paths begin, if there are any: the working directory of the first generation that had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) directory: Option<String>,
}

// ANCHOR: message
/// What one generation can tell the other. It travels as JSON, so that strace(1) shows it as text, and another version
/// may add what this one ignores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Message {
    /// To the successor, before it is even started: who it is.
    Handshake {
        /// Its generation.
        generation: u64,
        /// How many older generations are alive, the sender included.
        older: u8,
        /// The files of unix sockets that are the last generation's to remove.
        files: Files,
    },
    /// To the successor: this many older generations are alive now.
    Older(u8),
    /// To the predecessor: ready to accept.
    Ready {
        /// Listeners that were passed on, not asked for, and closed again.
        unused: BTreeSet<String>,
    },
    /// To the successor: I have stopped accepting; it is your turn.
    Activate,
    /// To the predecessor: I accept.
    Accepting,
    /// To the successor: I know that you accept. A stop that comes to me from now on is for me alone.
    Replaced,
    /// To the predecessor: do not come back for me.
    Committed,
    /// To the process in charge: I was asked to stop, and that was meant for you.
    Stop,
}
// ANCHOR_END: message

/// One end of the channel. Tokio's datagram socket only sends and receives, which is the same for `SOCK_SEQPACKET`.
#[derive(Debug)]
pub(crate) struct Channel(UnixDatagram);

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Channel {
    /// # Errors
    /// If epoll_ctl(2) fails.
    pub(crate) fn new(end: OwnedFd) -> io::Result<Channel> {
        let socket = StdSocket::from(end);
        socket.set_nonblocking(true)?;
        Ok(Channel(UnixDatagram::from_std(socket)?))
    }

    /// Sends a message. If no process is there to receive it, [`receive`](Self::receive) will return `None`.
    ///
    /// Never waits: the send buffer of the pair has room for hundreds of messages, and only a few are ever sent.
    pub(crate) fn send(&self, message: &Message) {
        if let Err(error) = send_now(&self.0, message) {
            tracing::debug!(%error, ?message, "not sent");
        }
    }

    /// The next message, or `None` if the other generation is gone.
    ///
    /// Cancel safe: no message is lost. An unknown message is ignored, since another version sent it.
    pub(crate) async fn receive(&self) -> Option<Message> {
        let mut text = vec![0; LONGEST];
        loop {
            let length = match self.0.recv(&mut text).await {
                // The other end is gone and left messages unread. What it sent before can still be received.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => continue,
                Ok(0) | Err(_) => return None,
                Ok(length) => length,
            };
            if let Ok(message) = serde_json::from_slice(&text[..length]) {
                return Some(message);
            }
        }
    }
}

/// # Errors
/// If send(2) fails.
pub(crate) fn send_now(end: &impl AsFd, message: &Message) -> io::Result<()> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    send(end.as_fd().as_raw_fd(), &serde_json::to_vec(message)?, flags)?;
    Ok(())
}

/// Receives a message without waiting, such as the one that was sent before this process was started.
///
/// # Errors
/// If none is there.
pub(crate) fn receive_now(end: &impl AsFd) -> io::Result<Message> {
    let mut text = vec![0; LONGEST];
    let length = recv(end.as_fd().as_raw_fd(), &mut text, MsgFlags::MSG_DONTWAIT)?;
    Ok(serde_json::from_slice(&text[..length])?)
}
