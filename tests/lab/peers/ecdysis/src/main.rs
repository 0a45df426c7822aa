//! The server that ecdysis' example shows, with hyper on its stream and hyper-util's `GracefulShutdown` for the old
//! process. SIGUSR2 replaces it.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use ecdysis::tokio_ecdysis::{SignalKind, StopOnShutdown, TokioEcdysisBuilder};
use futures::StreamExt as _;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::time::timeout;

/// How long the old process may take, as ours.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let pid = std::process::id();
    let mut response = Response::new(Full::from(format!("hello from pid {pid}\n")));
    response.headers_mut().insert("x-pid", pid.into());
    Ok(response)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address: SocketAddr = std::env::args().nth(2).ok_or("usage: peer-ecdysis --listen ADDRESS")?.parse()?;
    let ecdysis = TokioEcdysisBuilder::new(SignalKind::user_defined2())?;
    let mut connections = ecdysis.build_listen_tcp(StopOnShutdown::Yes, address, |socket, address| {
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(1024)?;
        Ok(socket.into())
    })?;
    let serving = tokio::spawn(async move {
        let graceful = GracefulShutdown::new();
        while let Some(connection) = connections.next().await {
            let Ok(connection) = connection else { continue };
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(connection), service_fn(hello));
            tokio::spawn(graceful.watch(connection));
        }
        graceful.shutdown().await;
    });
    let (_ecdysis, replaced) = ecdysis.ready()?;
    let _ = replaced.await;
    timeout(DRAIN_TIMEOUT, serving).await??;
    Ok(())
}
