//! The service that every chapter serves: the article's `/sleep/`, and what it takes to watch a server from outside.
//!
//! The invariant: every answer names the process and the generation that gave it; a bad request gets a 4xx and a
//! sentence.

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Frame;
use hyper::header::{ALLOW, HeaderName, HeaderValue};
use hyper::service::{Service, service_fn};
use hyper::{Method, Request, Response, StatusCode};
use jiff::Timestamp;
use tokio::time::{Sleep, sleep};

use crate::options::parse_duration;

const X_PID: HeaderName = HeaderName::from_static("x-pid");
const X_GENERATION: HeaderName = HeaderName::from_static("x-generation");

type BoxError = Box<dyn Error + Send + Sync>;
/// The body of the demo's answers.
pub type Body = BoxBody<Bytes, BoxError>;

/// A request that cannot be answered as asked: the status, and the sentence that says why.
type Refusal = (StatusCode, String);

/// The names of the demo's listeners, in the order of `--listen`. The first three are the article's.
pub fn names() -> impl Iterator<Item = String> {
    let of_the_article = ["zero", "first", "second"].map(str::to_owned);
    of_the_article.into_iter().chain((3..).map(|number| format!("listener-{number}")))
}

/// The demo for the listener `name`, which answers `/readyz` with 200 for as long as `is_ready`.
///
/// The request's body is generic, so the same demo also runs on the plain hyper server that ours are compared with.
#[must_use]
pub fn service<B, R>(
    name: &str,
    generation: u64,
    is_ready: R,
) -> impl Service<Request<B>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + Sync + use<B, R>
where
    B: hyper::body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Sync + 'static,
    R: Fn() -> bool + Send + Sync + 'static,
{
    let demo = Arc::new(Demo {
        name: name.to_owned(),
        generation,
        pid: std::process::id(),
        started: Timestamp::now(),
        is_ready,
    });
    service_fn(move |request| {
        let demo = Arc::clone(&demo);
        async move { Ok::<_, Infallible>(demo.answer(request).await) }
    })
}

struct Demo<R> {
    name: String,
    generation: u64,
    pid: u32,
    started: Timestamp,
    is_ready: R,
}

impl<R: Fn() -> bool> Demo<R> {
    async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Sync + 'static,
    {
        let allowed = if request.uri().path() == "/echo" { "POST" } else { "GET, HEAD" };
        let mut response = self.route(request).await.unwrap_or_else(|(status, sentence)| {
            let mut refused = Response::new(text(format!("{sentence}\n")));
            *refused.status_mut() = status;
            refused
        });
        if response.status() == StatusCode::METHOD_NOT_ALLOWED {
            // RFC 9110, section 15.5.6: a 405 lists the methods that are allowed.
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
        }
        response.headers_mut().insert(X_PID, HeaderValue::from(self.pid));
        response.headers_mut().insert(X_GENERATION, HeaderValue::from(self.generation));
        response
    }

    async fn route<B>(&self, request: Request<B>) -> Result<Response<Body>, Refusal>
    where
        B: hyper::body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Sync + 'static,
    {
        let query = request.uri().query().unwrap_or_default();
        match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, path) => match path {
                "/" => {
                    Ok(Response::new(text(format!("hello from pid {}, generation {}\n", self.pid, self.generation))))
                }
                "/sleep" | "/sleep/" => self.sleep(duration(query, "duration")?).await,
                "/stream" => {
                    let chunks = parameter(query, "chunks")?;
                    let chunks =
                        chunks.parse().map_err(|_| bad(&format!("chunks={chunks} is not a number of lines")))?;
                    let interval = duration(query, "interval")?;
                    let lines = Lines { written: 0, chunks, interval, pause: Box::pin(sleep(interval)) };
                    Ok(Response::new(lines.map_err(|never| match never {}).boxed()))
                }
                "/readyz" => Ok(self.readyz()),
                "/echo" => Err((StatusCode::METHOD_NOT_ALLOWED, "POST something to /echo".to_owned())),
                _ => Err(nothing_at(path)),
            },
            (&Method::POST, "/echo") => Ok(Response::new(request.into_body().map_err(Into::into).boxed())),
            (_, path @ ("/" | "/sleep" | "/sleep/" | "/stream" | "/readyz" | "/echo")) => {
                Err((StatusCode::METHOD_NOT_ALLOWED, format!("{} is not allowed for {path}", request.method())))
            }
            (_, path) => Err(nothing_at(path)),
        }
    }

    async fn sleep(&self, duration: Duration) -> Result<Response<Body>, Refusal> {
        sleep(duration).await;
        let Demo { name, started, pid, .. } = self;
        let nanos = duration.as_nanos();
        Ok(Response::new(text(format!("{name} started at {started} slept for {nanos} nanoseconds from pid {pid}.\n"))))
    }

    /// 503 from the moment the server stops: a load balancer that checks it sends no more clients here.
    fn readyz(&self) -> Response<Body> {
        let (status, sentence) = if (self.is_ready)() {
            (StatusCode::OK, "ready\n")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
        };
        let mut response = Response::new(text(sentence));
        *response.status_mut() = status;
        response
    }
}

fn text(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never| match never {}).boxed()
}

/// Lines, the first at once and each further one an `interval` later.
///
/// The body writes them itself. A runtime that is dropped might end a separate task before the connection; the answer
/// would then break off and look complete.
struct Lines {
    written: u64,
    chunks: u64,
    interval: Duration,
    pause: Pin<Box<Sleep>>,
}

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.written == self.chunks {
            return Poll::Ready(None);
        }
        if self.written > 0 {
            ready!(self.pause.as_mut().poll(cx));
        }
        self.written += 1;
        self.pause = Box::pin(sleep(self.interval));
        let line = format!("line {} of {}\n", self.written, self.chunks);
        Poll::Ready(Some(Ok(Frame::data(line.into()))))
    }
}

fn duration(query: &str, key: &str) -> Result<Duration, Refusal> {
    let value = parameter(query, key)?;
    parse_duration(&value).map_err(|sentence| bad(&format!("{key}={value} is not a duration: {sentence}")))
}

fn parameter(query: &str, key: &str) -> Result<String, Refusal> {
    let found = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == key);
    found.map(|(_, value)| value.into_owned()).ok_or_else(|| bad(&format!("the query needs {key}=…")))
}

fn bad(sentence: &str) -> Refusal {
    (StatusCode::BAD_REQUEST, sentence.to_owned())
}

fn nothing_at(path: &str) -> Refusal {
    (StatusCode::NOT_FOUND, format!("there is nothing at {path}"))
}
