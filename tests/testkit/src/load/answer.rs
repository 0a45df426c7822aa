//! What counts as an answer.
//!
//! The invariant: an answer is complete. It has a status of 200 to 299 and all of its body, and an echo is unchanged.

use std::error::Error;
use std::iter::successors;
use std::str::FromStr;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Body;
use hyper::header::{CONNECTION, HeaderMap};
use hyper::{Response, Version};

/// A full answer, and who gave it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    /// `x-generation`; 0 where the server does not say.
    pub(super) generation: u64,
    /// `x-pid`; 0 where the server does not say.
    pub(super) pid: u32,
}

/// Why a request has no answer.
#[derive(Debug)]
pub(super) enum Loss {
    /// No connection came about.
    Refused(String),
    /// The connection ended before the answer did.
    CutOff(String),
    /// An answer came, and it was wrong; or none came in time.
    Wrong(String),
}

impl Loss {
    /// Says that it was the first request on its connection, which was thus not an idle one that the server gave up.
    pub(super) fn on_new_connection(self) -> Loss {
        match self {
            Loss::CutOff(reason) => Loss::CutOff(format!("on a new connection: {reason}")),
            other => other,
        }
    }
}

impl Answer {
    /// Reads a response to its end and judges it.
    pub(super) async fn read<B>(response: Response<B>, echo: Option<&Bytes>) -> Result<Answer, Loss>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (head, body) = response.into_parts();
        let lost = |error: B::Error| Loss::CutOff(format!("answer cut off: {}", causes(&*error.into())));
        let body = body.collect().await.map_err(lost)?.to_bytes();
        if !head.status.is_success() {
            return Err(Loss::Wrong(format!("answered with status {}", head.status)));
        }
        if echo.is_some_and(|sent| *sent != body) {
            let length = body.len();
            return Err(Loss::Wrong(format!("the echo of {length} bytes is not what was sent")));
        }
        Ok(Answer { generation: number(&head.headers, "x-generation"), pid: number(&head.headers, "x-pid") })
    }
}

/// Whether the server said that this is the last answer on its HTTP/1 connection (RFC 9112, section 9.3).
pub(super) fn announces_close<B>(response: &Response<B>) -> bool {
    let says = |token: &str| {
        let values = response.headers().get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case(token))
    };
    says("close") || (response.version() == Version::HTTP_10 && !says("keep-alive"))
}

fn number<N: FromStr + Default>(headers: &HeaderMap, name: &str) -> N {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.and_then(|value| value.parse().ok()).unwrap_or_default()
}

/// An error with all its causes, in one line.
pub(super) fn causes(error: &(dyn Error + 'static)) -> String {
    let chain = successors(Some(error), |&error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
