//! The messages in which connections travel, and what they bring: to the new process, or with `<` first, to the old one.
//!
//! Messages are separated by 0xFF, each with a letter for every descriptor that comes with it, as far as a `|`.

use std::os::fd::{AsFd as _, OwnedFd};

use tokio_util::task::TaskTracker;

use crate::channel::{Channel, pair};
use crate::descriptors::{assert_none_left, descriptor, on_runtime};
use crate::message::{Receiver, answer, receive_answers};
use crate::socket::Socket;
use crate::transfer::Begin;

pub(crate) fn run(bytes: &[u8]) {
    let (to_old, bytes) = match bytes {
        [b'<', rest @ ..] => (true, rest),
        _ => (false, bytes),
    };
    assert_none_left(|| {
        let (far, near) = pair().expect("there are descriptors left");
        on_runtime(async {
            let [far, near] = [far, near].map(|end| Channel::new(end).expect("the runtime waits on it"));
            let (mut count, mut sent) = (0, Vec::new());
            for message in bytes.split(|byte| *byte == 0xFF).take(32) {
                let bar = message.iter().position(|byte| *byte == b'|').unwrap_or(0);
                let (letters, message) = message.split_at(bar);
                let sockets: Vec<OwnedFd> = letters.iter().take(8).map(|letter| descriptor(*letter)).collect();
                let borrowed: Vec<_> = sockets.iter().map(OwnedFd::as_fd).collect();
                let message = message.strip_prefix(b"|").unwrap_or(message);
                count += sockets.len();
                sent.extend_from_slice(message);
                if !message.is_empty() {
                    far.send(message, &borrowed).await.expect("there is room");
                }
            }
            drop(far);
            if to_old {
                while let Ok(answers) = receive_answers(&near).await {
                    assert!((1..=64).contains(&answers.len()), "no answer is empty");
                }
            } else {
                arrive(&near, count, &sent).await;
            }
        });
    });
}

async fn arrive(near: &Channel, mut descriptors: usize, sent: &[u8]) {
    let (tracker, mut receiver) = (TaskTracker::new(), Receiver::new(near));
    let (mut addresses, mut read_ahead) = (sent.iter(), sent.iter());
    while let Some(arrivals) = receiver.next().await {
        assert!(!arrivals.is_empty(), "a message brings something");
        let mut ours = Vec::new();
        for arrival in arrivals {
            let (Begin::Bytes(bytes) | Begin::Http2(bytes) | Begin::Tunnel(bytes)) = &arrival.begin;
            let once = arrival.address.bytes().all(|byte| addresses.any(|sent| *sent == byte))
                && bytes.iter().all(|byte| read_ahead.any(|sent| sent == byte));
            assert!(once, "every byte was sent, and comes once and in order");
            let came = usize::from(arrival.socket.is_some());
            descriptors = descriptors.checked_sub(came).expect("no descriptor comes twice");
            let adopted = arrival.socket.and_then(|socket| Socket::adopted(socket, tracker.token()).ok());
            ours.push(adopted.is_some_and(|socket| socket.client().to_string().len() > 3));
        }
        assert!(answer(near, ours).await.is_err(), "the old process is gone, so nothing is ours");
    }
}
