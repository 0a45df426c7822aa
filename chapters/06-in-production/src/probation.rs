//! A successor that accepts is on probation: this process stays, drained or not, and takes over again if it is no good.
//!
//! The invariant: a probation ends when its time is up, when the successor is replaced or stopped itself, or when the
//! successor has failed; and only in the last case does this process accept again.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use graceful_shutdown::Address;
use graceful_upgrade::Rejecter;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, timeout};
use tokio_util::either::Either;

use crate::progress::{Progress, Stage};

/// From one health check to the next.
const INTERVAL: Duration = Duration::from_millis(250);

/// How long an answer may take.
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);

/// How many checks in a row have to fail. One may meet a moment in which the machine is busy.
const FAILURES: u32 = 2;

/// How long a successor is on probation, and what it is asked meanwhile.
#[derive(Debug, Clone)]
pub(crate) struct Probation {
    pub(crate) lasts: Duration,
    /// The listener and the path.
    pub(crate) health: Option<(String, String)>,
    /// Where the listeners are, by name.
    pub(crate) addresses: Arc<Mutex<Vec<(String, Address)>>>,
}

impl Probation {
    /// Begins it: the successor accepts.
    pub(crate) fn begin(&self, progress: &Progress, rejecter: Rejecter) {
        if self.lasts.is_zero() {
            return progress.trust();
        }
        let (probation, progress) = (self.clone(), progress.clone());
        tokio::spawn(async move {
            let mut seen = progress.watch();
            tokio::select! {
                _ = seen.wait_for(|seen| seen.stage != Stage::Probation) => {}
                () = sleep(probation.lasts) => progress.trust(),
                reason = probation.fails() => rejecter.reject(reason),
            }
        });
    }

    /// Completes when the successor has failed its health check, with the reason.
    async fn fails(&self) -> String {
        let known = self.addresses.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let asked = self.health.as_ref();
        let Some((address, path)) =
            asked.and_then(|(name, path)| Some((&known.iter().find(|(known, _)| known == name)?.1, path)))
        else {
            return std::future::pending().await;
        };
        let mut failures = 0;
        loop {
            let answer = timeout(ANSWERED_WITHIN, ask(address, path)).await;
            let answer =
                answer.unwrap_or_else(|_| Err(io::Error::other(format!("no answer within {ANSWERED_WITHIN:?}"))));
            let reason = match answer {
                Ok(status) if status.is_success() => None,
                Ok(status) => Some(format!("it answered {status}")),
                Err(error) => Some(error.to_string()),
            };
            failures = reason.as_ref().map_or(0, |_| failures + 1);
            if let Some(reason) = reason.filter(|_| failures >= FAILURES) {
                return format!("it failed its health check at {address}{path}: {reason}");
            }
            sleep(INTERVAL).await;
        }
    }
}

/// One request on a connection of its own.
async fn ask(address: &Address, path: &str) -> io::Result<StatusCode> {
    let stream = match address {
        Address::Tcp(address) => Either::Left(TcpStream::connect(address).await?),
        Address::Unix(path) => Either::Right(UnixStream::connect(path).await?),
    };
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let request = Request::get(path).header(HOST, "localhost").body(Empty::<Bytes>::new()).map_err(io::Error::other)?;
    // It ends with the sender.
    tokio::spawn(connection);
    Ok(sender.send_request(request).await.map_err(io::Error::other)?.status())
}
