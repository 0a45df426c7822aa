//! Several requests at a time on one HTTP/2 connection.
//!
//! The invariant: a request is read by the server at most once, and a connection that ends is counted once, whichever
//! of its streams notices. See [`Client::StrictHttp2`](super::Client::StrictHttp2) for the rules.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::Mutex;

use super::answer::{Answer, Loss, causes};
use super::ending::{Ending, Watched};
use super::plan::{Plan, Target};
use super::socket::connect;
use super::strict::request;
use super::tally::Tally;
use super::worker::Ask;

/// What the streams of one connection share.
#[derive(Debug)]
pub(super) struct Shared {
    target: Target,
    request: Request<Full<Bytes>>,
    echo: Option<Bytes>,
    per_request: bool,
    /// Held while connecting, so that the others wait for the connection instead of opening more.
    current: Mutex<Option<Connection>>,
}

#[derive(Debug, Clone)]
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    ending: Arc<Ending>,
    /// Set by the first request on it, the one that has to be answered.
    asked: Arc<AtomicBool>,
}

/// One of the streams.
#[derive(Debug)]
pub(super) struct StrictHttp2 {
    shared: Arc<Shared>,
}

impl StrictHttp2 {
    pub(super) fn new(shared: Arc<Shared>) -> StrictHttp2 {
        StrictHttp2 { shared }
    }
}

impl Shared {
    pub(super) fn new(plan: &Plan) -> Shared {
        // HTTP/2 takes `:scheme` and `:authority` from an absolute URI.
        let uri = format!("http://{}{}", plan.target.authority(), plan.request.path);
        Shared {
            target: plan.target.clone(),
            request: request(plan, &uri),
            echo: plan.request.echo.clone(),
            per_request: plan.per_request,
            current: Mutex::new(None),
        }
    }

    async fn connection(&self, tally: &mut Tally) -> Result<Connection, Loss> {
        let mut current = self.current.lock().await;
        if let Some(connection) = &*current {
            return Ok(connection.clone());
        }
        let socket = connect(&self.target).await?;
        tally.connections += 1;
        let (socket, ending) = Watched::new(socket);
        let shaken = handshake(TokioExecutor::new(), TokioIo::new(socket)).await;
        let (sender, connection) = shaken.map_err(|error| Loss::CutOff(causes(&error)))?;
        tokio::spawn(connection);
        let connection = Connection { sender, ending, asked: Arc::default() };
        Ok(current.insert(connection).clone())
    }

    /// Takes a connection that ended, or lost a request, out of use, unless another stream has done so already.
    async fn retire(&self, ended: &Connection, tally: &mut Tally) {
        let mut current = self.current.lock().await;
        if current.take_if(|connection| Arc::ptr_eq(&connection.ending, &ended.ending)).is_some() {
            ended.ending.count(tally);
        }
    }
}

impl StrictHttp2 {
    async fn ask_on(&self, connection: &mut Connection) -> Asked {
        let first = !connection.asked.swap(true, Ordering::Relaxed);
        let response = match connection.sender.try_send_request(self.shared.request.clone()).await {
            Ok(response) => response,
            Err(error) if !first && error.message().is_some() => return Asked::Unwritten,
            Err(error) if !first && is_given_back(error.error()) => return Asked::Unread,
            Err(error) => {
                let loss = Loss::CutOff(causes(error.error()));
                return Asked::Taken(Err(if first { loss.on_new_connection() } else { loss }));
            }
        };
        Asked::Taken(Answer::read(response, self.shared.echo.as_ref()).await)
    }
}

/// How far a request came.
enum Asked {
    /// hyper did not take it up: the connection had closed, or was about to.
    Unwritten,
    /// The server said that it did not look at it.
    Unread,
    /// It may have been acted on, whatever became of the answer.
    Taken(Result<Answer, Loss>),
}

/// Whether this is what h2 says to the streams above the last one that a GOAWAY names.
fn is_given_back(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|error| error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR))
}

impl Ask for StrictHttp2 {
    async fn ask(&mut self, tally: &mut Tally) -> Result<Answer, Loss> {
        loop {
            let mut connection = self.shared.connection(tally).await?;
            let asked = self.ask_on(&mut connection).await;
            if !matches!(asked, Asked::Taken(Ok(_) | Err(Loss::Wrong(_)))) {
                self.shared.retire(&connection, tally).await;
            } else if self.shared.per_request {
                self.shared.current.lock().await.take();
            }
            match asked {
                Asked::Taken(answer) => return answer,
                Asked::Unread => tally.given_back += 1,
                Asked::Unwritten => {}
            }
        }
    }

    async fn leave(self, tally: &mut Tally) {
        if let Some(connection) = self.shared.current.lock().await.take() {
            connection.ending.count(tally);
        }
    }
}
