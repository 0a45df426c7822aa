//! The old process's side: connections are offered to the successor.
//!
//! The invariant: of every connection that was sent, it is known in the end whose it is. The successor's if it said so
//! before the channel broke, else ours: it says so before it serves, and on a broken channel it cannot say so any more.

use std::iter::repeat;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use graceful_shutdown::{Heir, Idle};
use tokio::sync::mpsc::{self, error::SendError};
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use crate::channel::{Channel, MOST};
use crate::message::{hear_answers, send};

// ANCHOR: patience
/// How long the successor may take for the connections that it was sent. It needs some ten microseconds for each; one that
/// takes a second is stuck, and every connection that waits for it keeps a client waiting.
const STUCK_AFTER: Duration = Duration::from_secs(1);

/// Connections that are offered at a time. They go in one message and wait for one answer, half a millisecond; all others
/// are served meanwhile.
const AT_A_TIME: usize = 32;

/// After so many connections, those who are served get a moment. A connection takes each process some ten microseconds:
/// without a pause, ten thousand keep two processors busy for a sixth of a second, and whoever asks meanwhile waits for the
/// scheduler's time slices. With it, they take twice as long, and one in a hundred requests waits a millisecond.
const BURST: usize = 96;
const PAUSE: Duration = Duration::from_millis(1);
// ANCHOR_END: patience

/// A connection, and whoever waits to hear whether it was taken, or to have it back.
type Offer = (Idle, oneshot::Sender<Result<(), Idle>>);

/// The successor, as whoever takes our connections.
#[derive(Debug)]
pub(crate) struct Successor(mpsc::UnboundedSender<Offer>);

impl Successor {
    /// The one at the far end of `channel`.
    pub(crate) fn over(channel: Channel) -> Arc<Successor> {
        let (offer, offers) = mpsc::unbounded_channel();
        tokio::spawn(hand_over(channel, offers));
        Arc::new(Successor(offer))
    }
}

// ANCHOR: offer
impl Heir for Successor {
    fn take(&self, idle: Idle) -> Pin<Box<dyn Future<Output = Result<(), Idle>> + Send + '_>> {
        let (settle, settled) = oneshot::channel();
        let offered = self.0.send((idle, settle));
        Box::pin(async move {
            match offered {
                // The runtime has ended if nobody settles it, and everything with it.
                Ok(()) => settled.await.unwrap_or(Ok(())),
                Err(SendError((idle, _))) => Err(idle),
            }
        })
    }

    fn at_a_time(&self) -> usize {
        AT_A_TIME
    }
}
// ANCHOR_END: offer

// ANCHOR: hand_over
/// Sends what is offered, and settles whose each connection is, until the successor takes no more.
async fn hand_over(channel: Channel, mut offers: mpsc::UnboundedReceiver<Offer>) {
    let mut together = 0;
    while let Some((connections, waiting)) = gather(&mut offers).await {
        let mut answers = Vec::new();
        let ended = match timeout(STUCK_AFTER, exchange(&channel, &connections, &mut answers)).await {
            Ok(Some(())) => None,
            Ok(None) => Some("the successor is gone"),
            Err(_) => Some("the successor is stuck"),
        };
        if let Some(why) = ended {
            tracing::warn!(why, "the other connections stay, and are closed politely");
            channel.break_off();
            // What it said before is heard out. All others are ours.
            while hear(&channel, &mut answers).await.is_some() {}
            offers.close();
        }
        together += connections.len();
        if together >= BURST {
            together = 0;
            // Before anything is settled, which brings on the turn of others: these are still served meanwhile.
            sleep(PAUSE).await;
        }
        let answers = answers.into_iter().chain(repeat(false));
        for ((idle, waiting), taken) in connections.into_iter().zip(waiting).zip(answers) {
            // Nobody is there any more where a deadline has passed.
            let _ = waiting.send(if taken { Ok(()) } else { Err(idle) });
        }
        if ended.is_some() {
            while let Some((idle, waiting)) = offers.recv().await {
                let _ = waiting.send(Err(idle));
            }
        }
    }
}

/// Waits for an offer and takes along those that come with it; `None` if none will come.
async fn gather(
    offers: &mut mpsc::UnboundedReceiver<Offer>,
) -> Option<(Vec<Idle>, Vec<oneshot::Sender<Result<(), Idle>>>)> {
    let first = offers.recv().await?;
    // Those whose turn has come with it are about to offer themselves, and one message wakes the successor once.
    yield_now().await;
    let others = std::iter::from_fn(|| offers.try_recv().ok());
    Some(std::iter::once(first).chain(others.take(MOST - 1)).unzip())
}

/// Sends connections, message by message, and hears whose they are; `None` if the channel has ended.
async fn exchange(channel: &Channel, connections: &[Idle], answers: &mut Vec<bool>) -> Option<()> {
    let mut sent = 0;
    while sent < connections.len() {
        sent += send(channel, &connections[sent..]).await.ok()?;
        while answers.len() < sent {
            hear(channel, answers).await?;
        }
    }
    Some(())
}

/// Hears whose the next of them are.
async fn hear(channel: &Channel, answers: &mut Vec<bool>) -> Option<()> {
    answers.extend(hear_answers(channel).await?);
    Some(())
}
// ANCHOR_END: hand_over

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::OwnedFd;

    use bytes::Bytes;
    use graceful_shutdown::Heir as _;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use tokio::task::JoinHandle;

    use super::*;
    use crate::message::{Arrival, Receiver, answer};

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
        let (successor, unparsed) = (Arc::clone(successor), Bytes::from_static(b"GET /"));
        let idle = Idle { listener: "zero".into(), socket: socket.into(), unparsed };
        tokio::spawn(async move { successor.take(idle).await.is_ok() })
    }

    async fn whose(offered: Vec<JoinHandle<bool>>) -> Vec<bool> {
        let mut whose = Vec::new();
        for offered in offered {
            whose.push(offered.await.expect("no panic"));
        }
        whose
    }

    #[tokio::test]
    async fn a_connection_is_whose_the_successor_says_it_is() {
        let (successor, theirs) = successor();
        let mut arrivals = Receiver::new(&theirs);
        for taken in [true, false] {
            let offered = offer(&successor);
            let [Arrival { listener, unparsed, socket: Some(_) }] = &arrivals.next().await.expect("one was sent")[..]
            else {
                panic!("one connection, and its socket")
            };
            assert_eq!((&listener[..], &unparsed[..]), ("zero", &b"GET /"[..]));
            answer(&theirs, [taken]).await.expect("somebody hears it");
            assert_eq!(offered.await.expect("no panic"), taken);
        }
    }

    #[tokio::test]
    async fn connections_that_are_offered_together_go_together_and_may_be_answered_one_by_one() {
        let (successor, theirs) = successor();
        let offered = (0..5).map(|_| offer(&successor)).collect();
        assert_eq!(Receiver::new(&theirs).next().await.map(|arrivals| arrivals.len()), Some(5));
        answer(&theirs, [true, false]).await.expect("somebody hears it");
        answer(&theirs, [true, true, false]).await.expect("somebody hears it");
        assert_eq!(whose(offered).await, [true, false, true, true, false]);
    }

    #[tokio::test]
    async fn what_a_successor_that_died_had_not_answered_is_still_ours() {
        let (successor, theirs) = successor();
        let offered: Vec<_> = (0..3).map(|_| offer(&successor)).collect();
        let mut arrivals = Receiver::new(&theirs);
        arrivals.next().await.expect("they were sent");
        answer(&theirs, [true]).await.expect("somebody hears it");
        drop(theirs);
        assert_eq!(
            whose(offered).await,
            [true, false, false],
            "the first one was answered for, the other two were not"
        );
        assert!(!offer(&successor).await.expect("no panic"), "nobody is there any more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_successor_that_is_stuck_gets_nothing_and_cannot_claim_anything_later() {
        let (successor, theirs) = successor();
        assert!(!offer(&successor).await.expect("no panic"), "it has not said that it took it");
        let mut arrivals = Receiver::new(&theirs);
        let late = arrivals.next().await.expect("what was sent before is still there");
        answer(&theirs, [true]).await.expect_err("the old process serves it on, so nobody else may");
        drop(late);
    }

    #[tokio::test(start_paused = true)]
    async fn a_successor_that_reads_nothing_does_not_hold_more_than_its_queue() {
        let (successor, theirs) = successor();
        let offered = (0..4 * MOST).map(|_| offer(&successor)).collect();
        assert_eq!(whose(offered).await, [false; 4 * MOST]);
        drop(theirs);
    }
}
