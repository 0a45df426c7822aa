//! One request and its answer, counted from head to last byte; and the word that ends a connection politely.
//!
//! The invariant: `Connection: close` is said only on an answer behind which, as far as anybody can see, no further
//! request waits. So nobody is told "no more" about a request they had already sent.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::service::Service;
use hyper::{Method, Request, Response, StatusCode, Version};
use pin_project_lite::pin_project;

use crate::body::RequestBody;
use crate::phase::Phase;
use crate::traffic::Traffic;

// ANCHOR: counted
/// A service whose exchanges are counted on their connection.
#[derive(Debug, Clone)]
pub(crate) struct Counted<S> {
    pub(crate) service: S,
    pub(crate) traffic: Arc<Traffic>,
}

/// One exchange. Ends when dropped: with the last byte of the answer, or when it is given up.
#[derive(Debug)]
struct Exchange {
    traffic: Arc<Traffic>,
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.traffic.exchange_ends();
        // In phase `Cut` it did not come to its own end, and its connection has counted it as cut.
        let draining = !matches!(self.traffic.draining.phase(), Phase::Serving | Phase::Cut);
        if draining && !self.traffic.is_upgraded() {
            self.traffic.ledger.finished.fetch_add(1, Relaxed);
        }
    }
}

impl<S, B> Service<Request<Incoming>> for Counted<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>>,
{
    type Response = Response<CountedBody<B>>;
    type Error = S::Error;
    type Future = Answer<S::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.traffic.exchange_begins();
        let exchange = Exchange { traffic: Arc::clone(&self.traffic) };
        let (version, connects) = (request.version(), request.method() == Method::CONNECT);
        let request = request.map(|body| RequestBody::new(body, &self.traffic));
        Answer { future: self.service.call(request), exchange: Some(exchange), version, connects }
    }
}
// ANCHOR_END: counted

pin_project! {
    /// The answer to one request, on its way.
    #[derive(Debug)]
    pub(crate) struct Answer<F> {
        #[pin]
        future: F,
        exchange: Option<Exchange>,
        version: Version,
        connects: bool,
    }
}

impl<F, B, E> Future for Answer<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<CountedBody<B>>, E>;

    // ANCHOR: answer
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.future.poll(cx))?;
        let Some(exchange) = this.exchange.take() else { unreachable!("a future is not polled after it is ready") };
        exchange.traffic.answer_begins();
        if *this.version != Version::HTTP_2 {
            let upgrades = response.status() == StatusCode::SWITCHING_PROTOCOLS
                || *this.connects && response.status().is_success();
            if upgrades {
                exchange.traffic.upgrades();
            } else if exchange.traffic.is_to_close() && exchange.traffic.has_nothing_to_read() {
                say_close(&mut response, *this.version);
            }
        }
        Poll::Ready(Ok(response.map(|body| CountedBody { body, exchange })))
    }
    // ANCHOR_END: answer
}

// ANCHOR: say_close
/// hyper closes the connection after this answer, and the client knows that it will.
fn say_close<B>(response: &mut Response<B>, asked_in: Version) {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    if asked_in == Version::HTTP_10 {
        // To an HTTP/1.0 client that asked for keep-alive, hyper would add `keep-alive` behind our `close`, unless the
        // answer itself is HTTP/1.0.
        *response.version_mut() = Version::HTTP_10;
    }
}
// ANCHOR_END: say_close

// ANCHOR: body
pin_project! {
    /// A body that keeps its exchange open until its last byte.
    #[derive(Debug)]
    pub(crate) struct CountedBody<B> {
        #[pin]
        body: B,
        exchange: Exchange,
    }
}

impl<B: Body> Body for CountedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    // Without it, every answer would be chunked.
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
// ANCHOR_END: body
