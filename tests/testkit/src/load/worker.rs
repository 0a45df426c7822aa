//! One client at work: wait until a request is due, ask, count.
//!
//! The invariant: whatever happens to a request, exactly one of `answered` and `lost` grows by one.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::answer::{Answer, Loss};
use super::journal::{Entry, Fate};
use super::pace::Pacer;
use super::progress::Progress;
use super::tally::Tally;

/// The pause after a refused connection. Without it, the clients of a server that is gone, or not yet there, would use
/// up all the processor time of the machine that it has to start on.
const AFTER_REFUSAL: Duration = Duration::from_millis(1);

/// A client, with its request and its server.
pub(super) trait Ask: Send + 'static {
    /// Asks once. Connections opened and closed on the way are counted in `tally`.
    ///
    /// Dropping the future gives the request up, and the connection with it.
    fn ask(&mut self, tally: &mut Tally) -> impl Future<Output = Result<Answer, Loss>> + Send;

    /// Counts what became of the connection since the last answer, and closes it.
    fn leave(self, tally: &mut Tally) -> impl Future<Output = ()> + Send;
}

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) pacer: Pacer,
    pub(super) timeout: Duration,
    pub(super) progress: Arc<Progress>,
    pub(super) stopped: watch::Receiver<bool>,
    /// The client's number, if the journal has each of its requests.
    pub(super) journal: Option<u32>,
}

impl Worker {
    pub(super) async fn work(mut self, mut client: impl Ask) -> Tally {
        let mut tally = Tally::default();
        while let Some(from) = self.next().await {
            let asked = timeout(self.timeout, client.ask(&mut tally)).await;
            let to = Instant::now();
            let first = tally.requests == 0;
            tally.requests += 1;
            let asked = asked.unwrap_or_else(|_| Err(Loss::Wrong(format!("no answer within {:?}", self.timeout))));
            if let Some(client) = self.journal {
                let (from, to) = (from.into_std(), to.into_std());
                tally.journal.push(Entry { client, from, to, fate: Fate::from(&asked) });
            }
            match asked {
                Ok(answer) => {
                    let during = self.progress.note_answer(first, from.into_std(), to.into_std(), answer.generation);
                    tally.note_answer(answer.generation, to - from, during);
                }
                Err(loss) => {
                    let refused = matches!(loss, Loss::Refused(_));
                    self.progress.note_loss(first);
                    tally.note_loss(loss);
                    if refused {
                        sleep(AFTER_REFUSAL).await;
                    }
                }
            }
        }
        client.leave(&mut tally).await;
        tally
    }

    /// The moment from which the next request counts, or `None` once the load stops.
    async fn next(&mut self) -> Option<Instant> {
        tokio::select! {
            biased;
            _ = self.stopped.wait_for(|stop| *stop) => None,
            from = self.pacer.next() => Some(from),
        }
    }
}
