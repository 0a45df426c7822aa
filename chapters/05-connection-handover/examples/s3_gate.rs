//! Step 3: ask a gate, which sees on the wire where messages begin and end.
//!
//! The same form, at the same moment. The gate does not let go before the end of the body; then it gives out the
//! socket, and the new process answers the next request.

use std::error::Error;
use std::pin::pin;

use connection_handover::gate::Gate;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body as _, Bytes, Incoming};
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

    let gate = Gate::new(server);
    let control = gate.control();
    let mut old = pin!(http1::Builder::new().serve_connection(TokioIo::new(gate), service.clone()));
    let form = tokio::select! {
        ended = &mut old => return Ok(ended?),
        form = requests.recv() => form.ok_or("a form")?,
    };
    tokio::select! {
        biased;
        ended = &mut old => return Ok(ended?),
        _ = client.read_u8() => {}
    }
    control.hold();
    println!("the body is not read: quiet={}", control.is_quiet());

    client.write_all(BODY.as_bytes()).await?;
    client.write_all(b"GET /next HTTP/1.1\r\nHost: lab\r\n\r\n").await?;
    let mut body = form.into_body();
    let read = async {
        // After an early answer, hyper yields the end of a body only with the next request; the body itself knows.
        while !body.is_end_stream() {
            body.frame().await.transpose()?;
        }
        Ok::<_, hyper::Error>(control.quiet().await)
    };
    let quiet = tokio::select! {
        biased;
        ended = &mut old => return Ok(ended?),
        quiet = read => quiet?,
    };
    println!("the body is read: quiet={quiet}");

    let (socket, bytes) = control.take().ok_or("the gate is quiet")?;
    let new = http1::Builder::new().serve_connection(TokioIo::new(Gate::adopt(socket, bytes)), service);
    let taken = tokio::select! {
        ended = new => return Ok(ended?),
        taken = requests.recv() => taken.ok_or("a request")?,
    };
    println!("answered by the new process: {}", taken.uri().path());
    Ok(())
}
