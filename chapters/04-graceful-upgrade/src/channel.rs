// ANCHOR: all
//! What two generations say to each other, and how each learns that the other is gone.
//!
//! The invariant: the channel has exactly two ends, one in each generation. So its end-of-file means that the other
//! process is gone, for whatever reason, and no pid is needed to know it.
//!
//! It is a `SOCK_SEQPACKET` pair (unix(7)): connected, so that it ends, and with message boundaries, so that a word is
//! never half a word.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram as StdSocket;

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use serde::{Deserialize, Serialize};
use tokio::net::UnixDatagram;

/// Room for the longest word: the names of 255 listeners, each of 255 bytes at most. What is longer is cut by the kernel,
/// not understood, and passed over.
const LONGEST: usize = 65_536;

/// The names of some listeners.
pub(crate) type Names = BTreeSet<String>;

/// Which files the unix sockets among them were bound to: device and inode.
pub(crate) type FileIds = BTreeMap<String, (u64, u64)>;

// ANCHOR: word
/// What one generation can tell the other. It travels as JSON, so that it can be read with strace(1), and so that another
/// version may add what this one passes over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Word {
    /// To the successor, before it is even started: who it is.
    Hello {
        /// Its generation.
        generation: u64,
        /// How many older generations are alive, this one included.
        older: usize,
        /// The unix sockets whose files are the last generation's to remove.
        files: Names,
        /// Which files those are. Versions that went by the path alone do not say it.
        #[serde(default)]
        file_ids: FileIds,
    },
    /// To the successor: so many older generations are alive now.
    Older(usize),
    /// To the predecessor: ready to accept. The listeners named are of no use to the new version.
    Ready {
        /// Inherited, not asked for, and closed again.
        unused: Names,
    },
    /// To the successor: I have stopped accepting; it is your turn.
    YourTurn,
    /// To the predecessor: do not come back for me.
    Settled,
    /// From the keeper: this signal came, as a number.
    Signal(i32),
    /// To the keeper: the last generation ends, with this exit status.
    Status(u8),
}
// ANCHOR_END: word

// ANCHOR: channel
/// One end of the channel. Tokio's datagram socket only sends and receives, which is the same for `SOCK_SEQPACKET`.
#[derive(Debug)]
pub(crate) struct Channel(UnixDatagram);

/// The end that a successor is started with, not yet in the hands of a runtime.
#[derive(Debug)]
pub(crate) struct FarEnd(OwnedFd);

impl Channel {
    /// A new channel: our end, and the successor's.
    ///
    /// # Errors
    /// If the descriptor limit is reached.
    pub(crate) fn new() -> io::Result<(Channel, FarEnd)> {
        let (ours, theirs) = pair()?;
        Ok((Channel::from_end(ours)?, FarEnd(theirs)))
    }

    fn from_end(end: OwnedFd) -> io::Result<Channel> {
        let socket = StdSocket::from(end);
        socket.set_nonblocking(true)?;
        Ok(Channel(UnixDatagram::from_std(socket)?))
    }

    /// Says a word. If nobody is there to hear it, the next [`hear`](Self::hear) tells.
    ///
    /// Straight to the kernel: between the two ends of a pair the send buffer is the limit, with room for hundreds of words
    /// (`net.core.wmem_default`, socket(7)), and only a few are ever said, so there is nothing to wait for.
    pub(crate) fn say(&self, word: &Word) {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let said = serde_json::to_vec(word)
            .map_err(io::Error::from)
            .and_then(|text| Ok(send(self.0.as_raw_fd(), &text, flags)?));
        if let Err(error) = said {
            tracing::debug!(%error, ?word, "nobody heard");
        }
    }

    /// The next word, or `None` if the other generation is gone.
    ///
    /// May be cancelled: no word is lost. A word that we do not know is passed over, since it comes from another version.
    pub(crate) async fn hear(&self) -> Option<Word> {
        let mut text = vec![0; LONGEST];
        loop {
            let length = match self.0.recv(&mut text).await {
                // It is gone and has not heard us out. What it said before can still be heard.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => continue,
                Ok(0) | Err(_) => return None,
                Ok(length) => length,
            };
            if let Ok(word) = serde_json::from_slice(&text[..length]) {
                return Some(word);
            }
        }
    }
}
// ANCHOR_END: channel

/// Two ends that belong to each other.
///
/// # Errors
/// If the descriptor limit is reached.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?)
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsFd for FarEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

// ANCHOR: far_end
impl FarEnd {
    /// Takes the end that we were started with, and keeps it open until the kernel closes it with everything else: so its
    /// end-of-file means that we are gone, and not that we are about to say why we go.
    ///
    /// # Errors
    /// If the descriptor limit is reached.
    pub(crate) fn inherited(end: OwnedFd) -> io::Result<FarEnd> {
        Box::leak(Box::new(end)).try_clone().map(FarEnd)
    }

    /// # Errors
    /// What epoll_ctl(2) says.
    pub(crate) fn into_channel(self) -> io::Result<Channel> {
        Channel::from_end(self.0)
    }

    /// The word that was said before this process was started. It is there, or it never comes.
    ///
    /// # Errors
    /// If it is not there.
    pub(crate) fn first_word(&self) -> io::Result<Word> {
        let mut text = vec![0; LONGEST];
        let length = recv(self.0.as_raw_fd(), &mut text, MsgFlags::MSG_DONTWAIT)?;
        Ok(serde_json::from_slice(&text[..length])?)
    }
}
// ANCHOR_END: far_end
// ANCHOR_END: all

#[cfg(test)]
mod tests {
    use super::*;

    /// The same word, as it was before the files had ids.
    #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum OlderWord {
        Hello { generation: u64, older: usize, files: Names },
    }

    #[test]
    fn an_older_version_is_understood_and_understands() {
        let files = Names::from(["web".to_owned()]);
        let older = OlderWord::Hello { generation: 2, older: 1, files: files.clone() };
        let heard: Word = serde_json::from_slice(&serde_json::to_vec(&older).unwrap()).unwrap();
        assert_eq!(heard, Word::Hello { generation: 2, older: 1, files: files.clone(), file_ids: FileIds::new() });

        let file_ids = FileIds::from([("web".to_owned(), (1, 2))]);
        let word = Word::Hello { generation: 2, older: 1, files, file_ids };
        assert_eq!(serde_json::from_slice::<OlderWord>(&serde_json::to_vec(&word).unwrap()).unwrap(), older);
    }
}
