// ANCHOR: all
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
// ANCHOR_END: all
