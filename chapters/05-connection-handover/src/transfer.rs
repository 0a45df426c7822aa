//! The old process's side: connections go to the successor.
//!
//! The invariant: every connection that was sent ends up with exactly one owner. The successor acknowledges a connection
//! before it serves it, and cannot acknowledge once the channel is broken off; so one that was not acknowledged is ours. (We
//! do not rely on that for the keys of one under TLS: it is closed, unless it was declined.)

use std::io;
use std::iter::repeat;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::channel::{Channel, MOST};
use crate::message::{MOST_READ_AHEAD, receive_answers, send};
use crate::socket::Socket;
use crate::tls::TlsOffer;

// ANCHOR: pace
/// How long the successor may take to acknowledge one batch. It needs about ten microseconds for each connection; a
/// successor that takes a second is stuck, and every connection that waits for it keeps a client waiting.
const STUCK_AFTER: Duration = Duration::from_secs(1);

/// Connections that are on their way at a time; the others are served meanwhile. Ten thousand at once would keep both
/// processes busy for a tenth of a second, and every client that asks meanwhile would wait for that.
const AT_A_TIME: usize = 32;

/// Pause after each batch, as a multiple of the time that the batch took: the processors are free in between. If other
/// work wants them, a batch takes longer, and so does its pause.
const PAUSES: u32 = 1;

const LONGEST_PAUSE: Duration = Duration::from_millis(10);
// ANCHOR_END: pace

// ANCHOR: transfer
/// An idle connection, away from the HTTP library.
pub(crate) struct Idle {
    /// The address of the listener that accepted it: the successor serves it with the service of that address.
    pub(crate) address: Arc<str>,
    pub(crate) socket: Socket,
    /// What the next process begins with.
    pub(crate) begin: Begin,
    /// The layer that was taken off the socket.
    pub(crate) tls: Option<Box<TlsOffer>>,
}

/// A connection on its way to another process. What is dropped comes back.
pub(crate) struct Transfer(Option<(Idle, oneshot::Sender<Option<Idle>>)>);

impl Transfer {
    pub(crate) fn new(idle: Idle) -> (Transfer, oneshot::Receiver<Option<Idle>>) {
        let (verdict, comes) = oneshot::channel();
        (Transfer(Some((idle, verdict))), comes)
    }

    pub(crate) fn connection(&self) -> Option<&Idle> {
        self.0.as_ref().map(|(idle, _)| idle)
    }

    /// It is the other process's now: closes our descriptor of it.
    fn commit(mut self) {
        if let Some((idle, verdict)) = self.0.take() {
            drop(idle);
            // `Err`: its task was cut meanwhile.
            let _ = verdict.send(None);
        }
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        if let Some((idle, verdict)) = self.0.take() {
            let _ = verdict.send(Some(idle));
        }
    }
}
// ANCHOR_END: transfer

impl Idle {
    /// Takes the layer off, if there is one. `Err`: it has to stay.
    pub(crate) fn offer(mut self) -> Result<Idle, Idle> {
        match self.socket.offer() {
            Ok((socket, tls)) => {
                if let Some(tls) = &tls {
                    self.begin.append(&tls.unread);
                }
                Ok(Idle { socket, tls, ..self })
            }
            Err(socket) => Err(Idle { socket, ..self }),
        }
    }

    /// Puts it on again. `None`: the successor may have the connection.
    pub(crate) fn resume(self) -> Option<(Socket, Begin)> {
        let wrap = match self.tls {
            Some(offer) => Some(offer.declined?),
            None => None,
        };
        Some((self.socket.wrap(wrap), self.begin))
    }
}

impl Transfer {
    /// It was sent, and the other process has not said whether it takes it. It comes back; if it has a layer, only to be closed.
    fn doubt(mut self) {
        if let Some(tls) = self.0.as_mut().and_then(|(idle, _)| idle.tls.as_mut()) {
            tls.declined = None;
        }
    }
}

/// Where a connection has got to.
#[derive(Debug, PartialEq)]
pub(crate) enum Begin {
    /// Bytes of the next requests.
    Bytes(Bytes),
    /// The state of an HTTP/2 connection, in the words of its gate.
    Http2(Bytes),
    /// The state of a tunnel, in the words of its protocol.
    Tunnel(Bytes),
}

impl Begin {
    fn append(&mut self, more: &[u8]) {
        let (Begin::Bytes(bytes) | Begin::Http2(bytes) | Begin::Tunnel(bytes)) = self;
        *bytes = [bytes, more].concat().into();
    }
}

/// See [`AT_A_TIME`].
pub(crate) type Permit = OwnedSemaphorePermit;

/// The way to one successor.
#[derive(Debug)]
pub(crate) struct Departures {
    queue: mpsc::UnboundedSender<Transfer>,
    permits: Arc<Semaphore>,
    recalled: CancellationToken,
}

impl Departures {
    /// To the successor at the other end of `channel`.
    ///
    /// # Errors
    /// If the runtime cannot wait on it.
    pub(crate) fn new(channel: OwnedFd) -> io::Result<Arc<Departures>> {
        let channel = Channel::new(channel)?;
        let (queue, queued) = mpsc::unbounded_channel();
        let recalled = CancellationToken::new();
        tokio::spawn(hand_over(channel, queued, recalled.clone()));
        Ok(Arc::new(Departures { queue, permits: Arc::new(Semaphore::new(AT_A_TIME)), recalled }))
    }

    /// A permit to go, held until the successor has answered. (`None` only if the semaphore were closed, and it never
    /// is.)
    pub(crate) async fn permit(&self) -> Option<Permit> {
        Arc::clone(&self.permits).acquire_owned().await.ok()
    }

    /// Sends a connection. `None`: it is the successor's now. Otherwise it is still ours.
    pub(crate) async fn send(&self, idle: Idle) -> Option<Idle> {
        let (Begin::Bytes(bytes) | Begin::Http2(bytes) | Begin::Tunnel(bytes)) = &idle.begin;
        if bytes.len() > MOST_READ_AHEAD {
            return Some(idle);
        }
        let (transfer, verdict) = Transfer::new(idle);
        // A closed queue gives it back by dropping it.
        drop(self.queue.send(transfer));
        verdict.await.ok().flatten()
    }

    /// Ends the handover: what the successor has not acknowledged comes back at once.
    pub(crate) fn recall(&self) {
        self.recalled.cancel();
    }
}

/// Sends what is queued, and commits what the successor acknowledges, until no connection can come any more.
async fn hand_over(channel: Channel, mut queued: mpsc::UnboundedReceiver<Transfer>, recalled: CancellationToken) {
    let mut batch = Vec::with_capacity(MOST);
    let mut handed_over = 0_usize;
    // When the next batch may begin.
    let mut due = Instant::now();
    let why = loop {
        tokio::select! {
            biased;
            () = recalled.cancelled() => {
                tracing::debug!(handed_over, "no connection is on its way");
                return;
            }
            received = queued.recv_many(&mut batch, MOST) => if received == 0 { return },
        }
        let began = Instant::now();
        let (mut sent, mut answers) = (0, Vec::new());
        let exchange = exchange(&channel, &batch, &mut sent, &mut answers);
        let broken = tokio::select! {
            biased;
            exchanged = timeout_at(began + STUCK_AFTER, exchange) => match exchanged {
                Ok(Ok(())) => None,
                Ok(Err(_)) => Some("the successor is gone"),
                Err(_) => Some("the successor is stuck"),
            },
            () = recalled.cancelled() => Some("there is no more time"),
        };
        if broken.is_some() {
            channel.break_off();
            // What it has acknowledged is in our receive queue; all other connections are ours.
            while let Ok(more) = receive_answers(&channel).await {
                answers.extend(more);
            }
            answers.truncate(sent);
        }
        let answers = answers.into_iter().map(Some).chain(repeat(None));
        for (number, (transfer, answer)) in batch.drain(..).zip(answers).enumerate() {
            match answer {
                Some(true) => {
                    handed_over += 1;
                    transfer.commit();
                }
                None if number < sent => transfer.doubt(),
                _ => drop(transfer),
            }
        }
        if let Some(why) = broken {
            break why;
        }
        // The runtime's clock has steps of a millisecond: this makes up for what was slept too long.
        let earliest = began.checked_sub(LONGEST_PAUSE).unwrap_or(began);
        due = (due.max(earliest) + began.elapsed() * (1 + PAUSES)).min(Instant::now() + LONGEST_PAUSE);
        sleep_until(due).await;
    };
    // What is queued comes back as it is dropped.
    tracing::warn!(why, handed_over, "the other connections stay here");
}

/// Sends all connections of a batch, and receives an answer for each.
async fn exchange(channel: &Channel, batch: &[Transfer], sent: &mut usize, answers: &mut Vec<bool>) -> io::Result<()> {
    while *sent < batch.len() {
        *sent += send(channel, &batch[*sent..]).await?;
        while answers.len() < *sent {
            answers.extend(receive_answers(channel).await?);
        }
        if answers.len() > *sent {
            // Answers about connections that it does not have.
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use tokio::task::{JoinHandle, yield_now};
    use tokio::time::sleep;
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::channel::pair;
    use crate::message::{Receiver, answer};

    /// A connection, and its client's end.
    fn connection() -> (Idle, UnixStream) {
        let (ours, client) = UnixStream::pair().expect("there are descriptors left");
        ours.set_nonblocking(true).expect("it is a socket");
        let socket = Socket::adopted(ours.into(), TaskTracker::new().token()).expect("the runtime waits on it");
        (Idle { address: "zero".into(), socket, begin: Begin::Bytes(Bytes::from_static(b"GET")), tls: None }, client)
    }

    /// The way to a successor, and the successor's end of it.
    fn successor() -> (Arc<Departures>, Channel) {
        let (ours, theirs) = pair().expect("there are descriptors left");
        (
            Departures::new(ours).expect("the runtime waits on it"),
            Channel::new(theirs).expect("the runtime waits on it"),
        )
    }

    /// Sends a connection, and finds out whether it is the successor's then.
    fn give(departures: &Arc<Departures>) -> JoinHandle<bool> {
        let (departures, (idle, client)) = (Arc::clone(departures), connection());
        tokio::spawn(async move {
            let back = departures.send(idle).await;
            drop(client);
            back.is_none()
        })
    }

    async fn given(all: Vec<JoinHandle<bool>>) -> Vec<bool> {
        let mut given = Vec::new();
        for one in all {
            given.push(one.await.expect("no panic"));
        }
        given
    }

    #[tokio::test]
    async fn a_transfer_that_is_dropped_comes_back_with_everything() {
        let (idle, _client) = connection();
        let (transfer, verdict) = Transfer::new(idle);
        drop(transfer);
        let back = verdict.await.expect("a drop is a verdict").expect("it was not committed");
        assert_eq!((&*back.address, back.begin), ("zero", Begin::Bytes(Bytes::from_static(b"GET"))));
    }

    #[tokio::test]
    async fn a_transfer_that_is_committed_is_closed_here() {
        let (idle, client) = connection();
        let (transfer, verdict) = Transfer::new(idle);
        transfer.commit();
        assert!(verdict.await.expect("a commit is a verdict").is_none());
        let gone = io::Read::read(&mut &client, &mut [0]).expect("it was closed in order");
        assert_eq!(gone, 0, "no other process has it, so its client sees the end");
    }

    #[tokio::test]
    async fn what_the_successor_acknowledges_is_its_own_and_what_it_declines_is_ours() {
        let (departures, theirs) = successor();
        let all = (0..3).map(|_| give(&departures)).collect();
        let (mut arrivals, mut answers) = (Receiver::new(&theirs), [true, false, true].into_iter());
        while answers.len() > 0 {
            let arrived = arrivals.next().await.expect("they were sent").len();
            answer(&theirs, answers.by_ref().take(arrived)).await.expect("the old process receives it");
        }
        assert_eq!(given(all).await, [true, false, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_successor_that_is_stuck_gets_nothing_and_cannot_claim_anything_later() {
        let (departures, theirs) = successor();
        let began = Instant::now();
        assert!(!give(&departures).await.expect("no panic"), "it has not acknowledged it");
        assert_eq!(began.elapsed().as_secs(), STUCK_AFTER.as_secs());
        let mut arrivals = Receiver::new(&theirs);
        let late = arrivals.next().await.expect("what was sent before is still there");
        answer(&theirs, [true]).await.expect_err("the old process serves it on, so no other process may");
        drop(late);
        assert!(!give(&departures).await.expect("no panic"), "nothing is sent any more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_successor_that_answers_one_by_one_has_no_more_time() {
        let (departures, theirs) = successor();
        let all = (0..3).map(|_| give(&departures)).collect();
        let mut arrivals = Receiver::new(&theirs);
        assert_eq!(arrivals.next().await.expect("they were sent").len(), 3);
        answer(&theirs, [true]).await.expect("the old process receives it");
        sleep(STUCK_AFTER / 2).await;
        answer(&theirs, [true]).await.expect("the old process receives it");
        sleep(STUCK_AFTER * 3 / 4).await;
        answer(&theirs, [true]).await.expect_err("that was too late");
        assert_eq!(given(all).await, [true, true, false], "an answer does not begin the time anew");
    }

    #[tokio::test(start_paused = true)]
    async fn a_successor_that_reads_nothing_holds_nothing() {
        let (departures, theirs) = successor();
        let all = (0..4 * MOST).map(|_| give(&departures)).collect();
        assert_eq!(given(all).await, [false; 4 * MOST]);
        drop(theirs);
    }

    #[tokio::test(start_paused = true)]
    async fn a_successor_that_is_gone_gets_nothing() {
        let (departures, theirs) = successor();
        drop(theirs);
        let began = Instant::now();
        assert!(!give(&departures).await.expect("no panic"));
        assert!(began.elapsed() < STUCK_AFTER, "there was nothing to wait for");
    }

    #[tokio::test]
    async fn a_successor_that_claims_what_it_was_not_sent_gets_nothing_more() {
        let (departures, theirs) = successor();
        let first = give(&departures);
        let mut arrivals = Receiver::new(&theirs);
        arrivals.next().await.expect("it was sent");
        answer(&theirs, [true, true, true]).await.expect("the old process receives it");
        assert!(first.await.expect("no panic"));
        assert!(!give(&departures).await.expect("no panic"), "it spoke of connections that it does not have");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_on_its_way_when_the_handover_ends_comes_back_at_once() {
        let (departures, theirs) = successor();
        let all = (0..3).map(|_| give(&departures)).collect();
        let mut arrivals = Receiver::new(&theirs);
        arrivals.next().await.expect("they were sent");
        answer(&theirs, [true]).await.expect("the old process receives it");
        let began = Instant::now();
        departures.recall();
        assert_eq!(given(all).await, [true, false, false], "what was acknowledged before stays acknowledged");
        assert!(began.elapsed() < STUCK_AFTER);
        answer(&theirs, [true]).await.expect_err("the old process serves them on, so no other process may");
    }

    /// A successor that is told of connections under TLS, and then: whether each that comes back may be written to.
    async fn comes_back(departures: &Arc<Departures>, then: impl Future<Output = ()>) -> Vec<Option<bool>> {
        let all: Vec<_> = (0..3)
            .map(|_| {
                let (departures, (idle, client)) = (Arc::clone(departures), connection());
                tokio::spawn(async move {
                    let back = departures.send(Idle { tls: Some(Box::new(TlsOffer::of(b"keys"))), ..idle }).await;
                    drop(client);
                    back.and_then(|back| back.tls).map(|tls| tls.declined.is_some())
                })
            })
            .collect();
        then.await;
        let mut back = Vec::new();
        for one in all {
            back.push(one.await.expect("no panic"));
        }
        back
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_successor_that_declines_lets_us_seal_again() {
        let (departures, theirs) = successor();
        let says = async {
            let mut arrivals = Receiver::new(&theirs);
            assert_eq!(arrivals.next().await.expect("they were sent").len(), 3);
            answer(&theirs, [true, false]).await.expect("the old process receives it");
        };
        assert_eq!(comes_back(&departures, says).await, [None, Some(true), Some(false)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_successor_that_is_gone_before_it_was_told_anything_has_no_keys() {
        let (departures, theirs) = successor();
        drop(theirs);
        assert_eq!(comes_back(&departures, async {}).await, [Some(true); 3]);
    }

    /// Whatever the successor does, and whenever the channel ends: what it could acknowledge is its own, all else is ours.
    #[tokio::test]
    async fn every_connection_has_one_owner() {
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let (departures, theirs) = successor();
            let all: Vec<_> = (0..random.usize(1..100)).map(|_| give(&departures)).collect();
            let (mut owned, many) = (0, all.len());
            let mut arrivals = Receiver::new(&theirs);
            let mut left = many;
            while left > 0 && random.u8(..) > 30 {
                let Some(arrived) = arrivals.next().await else { break };
                left -= arrived.len();
                let answers: Vec<_> = arrived.iter().map(|_| random.bool()).collect();
                if random.u8(..) < 30 {
                    departures.recall();
                    for _ in 0..random.u8(..4) {
                        yield_now().await;
                    }
                }
                let yes = answers.iter().filter(|yes| **yes).count();
                if answer(&theirs, answers).await.is_err() {
                    break;
                }
                owned += yes;
            }
            drop(theirs);
            let given = given(all).await.into_iter().filter(|given| *given).count();
            assert_eq!(
                given, owned,
                "seed {seed}: of {many}, the old process gave away {given}, and the new one has {owned}"
            );
        }
    }
}
