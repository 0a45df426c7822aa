//! What a connection looks like on its way.
//!
//! The invariant: what cannot be understood is no connection, and is declined; nothing is guessed.
//!
//! | message | from | what it says |
//! | --- | --- | --- |
//! | `+BYTES` | the old process | more of what was read ahead: it is longer than a message |
//! | `.NAME:BYTES`, with a descriptor | the old process | the rest, and the connection, of the listener NAME |
//! | `y` | the new process | the oldest connection without an answer is mine now |
//! | `n` | the new process | I do not want it; it is still yours |

use std::io;
use std::os::fd::OwnedFd;

use bytes::{Bytes, BytesMut};
use graceful_shutdown::Idle;

use crate::channel::Channel;

/// The most that is sent of what was read ahead in one message, which must fit into the send buffer of a unix socket:
/// 208 KiB (`net.core.wmem_default`, socket(7)), of which the kernel takes some for itself.
const PART: usize = 64 << 10;

/// A part, a tag, a name of 255 bytes at most, and a colon.
const LONGEST: usize = PART + 1 + 255 + 1;

/// The most that hyper reads ahead is 408 KiB, and as much may have come with the connection from the generation before.
/// Whoever sends more speaks another language.
const MOST: usize = 1 << 20;

/// A connection that has arrived.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) listener: String,
    pub(crate) unparsed: Bytes,
    /// `None` if this process could not take it.
    pub(crate) socket: Option<OwnedFd>,
}

// ANCHOR: send
/// Sends a connection.
///
/// # Errors
/// If the other end is gone.
pub(crate) async fn send(channel: &Channel, connection: &Idle<'_>) -> io::Result<()> {
    let mut rest = connection.unparsed;
    while rest.len() > PART {
        let (part, more) = rest.split_at(PART);
        channel.send(&[b"+", part], None).await?;
        rest = more;
    }
    channel.send(&[b".", connection.listener.as_bytes(), b":", rest], Some(connection.socket)).await
}
// ANCHOR_END: send

// ANCHOR: receive
/// Receives connections, one after the other.
pub(crate) struct Receiver<'channel> {
    channel: &'channel Channel,
    room: Vec<u8>,
}

impl Receiver<'_> {
    pub(crate) fn new(channel: &Channel) -> Receiver<'_> {
        Receiver { channel, room: vec![0; LONGEST] }
    }

    /// The next connection; `None` if the other end is gone, or speaks another language.
    pub(crate) async fn next(&mut self) -> Option<Arrival> {
        let mut unparsed = BytesMut::new();
        loop {
            let (length, socket) = self.channel.receive(&mut self.room).await.ok()?;
            match self.room[..length].split_first()? {
                (b'+', part) if unparsed.len() + part.len() <= MOST => unparsed.extend_from_slice(part),
                (b'.', message) => {
                    let colon = message.iter().position(|byte| *byte == b':')?;
                    let listener = str::from_utf8(&message[..colon]).ok()?.to_owned();
                    unparsed.extend_from_slice(&message[colon + 1..]);
                    return Some(Arrival { listener, unparsed: unparsed.freeze(), socket });
                }
                _ => return None,
            }
        }
    }
}
// ANCHOR_END: receive

// ANCHOR: answers
/// Says whose a connection is.
///
/// # Errors
/// If nobody is there to hear it: then it is not ours.
pub(crate) async fn answer(channel: &Channel, taken: bool) -> io::Result<()> {
    channel.send(&[if taken { b"y" } else { b"n" }], None).await
}

/// Hears whose a connection is; `None` if the other end is gone, or speaks another language.
pub(crate) async fn hear_answer(channel: &Channel) -> Option<bool> {
    let mut room = [0; 2];
    match channel.receive(&mut room).await {
        Ok((1, _)) if room[0] == b'y' => Some(true),
        Ok((1, _)) if room[0] == b'n' => Some(false),
        _ => None,
    }
}
// ANCHOR_END: answers

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    fn channels() -> (Channel, Channel) {
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .expect("there are descriptors left");
        (Channel::new(one).expect("the runtime waits on it"), Channel::new(other).expect("the runtime waits on it"))
    }

    #[tokio::test]
    async fn what_is_longer_than_a_message_arrives_whole() {
        let (ours, theirs) = channels();
        for length in [0, 1, PART - 1, PART, PART + 1, 5 * PART + 7] {
            let unparsed: Vec<_> = (0..length).map(|number| u8::try_from(number % 251).expect("below 251")).collect();
            let stdin = std::io::stdin();
            let connection = Idle { listener: "zero", socket: stdin.as_fd(), unparsed: &unparsed };
            let mut arrivals = Receiver::new(&theirs);
            let (sent, arrival) = tokio::join!(send(&ours, &connection), arrivals.next());
            sent.expect("it was received");
            let arrival = arrival.expect("it was sent");
            assert_eq!((arrival.unparsed == unparsed, arrival.socket.is_some()), (true, true), "{length} bytes");
        }
    }

    #[tokio::test]
    async fn what_is_no_message_ends_the_conversation() {
        for nonsense in [&b"?"[..], b".zero", b".\xff:", b"yes"] {
            let (ours, theirs) = channels();
            ours.send(&[nonsense], None).await.expect("it is a message to the kernel");
            assert!(Receiver::new(&theirs).next().await.is_none(), "{nonsense:?}");
            ours.send(&[nonsense], None).await.expect("it is a message to the kernel");
            assert_eq!(hear_answer(&theirs).await, None, "{nonsense:?}");
        }
    }
}
