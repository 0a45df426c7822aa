//! Step 2: hand the connection over when nothing is being answered and nothing is unwritten.
//!
//! What is wrong: the body of an answered request may still be on its way. The new process takes it for a request, so a
//! visitor who chooses the bytes of a body sends requests that the client never made (request smuggling).

use std::error::Error;
use std::pin::pin;

use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

/// What a visitor typed into a form, say.
const BODY: &str = "GET /delete-everything HTTP/1.1\r\nHost: lab\r\n\r\n";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (mut client, server) = tokio::io::duplex(1 << 16);
    let (asked, mut requests) = mpsc::unbounded_channel();
    let service = service_fn(move |request: Request<Incoming>| {
        let kept = asked.send(request);
        async move { kept.map(|()| Response::new(Empty::<Bytes>::new())) }
    });
    let head = format!("POST /form HTTP/1.1\r\nHost: lab\r\nContent-Length: {}\r\n\r\n", BODY.len());
    client.write_all(head.as_bytes()).await?;

    // The handler answers, and keeps the body to read it later.
    let mut old = http1::Builder::new().serve_connection(TokioIo::new(server), service.clone());
    let form = tokio::select! {
        ended = pin!(&mut old) => return Ok(ended?),
        form = requests.recv() => form,
    };
    tokio::select! {
        biased;
        ended = &mut old => return Ok(ended?),
        _ = client.read_u8() => {}
    }
    let parts = old.into_parts();
    let new = http1::Builder::new().serve_connection(parts.io, service);

    client.write_all(BODY.as_bytes()).await?;
    let taken = tokio::select! {
        ended = new => return Ok(ended?),
        taken = requests.recv() => taken,
    };
    let path = |request: Option<Request<Incoming>>| request.map(|request| request.uri().path().to_owned());
    println!("sent={:?} answered={:?}", path(form).into_iter().collect::<Vec<_>>(), path(taken));
    Ok(())
}
