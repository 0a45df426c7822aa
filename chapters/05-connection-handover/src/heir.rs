//! The old process's side: connections are offered to the successor.
//!
//! The invariant: of every connection that was sent, it is known in the end whose it is. The successor's if it said so
//! before the channel broke, else ours: it says so before it serves, and on a broken channel it cannot say so any more.

use std::io;
use std::iter::{once, repeat};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{self, SendError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use graceful_shutdown::{Heir, Offer};
use nix::libc;

use crate::channel::{MOST, OldEnd};
use crate::message::{hear_answers, send};

// ANCHOR: patience
/// How long the successor may take for the connections that it was sent at a time. It needs some ten microseconds for each; one
/// that takes a second is stuck, and every connection that waits for it keeps a client waiting.
const STUCK_AFTER: Duration = Duration::from_secs(1);

/// Connections that are offered at a time. They go in one message and wait for one answer, a fraction of a millisecond; all
/// others are served meanwhile.
///
/// A connection takes each process some ten microseconds, and ten thousand in one go keep two processors busy for a tenth of
/// a second: whoever asks meanwhile waits for the scheduler's time slices. So they go in small pieces.
const AT_A_TIME: usize = 16;

/// How long the pause after each piece is, in times of what the piece took: the processors are free in between. If others
/// want them, a piece takes longer, and so does its pause.
const PAUSES: u32 = 2;

const LONGEST_PAUSE: Duration = Duration::from_millis(10);
// ANCHOR_END: patience

/// The successor, as whoever takes our connections.
#[derive(Debug)]
pub(crate) struct Successor {
    channel: Arc<OldEnd>,
    /// `None` only in `drop`.
    offers: Option<mpsc::Sender<Offer>>,
    thread: Option<JoinHandle<()>>,
}

impl Successor {
    /// The one at the far end of `channel`.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub(crate) fn over(channel: OwnedFd) -> io::Result<Arc<Successor>> {
        let channel = Arc::new(OldEnd::new(channel)?);
        let (offers, offered) = mpsc::channel();
        let thread = {
            let channel = Arc::clone(&channel);
            thread::Builder::new().name("handover".into()).spawn(move || hand_over(&channel, &offered))?
        };
        Ok(Arc::new(Successor { channel, offers: Some(offers), thread: Some(thread) }))
    }
}

// ANCHOR: offer
impl Heir for Successor {
    fn take(&self, offer: Offer) {
        let Some(offers) = &self.offers else { return offer.decline() };
        if let Err(SendError(offer)) = offers.send(offer) {
            offer.decline();
        }
    }

    fn at_a_time(&self) -> usize {
        AT_A_TIME
    }
}
// ANCHOR_END: offer

// ANCHOR: drop
impl Drop for Successor {
    /// Ends the thread. Nobody waits for it any more, or the deadline has passed: then it should not wait either.
    fn drop(&mut self) {
        self.channel.break_off();
        self.offers = None;
        // `Err` if it panicked, which it has said.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
// ANCHOR_END: drop

// ANCHOR: hand_over
/// Sends what is offered, and tells whose each connection is, until nobody can offer anything any more.
fn hand_over(channel: &OldEnd, offered: &mpsc::Receiver<Offer>) {
    keep_what_is_freed();
    while let Ok(first) = offered.recv() {
        let began = Instant::now();
        // Those that were offered in the pause go together: a message wakes each process once.
        let offers: Vec<_> = once(first).chain(offered.try_iter().take(MOST - 1)).collect();
        let mut answers = Vec::new();
        let deadline = began + STUCK_AFTER;
        let broken = exchange(channel, &offers, &mut answers, deadline).err();
        if broken.is_some() {
            channel.break_off();
            // What it said before is heard out, without a wait. All others are ours.
            while hear(channel, &mut answers, Instant::now() + STUCK_AFTER).is_ok() {}
        }
        let heard = Instant::now();
        let pause = LONGEST_PAUSE.min((heard - began) * PAUSES);
        // The next ones' turn comes.
        for (offer, taken) in offers.into_iter().zip(answers.into_iter().chain(repeat(false))) {
            if taken { drop(offer) } else { offer.decline() }
        }
        if let Some(error) = broken {
            let stuck = error.kind() == io::ErrorKind::WouldBlock;
            let why = if stuck { "the successor is stuck" } else { "the successor is gone" };
            tracing::warn!(why, "the other connections stay, and are closed politely");
            // Nobody takes what is still offered.
            return offered.iter().for_each(Offer::decline);
        }
        thread::sleep(pause.saturating_sub(heard.elapsed()));
    }
}

/// Sends connections, message by message, and hears whose they are.
fn exchange(channel: &OldEnd, offers: &[Offer], answers: &mut Vec<bool>, deadline: Instant) -> io::Result<()> {
    let mut sent = 0;
    while sent < offers.len() {
        sent += send(channel, &offers[sent..], deadline)?;
        while answers.len() < sent {
            hear(channel, answers, deadline)?;
        }
    }
    Ok(())
}

/// Hears whose the next of them are.
fn hear(channel: &OldEnd, answers: &mut Vec<bool>, deadline: Instant) -> io::Result<()> {
    answers.extend(hear_answers(channel, deadline)?);
    Ok(())
}
// ANCHOR_END: hand_over

// ANCHOR: keep
/// Has the allocator give nothing back to the kernel from now on: this process will end, and that gives back all of it.
///
/// With the last of ten thousand connections glibc would give back tens of megabytes at once, wherever that last one is freed:
/// milliseconds for a thread that still has requests to answer.
fn keep_what_is_freed() {
    // SAFETY: it sets a number (mallopt(3)), under the allocator's own locks.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
    }
}
// ANCHOR_END: keep

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use bytes::Bytes;
    use graceful_shutdown::{Heir as _, Idle};
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use tokio::sync::oneshot;
    use tokio::task::{JoinHandle, yield_now};
    use tokio::time::sleep;

    use super::*;
    use crate::channel::NewEnd;
    use crate::message::{Arrival, Receiver, answer};

    /// A successor as the old process sees it, and the other end of the channel.
    fn successor() -> (Arc<Successor>, NewEnd) {
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .expect("there are descriptors left");
        let successor = Successor::over(ours).expect("there is a thread");
        (successor, NewEnd::new(theirs).expect("the runtime waits on it"))
    }

    /// Offers a connection on which half a head was read.
    fn offer(successor: &Arc<Successor>) -> JoinHandle<bool> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("any port will do");
        let socket = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
        let (successor, unparsed) = (Arc::clone(successor), Bytes::from_static(b"GET /"));
        let idle = Idle { listener: "zero".into(), socket: socket.into(), unparsed };
        let (decline, declined) = oneshot::channel();
        let offer = Offer::new(idle, |idle| decline.send(idle).expect("somebody waits"));
        tokio::spawn(async move {
            successor.take(offer);
            declined.await.is_err()
        })
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
    async fn connections_that_were_offered_meanwhile_go_together_and_may_be_answered_one_by_one() {
        let (successor, theirs) = successor();
        let mut arrivals = Receiver::new(&theirs);
        let first = offer(&successor);
        arrivals.next().await.expect("it was sent");
        let offered = (0..5).map(|_| offer(&successor)).collect();
        // On one thread: each has made its offer when it is our turn again.
        yield_now().await;
        answer(&theirs, [true]).await.expect("somebody hears it");
        assert!(first.await.expect("no panic"));
        assert_eq!(arrivals.next().await.map(|arrivals| arrivals.len()), Some(5));
        answer(&theirs, [true, false]).await.expect("somebody hears it");
        answer(&theirs, [true, true, false]).await.expect("somebody hears it");
        assert_eq!(whose(offered).await, [true, false, true, true, false]);
    }

    #[tokio::test]
    async fn what_a_successor_that_died_had_not_answered_is_still_ours() {
        let (successor, theirs) = successor();
        let mut arrivals = Receiver::new(&theirs);
        let mut offered = vec![offer(&successor)];
        arrivals.next().await.expect("it was sent");
        offered.extend((0..2).map(|_| offer(&successor)));
        yield_now().await;
        answer(&theirs, [true]).await.expect("somebody hears it");
        arrivals.next().await.expect("they were sent");
        drop(theirs);
        assert_eq!(
            whose(offered).await,
            [true, false, false],
            "the first one was answered for, the other two were not"
        );
        assert!(!offer(&successor).await.expect("no panic"), "nobody is there any more");
    }

    #[tokio::test]
    async fn after_a_piece_that_took_long_comes_a_pause() {
        let (successor, theirs) = successor();
        let mut arrivals = Receiver::new(&theirs);
        let first = offer(&successor);
        arrivals.next().await.expect("it was sent");
        sleep(LONGEST_PAUSE).await;
        let answered = Instant::now();
        answer(&theirs, [true]).await.expect("somebody hears it");
        assert!(first.await.expect("no panic"), "it is told before the pause");
        let second = offer(&successor);
        arrivals.next().await.expect("it was sent");
        assert!(answered.elapsed() >= LONGEST_PAUSE, "there was no pause");
        answer(&theirs, [true]).await.expect("somebody hears it");
        assert!(second.await.expect("no panic"));
    }

    #[tokio::test]
    async fn a_successor_that_is_stuck_gets_nothing_and_cannot_claim_anything_later() {
        let (successor, theirs) = successor();
        assert!(!offer(&successor).await.expect("no panic"), "it has not said that it took it");
        let mut arrivals = Receiver::new(&theirs);
        let late = arrivals.next().await.expect("what was sent before is still there");
        answer(&theirs, [true]).await.expect_err("the old process serves it on, so nobody else may");
        drop(late);
    }

    #[tokio::test]
    async fn a_successor_that_answers_one_by_one_has_no_more_time() {
        let (successor, theirs) = successor();
        let mut arrivals = Receiver::new(&theirs);
        let first = offer(&successor);
        arrivals.next().await.expect("it was sent");
        let offered: Vec<_> = (0..3).map(|_| offer(&successor)).collect();
        yield_now().await;
        answer(&theirs, [true]).await.expect("somebody hears it");
        assert!(first.await.expect("no panic"));
        arrivals.next().await.expect("they were sent");
        sleep(STUCK_AFTER / 2).await;
        answer(&theirs, [true]).await.expect("somebody hears it");
        sleep(STUCK_AFTER * 3 / 4).await;
        answer(&theirs, [true]).await.expect_err("that was too late");
        assert_eq!(whose(offered).await, [true, false, false], "an answer does not begin the time anew");
    }

    #[tokio::test]
    async fn a_successor_that_reads_nothing_does_not_hold_more_than_its_queue() {
        let (successor, theirs) = successor();
        let offered = (0..4 * MOST).map(|_| offer(&successor)).collect();
        assert_eq!(whose(offered).await, [false; 4 * MOST]);
        drop(theirs);
    }
}
