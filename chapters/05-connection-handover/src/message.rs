//! The messages in which connections travel.
//!
//! The invariant: a message that cannot be understood ends the conversation; nothing is guessed.
//!
//! | message | from | what it says |
//! | --- | --- | --- |
//! | `+BYTES` | the old process | a part of what was read ahead on the next connection, if that is longer than a message |
//! | `.`, and `SIZE:SIZE:ADDRESS BYTES` for each of its descriptors | the old process | connections: of each, the address of its listener, and what was read ahead |
//! | the same, and `=` before the address | the old process | one that speaks HTTP/2, with its state; to a process that knows nothing of that, nothing is served there |
//! | the same, and `~` before the address | the old process | a tunnel, with its state; likewise |
//! | the same, and `!` before that; behind the bytes, `SIZE:KEYS` | the old process | one under TLS, with what its layer says; as above |
//! | `y` or `n` for each | the new process | the oldest ones without an answer are mine now, or are still yours |

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use bytes::BytesMut;
use zeroize::Zeroizing;

use crate::channel::{Channel, MOST};
use crate::transfer::{Begin, Transfer};

/// The most read-ahead bytes in one message, which must fit into the send buffer of a unix socket: 208 KiB
/// (`net.core.wmem_default`, socket(7)), of which the kernel takes some for itself.
const PART: usize = 64 << 10;

/// A tag, the bytes, and for each connection an address of 120 bytes at most and three lengths, `12345:`.
const LONGEST: usize = 1 + MOST * (120 + 3 * 6) + PART;

/// What precedes the address of a connection that speaks HTTP/2, and of a tunnel.
const HTTP2: &str = "=";
const TUNNEL: &str = "~";

/// What precedes that if the connection is under TLS.
const TLS: &str = "!";

/// The most that may have been read ahead on a connection, far more than a gate keeps; or the longest state. An old process
/// that sends more speaks another protocol.
pub(crate) const MOST_READ_AHEAD: usize = 1 << 20;

/// A connection that has arrived.
pub(crate) struct Arrival {
    /// The address of the listener that accepted it.
    pub(crate) address: String,
    pub(crate) begin: Begin,
    /// What the layer that the old process took off has to say.
    pub(crate) tls: Option<Zeroizing<Vec<u8>>>,
    /// `None` if this process had no descriptor left for it.
    pub(crate) socket: Option<OwnedFd>,
}

/// Sends the first of these connections, as many as fit into a message, and returns how many those are.
///
/// # Errors
/// If the other end is gone.
pub(crate) async fn send(channel: &Channel, transfers: &[Transfer]) -> io::Result<usize> {
    // Room for all of it: if it grew, it would leave keys behind.
    let mut message = Zeroizing::new(Vec::with_capacity(LONGEST));
    message.push(b'.');
    let (mut sockets, mut room) = (Vec::new(), PART);
    for connection in transfers.iter().filter_map(Transfer::connection).take(MOST) {
        let (mark, mut rest) = match &connection.begin {
            Begin::Bytes(bytes) => ("", &bytes[..]),
            Begin::Http2(state) => (HTTP2, &state[..]),
            Begin::Tunnel(state) => (TUNNEL, &state[..]),
        };
        let tls = connection.tls.as_ref().map(|tls| &tls.message[..]);
        let keys = tls.map_or(0, <[u8]>::len);
        while sockets.is_empty() && rest.len() + keys > PART {
            let (part, more) = rest.split_at(rest.len().min(PART));
            channel.send(&[b"+", part].concat(), &[]).await?;
            rest = more;
        }
        if rest.len() + keys > room {
            break;
        }
        room -= rest.len() + keys;
        let address = format!("{}{mark}{}", tls.map_or("", |_| TLS), connection.address);
        let head = format!("{}:{}:{address}", address.len(), rest.len());
        message.extend_from_slice(head.as_bytes());
        message.extend_from_slice(rest);
        if let Some(tls) = tls {
            message.extend_from_slice(format!("{keys}:").as_bytes());
            message.extend_from_slice(tls);
        }
        sockets.push(connection.socket.as_fd());
    }
    channel.send(&message, &sockets).await?;
    Ok(sockets.len())
}

/// Receives connections, a message at a time.
pub(crate) struct Receiver<'channel> {
    channel: &'channel Channel,
    /// Keys were in it.
    room: Zeroizing<Vec<u8>>,
    /// Read-ahead bytes of the next connection that came before its own message.
    ahead: BytesMut,
}

impl Receiver<'_> {
    pub(crate) fn new(channel: &Channel) -> Receiver<'_> {
        Receiver { channel, room: Zeroizing::new(vec![0; LONGEST]), ahead: BytesMut::new() }
    }

    /// The next connections; `None` if the other end is gone or speaks another protocol. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Vec<Arrival>> {
        loop {
            let (length, sockets) = self.channel.receive(&mut self.room).await.ok()?;
            match self.room[..length].split_first()? {
                (b'+', part) if self.ahead.len() + part.len() <= MOST_READ_AHEAD => self.ahead.extend_from_slice(part),
                (b'.', message) => return arrivals(self.ahead.split(), message, sockets),
                _ => return None,
            }
        }
    }
}

/// The connections in a message. `bytes` were sent before, and belong to the first of them.
fn arrivals(mut bytes: BytesMut, mut message: &[u8], sockets: Vec<OwnedFd>) -> Option<Vec<Arrival>> {
    let mut arrivals = Vec::new();
    let mut sockets = sockets.into_iter();
    while !message.is_empty() {
        let (address, rest) = size(message)?;
        let (length, rest) = size(rest)?;
        let (address, rest) = rest.split_at_checked(address)?;
        let (part, mut rest) = rest.split_at_checked(length)?;
        bytes.extend_from_slice(part);
        let (address, bytes) = (str::from_utf8(address).ok()?, bytes.split().freeze());
        let (address, tls) = match address.strip_prefix(TLS) {
            Some(address) => {
                let (length, keys) = size(rest)?;
                let (keys, more) = keys.split_at_checked(length)?;
                rest = more;
                (address, Some(Zeroizing::new(keys.to_vec())))
            }
            None => (address, None),
        };
        let (address, begin) = if let Some(address) = address.strip_prefix(HTTP2) {
            (address, Begin::Http2(bytes))
        } else if let Some(address) = address.strip_prefix(TUNNEL) {
            (address, Begin::Tunnel(bytes))
        } else {
            (address, Begin::Bytes(bytes))
        };
        arrivals.push(Arrival { address: address.to_owned(), begin, tls, socket: sockets.next() });
        message = rest;
    }
    (!arrivals.is_empty()).then_some(arrivals)
}

fn size(message: &[u8]) -> Option<(usize, &[u8])> {
    let colon = message.iter().position(|byte| *byte == b':')?;
    let digits = &message[..colon];
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    Some((str::from_utf8(digits).ok().filter(|_| plain)?.parse().ok()?, &message[colon + 1..]))
}

/// Answers a message: for each of its connections, whether it is ours now.
///
/// # Errors
/// If no process is there to receive it: then none is ours.
pub(crate) async fn answer(channel: &Channel, ours: impl IntoIterator<Item = bool>) -> io::Result<()> {
    let answers: Vec<_> = ours.into_iter().map(|ours| if ours { b'y' } else { b'n' }).collect();
    channel.send(&answers, &[]).await
}

/// Receives answers for the oldest connections without one: whether the new process has taken each. Cancel safe.
///
/// # Errors
/// If the other end is gone or speaks another protocol.
pub(crate) async fn receive_answers(channel: &Channel) -> io::Result<Vec<bool>> {
    let mut room = [0; MOST];
    let (length, _) = channel.receive(&mut room).await?;
    let answers = &room[..length];
    if answers.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if !answers.iter().all(|answer| b"yn".contains(answer)) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(answers.iter().map(|answer| *answer == b'y').collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::channel::pair;
    use crate::socket::Socket;
    use crate::tls::TlsOffer;
    use crate::transfer::Idle;

    fn channel() -> (Channel, Channel) {
        let (ours, theirs) = pair().expect("there are descriptors left");
        let end = |end| Channel::new(end).expect("the runtime waits on it");
        (end(ours), end(theirs))
    }

    fn transfer(length: usize) -> Transfer {
        let bytes = (0..length).map(|number| u8::try_from(number % 251).expect("below 251")).collect();
        let (socket, _) = UnixStream::pair().expect("there are descriptors left");
        socket.set_nonblocking(true).expect("it is a socket");
        let socket = Socket::adopted(socket.into(), TaskTracker::new().token()).expect("the runtime waits on it");
        let begin = [Begin::Bytes, Begin::Http2, Begin::Tunnel][length % 4 % 3](bytes);
        let tls = length.is_multiple_of(3).then(|| TlsOffer::of(&vec![b'k'; length.min(20_000)])).map(Box::new);
        Transfer::new(Idle { address: "127.0.0.1:80".into(), socket, begin, tls }).0
    }

    /// Sends connections with this many bytes read ahead, and returns how many connections came in each message.
    async fn there(lengths: &[usize]) -> Vec<usize> {
        let (ours, theirs) = channel();
        let departures: Vec<_> = lengths.iter().map(|length| transfer(*length)).collect();
        let sent = async {
            let mut rest = &departures[..];
            while !rest.is_empty() {
                rest = &rest[send(&ours, rest).await.expect("it is received")..];
            }
        };
        let received = async {
            let (mut receiver, mut arrived, mut messages) = (Receiver::new(&theirs), Vec::new(), Vec::new());
            while arrived.len() < lengths.len() {
                let arrivals = receiver.next().await.expect("it was sent");
                messages.push(arrivals.len());
                arrived.extend(arrivals);
            }
            (arrived, messages)
        };
        let ((), (arrived, messages)) = tokio::join!(sent, received);
        for (departure, arrival) in departures.iter().zip(arrived) {
            let Idle { begin, tls, .. } = departure.connection().expect("it was not committed");
            assert_eq!(arrival.address, "127.0.0.1:80");
            assert!(arrival.begin == *begin && arrival.socket.is_some(), "{begin:?}");
            assert_eq!(arrival.tls, tls.as_ref().map(|tls| tls.message.clone()));
        }
        messages
    }

    #[tokio::test]
    async fn what_is_longer_than_a_message_arrives_whole() {
        for length in [0, 1, PART - 2, PART - 1, PART, PART + 1, PART + 2, 5 * PART + 7, 5 * PART + 8, 5 * PART + 9] {
            assert_eq!(there(&[length]).await, [1]);
        }
    }

    #[tokio::test]
    async fn what_does_not_fit_into_a_message_goes_with_the_next() {
        assert_eq!(there(&[0; MOST]).await, [MOST]);
        assert_eq!(there(&[7; MOST + 1]).await, [MOST, 1]);
        // Keys take room, too.
        assert_eq!(there(&[27_000, 15_000]).await, [1, 1]);
        assert_eq!(there(&[PART / 2, PART / 2, 1, 0, PART, 3 * PART, 0]).await, [2, 2, 1, 2]);
    }

    #[tokio::test]
    async fn what_is_no_message_ends_the_conversation() {
        #[rustfmt::skip]
        let nonsense = [
            &b"?"[..], b".", b".zero", b".4:", b".4:0", b".4:0:zer", b".x:0:zero", b".4:x:zero", b".4:3:zero12", b".:0:", b".+4:0:zero",
            b".5:0:!zero", b".5:0:!zero4:key", b".5:0:!zerokey",
            b".99999999999999999999999:0:zero", b".2:0:\xff\xfe", b"yes", b".4:0:zero.",
        ];
        for nonsense in nonsense {
            let (ours, theirs) = channel();
            ours.send(nonsense, &[]).await.expect("it is a message to the kernel");
            assert!(Receiver::new(&theirs).next().await.is_none(), "{nonsense:?}");
            theirs.send(nonsense, &[]).await.expect("it is a message to the kernel");
            let error = receive_answers(&ours).await.expect_err("no process knows what it means");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{nonsense:?}");
        }
    }

    #[tokio::test]
    async fn an_old_process_that_sends_on_and_on_is_not_received_for_ever() {
        let (ours, theirs) = channel();
        let part = [&b"+"[..], &vec![b'x'; PART]].concat();
        let sent = async { while ours.send(&part, &[]).await.is_ok() {} };
        let received = async {
            assert!(Receiver::new(&theirs).next().await.is_none());
            theirs.break_off();
        };
        tokio::join!(sent, received);
    }
}
