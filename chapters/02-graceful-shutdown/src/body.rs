//! The body of a request, and whether its end has been reached.
//!
//! The invariant: as long as bytes of it may still come, its connection knows. Whoever took them for the next request
//! would let one client speak for another (request smuggling).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};

use crate::traffic::Traffic;

// ANCHOR: request_body
/// The body of a request, as hyper receives it.
#[derive(Debug)]
pub struct RequestBody {
    body: Incoming,
    /// Until its end has been seen. One that is dropped before leaves the note that it was not read.
    unread: Option<Unread>,
}

/// Which request of which connection.
#[derive(Debug)]
struct Unread {
    traffic: Arc<Traffic>,
    request: usize,
}

impl RequestBody {
    pub(crate) fn new(body: Incoming, traffic: &Arc<Traffic>) -> RequestBody {
        if body.is_end_stream() {
            traffic.no_body();
            return RequestBody { body, unread: None };
        }
        let request = traffic.body_begins(body.size_hint().exact());
        RequestBody { body, unread: Some(Unread { traffic: Arc::clone(traffic), request }) }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if (frame.is_none() || self.body.is_end_stream())
            && let Some(Unread { traffic, request }) = self.unread.take()
        {
            traffic.body_ends(request);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
// ANCHOR_END: request_body
