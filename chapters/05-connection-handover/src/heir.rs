//! The old process's side: connections are offered to the successor.
//!
//! The invariant: of every connection that was sent, it is known in the end whose it is. The successor's if it said so
//! before the channel broke, else ours: it says so before it serves, and on a broken channel it cannot say so any more.

use std::future::pending;
use std::iter::repeat;
use std::pin::Pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use graceful_shutdown::{Heir, Idle};
use tokio::sync::mpsc::{self, error::SendError};
use tokio::sync::oneshot;
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::{Instant, timeout};

use crate::channel::{Channel, MOST};
use crate::message::{hear_answers, send};

// ANCHOR: patience
/// How long the successor may take for the connections that it was sent. It needs some ten microseconds for each; one that
/// takes a second is stuck, and every connection that waits for it keeps a client waiting.
const STUCK_AFTER: Duration = Duration::from_secs(1);

/// Connections that are offered at a time. They go in one message and wait for one answer, a fraction of a millisecond; all
/// others are served meanwhile, and after it comes a pause as long.
///
/// A connection takes each process some ten microseconds, and ten thousand in one go keep two processors busy for a tenth of
/// a second: whoever asks meanwhile waits for the scheduler's time slices. So they go in small pieces, and the processors are
/// free in between. If others want them, an exchange takes longer, and so does its pause.
const AT_A_TIME: usize = 16;
// ANCHOR_END: patience

/// A connection, and whoever waits to hear whether it was taken, or to have it back.
type Offer = (Idle, Waiting);
type Waiting = oneshot::Sender<Result<(), Idle>>;

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
/// Sends what is offered, and tells whose each connection is, until the successor takes no more.
async fn hand_over(channel: Channel, mut offers: mpsc::UnboundedReceiver<Offer>) {
    let (mut settled, mut pause) = (Vec::new(), None);
    loop {
        let offer = tokio::select! {
            biased;
            // In a pause, too: a connection that owed an answer when its turn came is offered later, and waits.
            offer = offers.recv() => offer,
            () = over(&mut pause) => {
                pause = None;
                tell(&mut settled);
                continue;
            }
        };
        let Some(first) = offer else { return tell(&mut settled) };
        let (connections, waiting) = gather(first, &mut offers).await;
        let (began, mut answers) = (Instant::now(), Vec::new());
        let ended = match timeout(STUCK_AFTER, exchange(&channel, &connections, &mut answers)).await {
            Ok(Some(())) => None,
            Ok(None) => Some("the successor is gone"),
            Err(_) => Some("the successor is stuck"),
        };
        if ended.is_some() {
            channel.break_off();
            // What it said before is heard out. All others are ours.
            while hear(&channel, &mut answers).await.is_some() {}
        }
        let answers = answers.into_iter().chain(repeat(false));
        let whose = connections.into_iter().zip(answers).map(|(idle, taken)| if taken { Ok(()) } else { Err(idle) });
        settled.extend(waiting.into_iter().zip(whose));
        if let Some(why) = ended {
            tracing::warn!(why, "the other connections stay, and are closed politely");
            tell(&mut settled);
            return give_back(offers).await;
        }
        pause.get_or_insert_with(|| Box::pin(rest(began.elapsed())));
    }
}

/// Ready at the end of the pause, if there is one.
async fn over(pause: &mut Option<Pin<Box<impl Future<Output = ()>>>>) {
    match pause {
        Some(pause) => pause.await,
        None => pending().await,
    }
}

/// Sleeps for a fraction of a millisecond. Tokio's clock ticks in whole ones, so a thread does it; should there be none, the
/// clock will do.
async fn rest(pause: Duration) {
    let _ = timeout(pause, spawn_blocking(move || thread::sleep(pause))).await;
}

/// Takes along what was offered with the first one.
async fn gather(first: Offer, offers: &mut mpsc::UnboundedReceiver<Offer>) -> (Vec<Idle>, Vec<Waiting>) {
    // Those whose turn has come with it are about to offer themselves, and one message wakes the successor once.
    yield_now().await;
    let others = std::iter::from_fn(|| offers.try_recv().ok());
    std::iter::once(first).chain(others.take(MOST - 1)).unzip()
}

/// Tells whose connections are. For each that is told, the next one's turn comes.
fn tell(settled: &mut Vec<(Waiting, Result<(), Idle>)>) {
    for (waiting, whose) in settled.drain(..) {
        // Nobody is there any more where a deadline has passed.
        let _ = waiting.send(whose);
    }
}

/// Nobody takes what is still offered.
async fn give_back(mut offers: mpsc::UnboundedReceiver<Offer>) {
    offers.close();
    while let Some((idle, waiting)) = offers.recv().await {
        let _ = waiting.send(Err(idle));
    }
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
    use tokio::time::sleep;

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
    async fn in_a_pause_nobodys_turn_comes_and_whoever_is_offered_goes_over() {
        let (successor, theirs) = successor();
        let mut arrivals = Receiver::new(&theirs);
        let first = offer(&successor);
        arrivals.next().await.expect("it was sent");
        // On the paused clock. The pause after it is one of the real clock, long enough for all that is below.
        sleep(STUCK_AFTER / 2).await;
        answer(&theirs, [true]).await.expect("somebody hears it");
        let second = offer(&successor);
        arrivals.next().await.expect("it was sent");
        assert!(!first.is_finished(), "it is told, and another one's turn comes");
        answer(&theirs, [true]).await.expect("somebody hears it");
        assert_eq!(whose(vec![first, second]).await, [true, true]);
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
