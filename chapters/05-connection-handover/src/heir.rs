//! The old process's side: connections are offered to the successor.
//!
//! The invariant: of every connection that was sent, it is known in the end whose it is. The successor's if it said so
//! before the channel broke, else ours: it says so before it serves, and on a broken channel it cannot say so any more.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use graceful_shutdown::{Heir, Idle};
use tokio::sync::{Mutex as AsyncMutex, oneshot};
use tokio::time::timeout;

use crate::channel::Channel;
use crate::message;

// ANCHOR: patience
/// How long the successor may take for one connection. It needs some ten microseconds; one that takes a second is stuck,
/// and every connection that waits for it keeps a client waiting.
const PATIENCE: Duration = Duration::from_secs(1);
// ANCHOR_END: patience

/// The successor, as whoever takes our connections.
#[derive(Debug)]
pub(crate) struct Successor {
    channel: Channel,
    /// Whether the channel is in the middle of a connection. Whoever finds it so was preceded by somebody who gave up.
    midway: AsyncMutex<bool>,
    /// Whoever waits for an answer, in the order in which the connections were sent. `None` once no answer will come.
    waiting: Mutex<Option<VecDeque<oneshot::Sender<bool>>>>,
}

impl Successor {
    /// The one at the far end of `channel`.
    pub(crate) fn over(channel: Channel) -> Arc<Successor> {
        let waiting = Mutex::new(Some(VecDeque::new()));
        let successor = Arc::new(Successor { channel, midway: AsyncMutex::new(false), waiting });
        tokio::spawn(Arc::clone(&successor).hear_answers());
        successor
    }

    // ANCHOR: offer
    async fn offer(&self, connection: &Idle<'_>) -> bool {
        let Some(mut answer) = self.send(connection).await else { return false };
        if let Ok(answer) = timeout(PATIENCE, &mut answer).await {
            return answer.unwrap_or(false);
        }
        tracing::warn!(patience = ?PATIENCE, "the successor does not take connections: they are closed politely");
        self.channel.break_off();
        // What it said before is heard out, and settles whose the connection is.
        answer.await.unwrap_or(false)
    }

    async fn send(&self, connection: &Idle<'_>) -> Option<oneshot::Receiver<bool>> {
        let mut midway = self.midway.lock().await;
        if *midway {
            self.channel.break_off();
            return None;
        }
        let (tell, answer) = oneshot::channel();
        // Before it is sent: the answer may be quick.
        self.waiting().as_mut()?.push_back(tell);
        *midway = true;
        match timeout(PATIENCE, message::send(&self.channel, connection)).await {
            Ok(Ok(())) => *midway = false,
            // Half of it may have been sent: the rest must not be taken for the next one.
            _ => self.channel.break_off(),
        }
        Some(answer)
    }
    // ANCHOR_END: offer

    // ANCHOR: hear_answers
    async fn hear_answers(self: Arc<Self>) {
        let mut handed_over = 0_usize;
        while let Some(taken) = message::hear_answer(&self.channel).await {
            handed_over += usize::from(taken);
            let first = self.waiting().as_mut().and_then(VecDeque::pop_front);
            // Nobody is there where a deadline has passed.
            let _ = first.map(|tell| tell.send(taken));
        }
        // From here on nobody waits in vain, and nobody sends.
        self.channel.break_off();
        *self.waiting() = None;
        tracing::debug!(handed_over, "no more connections go to the successor");
    }
    // ANCHOR_END: hear_answers

    fn waiting(&self) -> MutexGuard<'_, Option<VecDeque<oneshot::Sender<bool>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heir for Successor {
    fn take<'a>(&'a self, idle: Idle<'a>) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async move { self.offer(&idle).await })
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::{AsFd as _, OwnedFd};

    use graceful_shutdown::Heir as _;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use tokio::task::JoinHandle;

    use super::*;
    use crate::message::{Receiver, answer};

    /// A successor as the old process sees it, and the other end of the channel.
    fn successor() -> (Arc<Successor>, Channel) {
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .expect("there are descriptors left");
        let channel = |end: OwnedFd| Channel::new(end).expect("the runtime waits on it");
        (Successor::over(channel(ours)), channel(theirs))
    }

    /// Offers a connection on which half a head was read.
    fn offer(successor: &Arc<Successor>) -> JoinHandle<bool> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("any port will do");
        let socket = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
        let successor = Arc::clone(successor);
        tokio::spawn(async move {
            successor.take(Idle { listener: "zero", socket: socket.as_fd(), unparsed: b"GET /" }).await
        })
    }

    #[tokio::test]
    async fn a_connection_is_whose_the_successor_says_it_is() {
        let (successor, theirs) = successor();
        let mut arrivals = Receiver::new(&theirs);
        for taken in [true, false] {
            let offered = offer(&successor);
            let arrival = arrivals.next().await.expect("one was sent");
            assert_eq!((&*arrival.listener, &arrival.unparsed[..]), ("zero", &b"GET /"[..]));
            assert!(arrival.socket.is_some());
            answer(&theirs, taken).await.expect("somebody hears it");
            assert_eq!(offered.await.expect("no panic"), taken);
        }
    }

    #[tokio::test]
    async fn what_a_successor_that_died_had_not_answered_is_still_ours() {
        let (successor, theirs) = successor();
        let offered: Vec<_> = (0..3).map(|_| offer(&successor)).collect();
        let mut arrivals = Receiver::new(&theirs);
        for _ in 0..2 {
            arrivals.next().await.expect("three were sent");
        }
        answer(&theirs, true).await.expect("somebody hears it");
        drop(theirs);
        let mut ours = Vec::new();
        for offered in offered {
            ours.push(!offered.await.expect("no panic"));
        }
        assert_eq!(ours, [false, true, true], "the first one was answered for, the other two were not");
        assert!(!offer(&successor).await.expect("no panic"), "nobody is there any more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_successor_that_is_stuck_gets_nothing_and_cannot_claim_anything_later() {
        let (successor, theirs) = successor();
        assert!(!offer(&successor).await.expect("no panic"), "it has not said that it took it");
        let mut arrivals = Receiver::new(&theirs);
        let late = arrivals.next().await.expect("what was sent before is still there");
        answer(&theirs, true).await.expect_err("the old process serves it on, so nobody else may");
        drop(late);
    }

    #[tokio::test(start_paused = true)]
    async fn a_successor_that_reads_nothing_does_not_hold_more_than_its_queue() {
        let (successor, theirs) = successor();
        let offered: Vec<_> = (0..40).map(|_| offer(&successor)).collect();
        for offered in offered {
            assert!(!offered.await.expect("no panic"));
        }
        drop(theirs);
    }
}
