//! A gRPC service whose clients keep their connections when `kill -USR2` replaces it:
//! `cargo run -p every-connection --example grpc`.
//!
//! It is written by hand because a build should not need `protoc`.

use std::convert::Infallible;
use std::error::Error;
use std::process::ExitCode;

use bytes::Bytes;
use clap::Parser;
use connection_handover::Server;
use demo::{Options, ReadyTimeout, log_to_stderr};
use every_connection::Http2;
use graceful_shutdown::{Address, block_on};
use graceful_upgrade::{Limits, Upgrader};
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use tonic::server::Grpc;
use tonic::{Response, Status};
use tonic_prost::ProstCodec;

/// A gRPC server that replaces its own binary and keeps its connections open.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    ready: ReadyTimeout,
}

fn main() -> ExitCode {
    demo::run(|args: Args| serve(&args))
}

// package echo;
// service Echo {
//   rpc Echo (google.protobuf.BytesValue) returns (google.protobuf.BytesValue);
// }
fn serve(Args { options, ready }: &Args) -> Result<ExitCode, Box<dyn Error>> {
    log_to_stderr()?;
    let addresses = options.listen.iter().map(|address| address.parse::<Address>()).collect::<Result<Vec<_>, _>>()?;
    let limits = Limits { drain_timeout: options.drain_timeout, ready_timeout: ready.ready_timeout };
    let mut upgrader = Upgrader::from_env(limits)?;
    let mut server = Server::new(options.drain_timeout);
    server.hand_over(&mut upgrader);
    let generation = upgrader.generation();
    for (name, _) in demo::names().zip(&addresses) {
        // What `protoc` would have generated: from a request to a call, and from bytes to messages and back.
        let calls = move |request: Request<Incoming>| async move {
            let call = tower::service_fn(move |request| std::future::ready(echo(request, generation)));
            Ok::<_, Infallible>(Grpc::new(ProstCodec::default()).unary(call, request).await)
        };
        server.hand_over_http2(&name, Http2::new());
        server.add(name, service_fn(calls));
    }
    upgrader.listen(demo::names().zip(addresses))?;
    block_on(async { Ok(upgrader.run(server).await?) })
}

/// What was said, and who heard it.
#[expect(clippy::unnecessary_wraps, reason = "a real service may refuse")]
fn echo(request: tonic::Request<Bytes>, generation: u64) -> Result<Response<Bytes>, Status> {
    let mut response = Response::new(request.into_inner());
    response.metadata_mut().insert("x-generation", generation.into());
    Ok(response)
}
