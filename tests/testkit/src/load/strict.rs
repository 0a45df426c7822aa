//! HTTP/1.1 on a connection of its own.
//!
//! The invariant: a request is written at most once. See [`Client::Strict`](super::Client::Strict) for the rules.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONNECTION, HOST, HeaderValue};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;

use super::answer::{Answer, Loss, announces_close, causes};
use super::plan::{Plan, Target};
use super::socket::connect;
use super::tally::Tally;
use super::worker::Ask;

#[derive(Debug)]
pub(super) struct Strict {
    target: Target,
    request: Request<Full<Bytes>>,
    echo: Option<Bytes>,
    per_request: bool,
    /// Open, as far as we know, with at least one answer on it and no `Connection: close`. Not here while it is in use:
    /// if a request is given up, its connection goes with it.
    idle: Option<SendRequest<Full<Bytes>>>,
}

impl Strict {
    pub(super) fn new(plan: &Plan) -> Strict {
        let mut request = request(plan, &plan.request.path);
        let host = HeaderValue::from_str(plan.target.authority()).expect("an address is a header value");
        request.headers_mut().insert(HOST, host);
        if plan.per_request {
            request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let target = plan.target.clone();
        Strict { target, request, echo: plan.request.echo.clone(), per_request: plan.per_request, idle: None }
    }

    async fn ask_once(&mut self, tally: &mut Tally) -> Result<Answer, Loss> {
        if let Some(mut sender) = self.idle.take() {
            match send(&mut sender, self.request.clone()).await {
                Sent::Taken(response) => return self.receive(sender, response, tally).await,
                Sent::GivenBack => tally.closed_unannounced += 1,
            }
        }
        let mut sender = self.connect(tally).await?;
        let response = sender.send_request(self.request.clone()).await;
        self.receive(sender, response, tally).await.map_err(Loss::on_new_connection)
    }

    async fn receive(
        &mut self,
        sender: SendRequest<Full<Bytes>>,
        response: hyper::Result<Response<Incoming>>,
        tally: &mut Tally,
    ) -> Result<Answer, Loss> {
        let response = response.map_err(|error| Loss::CutOff(causes(&error)))?;
        let last = announces_close(&response);
        let answer = Answer::read(response, self.echo.as_ref()).await?;
        if !self.per_request {
            tally.closed_announced += u64::from(last);
            self.idle = (!last).then_some(sender);
        }
        Ok(answer)
    }

    async fn connect(&self, tally: &mut Tally) -> Result<SendRequest<Full<Bytes>>, Loss> {
        let socket = connect(&self.target).await?;
        tally.connections += 1;
        let shaken = handshake(TokioIo::new(socket)).await;
        let (sender, connection) = shaken.map_err(|error| Loss::CutOff(causes(&error)))?;
        // Its own task, so that a close is seen while we think. How it ends, the next request finds out.
        tokio::spawn(connection);
        Ok(sender)
    }
}

impl Ask for Strict {
    async fn ask(&mut self, tally: &mut Tally) -> Result<Answer, Loss> {
        let asked = self.ask_once(tally).await;
        tally.closed_unannounced += u64::from(matches!(asked, Err(Loss::CutOff(_))));
        asked
    }

    async fn leave(self, tally: &mut Tally) {
        tally.closed_unannounced += u64::from(self.idle.is_some_and(|sender| sender.is_closed()));
    }
}

/// Whether a request was taken up by its connection, and so may have been written in part or in full.
enum Sent {
    Taken(hyper::Result<Response<Incoming>>),
    GivenBack,
}

async fn send(sender: &mut SendRequest<Full<Bytes>>, request: Request<Full<Bytes>>) -> Sent {
    // Waits for nothing but news of a close that hyper has already read.
    if sender.ready().await.is_err() {
        return Sent::GivenBack;
    }
    match sender.try_send_request(request).await {
        Ok(response) => Sent::Taken(Ok(response)),
        Err(error) if error.message().is_some() => Sent::GivenBack,
        Err(error) => Sent::Taken(Err(error.into_error())),
    }
}

/// What every strict client sends, with `uri` in the form that its protocol wants.
pub(super) fn request(plan: &Plan, uri: &str) -> Request<Full<Bytes>> {
    let method = if plan.request.echo.is_some() { Method::POST } else { Method::GET };
    let body = Full::new(plan.request.echo.clone().unwrap_or_default());
    Request::builder().method(method).uri(uri).body(body).expect("the path of a request is a valid URI")
}
