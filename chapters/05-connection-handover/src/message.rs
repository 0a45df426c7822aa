//! What connections look like on their way.
//!
//! The invariant: what cannot be understood is no connection, and is declined; nothing is guessed.
//!
//! | message | from | what it says |
//! | --- | --- | --- |
//! | `+BYTES` | the old process | more of what was read ahead on the next connection: it is longer than a message |
//! | `.`, and `NAME:LENGTH:BYTES` for each of its descriptors | the old process | connections: where each was accepted, and what was read ahead |
//! | `y` or `n` for each | the new process | the oldest ones without an answer are mine now; or still yours |

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use graceful_shutdown::Offer;

use crate::channel::{MOST, NewEnd, OldEnd};

/// The most that is sent of what was read ahead in one message, which must fit into the send buffer of a unix socket:
/// 208 KiB (`net.core.wmem_default`, socket(7)), of which the kernel takes some for itself.
const PART: usize = 64 << 10;

/// A tag, and for each connection a name of 255 bytes at most and a length of up to five digits, each with a colon.
const LONGEST: usize = 1 + MOST * (255 + 1 + 5 + 1) + PART;

/// The most that hyper reads ahead is 408 KiB, and as much may have come with the connection from the generation before.
/// Whoever sends more speaks another language.
const MOST_READ_AHEAD: usize = 1 << 20;

/// A connection that has arrived.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) listener: String,
    pub(crate) unparsed: Bytes,
    /// `None` if this process could not take it.
    pub(crate) socket: Option<OwnedFd>,
}

// ANCHOR: send
/// Sends the first of these connections, as many as fit into a message, and returns how many those are.
///
/// # Errors
/// If the other end is gone, or does not receive until `deadline`.
pub(crate) fn send(channel: &OldEnd, offers: &[Offer], deadline: Instant) -> io::Result<usize> {
    let (mut message, mut sockets, mut room) = (vec![b'.'], Vec::new(), PART);
    for connection in offers.iter().map(Offer::idle).take(MOST) {
        let mut rest = &connection.unparsed[..];
        while sockets.is_empty() && rest.len() > PART {
            let (part, more) = rest.split_at(PART);
            channel.send(&[b"+", part].concat(), &[], deadline)?;
            rest = more;
        }
        if rest.len() > room {
            break;
        }
        room -= rest.len();
        message.extend_from_slice(format!("{}:{}:", connection.listener, rest.len()).as_bytes());
        message.extend_from_slice(rest);
        sockets.push(connection.socket.as_fd());
    }
    channel.send(&message, &sockets, deadline)?;
    Ok(sockets.len())
}
// ANCHOR_END: send

// ANCHOR: receive
/// Receives connections, a message at a time.
pub(crate) struct Receiver<'channel> {
    channel: &'channel NewEnd,
    room: Vec<u8>,
}

impl Receiver<'_> {
    pub(crate) fn new(channel: &NewEnd) -> Receiver<'_> {
        Receiver { channel, room: vec![0; LONGEST] }
    }

    /// The next connections; `None` if the other end is gone, or speaks another language.
    pub(crate) async fn next(&mut self) -> Option<Vec<Arrival>> {
        let mut unparsed = BytesMut::new();
        loop {
            let (length, sockets) = self.channel.receive(&mut self.room).await.ok()?;
            match self.room[..length].split_first()? {
                (b'+', part) if unparsed.len() + part.len() <= MOST_READ_AHEAD => unparsed.extend_from_slice(part),
                (b'.', message) => return arrivals(unparsed, message, sockets),
                _ => return None,
            }
        }
    }
}

/// `unparsed` was sent before, and belongs to the first of them.
fn arrivals(mut unparsed: BytesMut, mut message: &[u8], sockets: Vec<OwnedFd>) -> Option<Vec<Arrival>> {
    let mut arrivals = Vec::new();
    let mut sockets = sockets.into_iter();
    while !message.is_empty() {
        let (listener, rest) = until_colon(message)?;
        let (length, rest) = until_colon(rest)?;
        let (bytes, rest) = rest.split_at_checked(length.parse().ok()?)?;
        unparsed.extend_from_slice(bytes);
        let (listener, unparsed) = (listener.to_owned(), unparsed.split().freeze());
        arrivals.push(Arrival { listener, unparsed, socket: sockets.next() });
        message = rest;
    }
    (!arrivals.is_empty()).then_some(arrivals)
}

fn until_colon(message: &[u8]) -> Option<(&str, &[u8])> {
    let colon = message.iter().position(|byte| *byte == b':')?;
    Some((str::from_utf8(&message[..colon]).ok()?, &message[colon + 1..]))
}
// ANCHOR_END: receive

// ANCHOR: answers
/// Says whose each connection of a message is.
///
/// # Errors
/// If nobody is there to hear it: then none is ours.
pub(crate) async fn answer(channel: &NewEnd, ours: impl IntoIterator<Item = bool>) -> io::Result<()> {
    let answers: Vec<_> = ours.into_iter().map(|ours| if ours { b'y' } else { b'n' }).collect();
    channel.send(&answers).await
}

/// Hears whose the oldest connections without an answer are.
///
/// # Errors
/// If the other end is gone, speaks another language, or does not answer until `deadline`.
pub(crate) fn hear_answers(channel: &OldEnd, deadline: Instant) -> io::Result<Vec<bool>> {
    let mut room = [0; MOST];
    let length = channel.receive(&mut room, deadline)?;
    let answers = &room[..length];
    if answers.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let understood = answers.iter().all(|answer| b"yn".contains(answer));
    if understood {
        Ok(answers.iter().map(|answer| *answer == b'y').collect())
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}
// ANCHOR_END: answers

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use graceful_shutdown::Idle;
    use tokio::task::spawn_blocking;

    use super::*;
    use crate::channel::tests::channel;

    /// Late enough for a machine that is busy.
    fn later() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    fn departure(length: usize) -> Offer {
        let unparsed = (0..length).map(|number| u8::try_from(number % 251).expect("below 251")).collect();
        let socket = std::io::stdin().as_fd().try_clone_to_owned().expect("there are descriptors left");
        Offer::new(Idle { listener: "zero".into(), socket, unparsed }, drop)
    }

    /// Sends connections on which so many bytes were read ahead, and returns how many came in each message.
    async fn there(lengths: &[usize]) -> Vec<usize> {
        let (ours, theirs) = channel();
        let departures: Vec<_> = lengths.iter().map(|length| departure(*length)).collect();
        let sent = spawn_blocking(move || {
            let mut rest = &departures[..];
            while !rest.is_empty() {
                rest = &rest[send(&ours, rest, later()).expect("it is received")..];
            }
            departures
        });
        let (mut receiver, mut arrived, mut messages) = (Receiver::new(&theirs), Vec::new(), Vec::new());
        while arrived.len() < lengths.len() {
            let arrivals = receiver.next().await.expect("it was sent");
            messages.push(arrivals.len());
            arrived.extend(arrivals);
        }
        for (departure, arrival) in sent.await.expect("no panic").into_iter().zip(arrived) {
            let unparsed = &departure.idle().unparsed;
            assert_eq!(arrival.listener, "zero");
            assert_eq!((arrival.unparsed == unparsed, arrival.socket.is_some()), (true, true), "{}", unparsed.len());
        }
        messages
    }

    #[tokio::test]
    async fn what_is_longer_than_a_message_arrives_whole() {
        for length in [0, 1, PART - 1, PART, PART + 1, 5 * PART + 7] {
            assert_eq!(there(&[length]).await, [1]);
        }
    }

    #[tokio::test]
    async fn what_does_not_fit_into_a_message_goes_with_the_next() {
        assert_eq!(there(&[0; MOST]).await, [MOST]);
        assert_eq!(there(&[7; MOST + 1]).await, [MOST, 1]);
        assert_eq!(there(&[PART / 2, PART / 2, 1, 0, PART, 3 * PART, 0]).await, [2, 2, 1, 2]);
    }

    #[tokio::test]
    async fn what_is_no_message_ends_the_conversation() {
        for nonsense in [&b"?"[..], b".", b".zero", b".zero:7", b".zero:x:", b".zero:3:12", b".\xff:0:", b"yes"] {
            let (ours, theirs) = channel();
            ours.send(nonsense, &[], later()).expect("it is a message to the kernel");
            assert!(Receiver::new(&theirs).next().await.is_none(), "{nonsense:?}");
            theirs.send(nonsense).await.expect("it is a message to the kernel");
            let error = hear_answers(&ours, later()).expect_err("nobody knows what it means");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{nonsense:?}");
        }
    }
}
