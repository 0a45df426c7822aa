//! What a request costs whose client may not use a table.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};

/// Counts what a client sends.
struct Counted(DuplexStream, Arc<AtomicUsize>);

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.0).poll_write(cx, bytes);
        if let Poll::Ready(Ok(written)) = written {
            self.1.fetch_add(written, Relaxed);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// As a browser writes it.
fn request() -> Request<Empty<Bytes>> {
    Request::get("https://shop.example/basket")
        .header("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8")
        .header("accept-encoding", "gzip, deflate, br, zstd")
        .header("accept-language", "en-GB,en;q=0.5")
        .header("cookie", "session=0b6c9e0c5d3f4b7a")
        .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0")
        .body(Empty::new())
        .expect("it is a request")
}

/// How many bytes the third of three equal requests takes, in frames.
async fn third_request(table: u32) -> usize {
    let (client, server) = duplex(1 << 16);
    let sent = Arc::new(AtomicUsize::new(0));
    let service = service_fn(async |_: Request<Incoming>| Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())));
    let mut library = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    library.header_table_size(table);
    tokio::spawn(library.serve_connection(TokioIo::new(server), service));
    let client = TokioIo::new(Counted(client, Arc::clone(&sent)));
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), client).await.expect("it greets");
    tokio::spawn(connection);
    let mut before = 0;
    for _ in 0..3 {
        before = sent.load(Relaxed);
        let answer = client.send_request(request()).await.expect("it is answered");
        answer.into_body().collect().await.expect("it is whole");
    }
    sent.load(Relaxed) - before
}

#[tokio::test]
async fn what_a_request_costs_without_a_table() {
    let (with, without) = (third_request(4096).await, third_request(0).await);
    assert_eq!((with, without), (43, 207), "the book names these numbers of bytes");
}
