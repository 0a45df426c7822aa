//! What two generations tell each other: the handshake, the messages behind it, and what the table of the lifecycle makes of
//! them.
//!
//! Lines: the handshake, the messages, and between them what else happens to the process, as `!` and a letter. If the handshake is
//! `<`, the messages are a successor's.

use std::os::fd::{AsRawFd as _, OwnedFd};

use graceful_upgrade::lifecycle::{Event, Life, next};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, send, socketpair};

use crate::descriptors::{assert_none_left, on_runtime};

#[allow(dead_code, unreachable_pub)]
#[path = "../../../../chapters/04-graceful-upgrade/src/channel.rs"]
mod channel;

use channel::{Channel, Message, receive_now, send_now};

pub(crate) fn run(bytes: &[u8]) {
    assert_none_left(|| {
        let pair = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC);
        let (far, near) = pair.expect("there are descriptors left");
        let mut lines = bytes.split(|byte| *byte == b'\n').take(16);
        let handshake = lines.next().unwrap_or_default();
        say(&far, handshake);
        let mut older = 0;
        match receive_now(&near) {
            Ok(Message::Handshake { older: alive, .. }) => older = alive,
            _ if handshake == b"<" => {}
            _ => return,
        }
        let mut life = Life::begins(older);
        let mut step = |event| life = next(life, event).0;
        on_runtime(async {
            let near = Channel::new(near).expect("the runtime waits on it");
            for line in lines {
                if let [b'!', letter] = line {
                    own(*letter).into_iter().for_each(&mut step);
                    continue;
                }
                say(&far, line);
                if let Ok(message) = serde_json::from_slice::<Message>(line) {
                    assert_eq!(near.receive().await.as_ref(), Some(&message), "it is received");
                    event(&message, handshake == b"<").into_iter().for_each(&mut step);
                    let again = serde_json::to_vec(&message).expect("it can be written");
                    assert_eq!(serde_json::from_slice::<Message>(&again).ok(), Some(message), "and can be sent on");
                } else {
                    send_now(&far, &Message::Accepting).expect("there is room");
                    let next = near.receive().await;
                    assert_eq!(next, Some(Message::Accepting), "what is not understood is ignored");
                }
            }
            drop(far);
            assert_eq!(near.receive().await, None, "the other generation is gone");
        });
    });
}

fn say(far: &OwnedFd, line: &[u8]) {
    // An empty message is the end of the channel, as far as the other end can tell.
    if !line.is_empty() {
        send(far.as_raw_fd(), line, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL).expect("there is room");
    }
}

/// What the runner makes of a message.
fn event(message: &Message, of_successor: bool) -> Option<Event> {
    match message {
        Message::Stop => Some(Event::StopPassedOn),
        Message::Activate if !of_successor => Some(Event::Activated),
        Message::Older(older) if !of_successor => Some(Event::Older(*older)),
        Message::Ready { .. } if of_successor => Some(Event::SuccessorReady),
        Message::Accepting if of_successor => Some(Event::SuccessorAccepts),
        Message::Committed if of_successor => Some(Event::SuccessorCommitted),
        _ => None,
    }
}

/// What happens to the process itself.
fn own(letter: u8) -> Option<Event> {
    Some(match letter {
        b'u' => Event::UpgradeAsked,
        b's' => Event::StopAsked,
        b'p' => Event::PredecessorGone,
        b'c' => Event::CannotAccept,
        b'g' => Event::SuccessorGone,
        b'r' => Event::SuccessorRejected,
        b'd' => Event::Drained,
        b't' => Event::DeadlinePassed,
        b'a' => Event::Activated,
        _ => return None,
    })
}
