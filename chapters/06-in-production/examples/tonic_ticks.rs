//! A gRPC service with a streaming call that `kill -USR2` replaces: `cargo run -p graceful --example tonic_ticks`.
//!
//! It is written by hand because a build should not need `protoc`; servers that tonic generates go into `Setup::tower`, too.

// ANCHOR: main
use std::process::ExitCode;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::{Router, http, routing::post};
use futures_util::{Stream, stream};
use graceful::{Builder, Draining};
use tokio::time::sleep;
use tonic::{Response, Status, body::Body, server::Grpc};
use tonic_prost::ProstCodec;
use tower::service_fn;

/// What a stream ends with. To a gRPC client, it means: try again.
const REPLACED: &str = "the service is being replaced: come again";

// package ticks;
// service Ticks {
//   rpc Generation (google.protobuf.Empty) returns (google.protobuf.UInt64Value);
//   rpc Watch (google.protobuf.Empty) returns (stream Tick);
// }
fn main() -> Result<ExitCode, graceful::Error> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:48567".to_owned());
    Builder::new().listen("grpc", address).run(async |setup| {
        let ticks = Ticks { generation: setup.generation(), draining: setup.draining() };
        let routes = Router::new()
            .route("/ticks.Ticks/Generation", post(generation))
            .route("/ticks.Ticks/Watch", post(watch))
            .fallback(async || Status::unimplemented("no such method").into_http::<Body>());
        setup.tower("grpc", routes.with_state(ticks));
        Ok(())
    })
}

// message Tick { uint64 generation = 1; uint64 number = 2; }
#[derive(Clone, PartialEq, prost::Message)]
struct Tick {
    #[prost(uint64, tag = "1")]
    generation: u64,
    #[prost(uint64, tag = "2")]
    number: u64,
}

/// What the calls share.
#[derive(Clone)]
struct Ticks {
    generation: u64,
    draining: Draining,
}

impl Ticks {
    #[expect(clippy::unused_async, reason = "a real service waits for something")]
    async fn generation(self) -> Result<Response<u64>, Status> {
        Ok(Response::new(self.generation))
    }

    /// A tick every 20 ms, until the service drains. An upgrade need not wait for a stream that could go on for ever.
    #[expect(clippy::unused_async, reason = "a real service waits for something")]
    async fn watch(self) -> Result<Response<impl Stream<Item = Result<Tick, Status>>>, Status> {
        Ok(Response::new(stream::try_unfold((self, 0), async |(mut ticks, number)| {
            tokio::select! {
                () = ticks.draining.begun() => Err(Status::unavailable(REPLACED)),
                () = sleep(Duration::from_millis(20)) => {
                    Ok(Some((Tick { generation: ticks.generation, number }, (ticks, number + 1))))
                }
            }
        })))
    }
}

// What `protoc` would have generated: from a path to a call, from bytes to messages and back.

async fn generation(State(ticks): State<Ticks>, request: Request) -> http::Response<Body> {
    let call = service_fn(|_: tonic::Request<()>| ticks.clone().generation());
    Grpc::new(ProstCodec::default()).unary(call, request).await
}

async fn watch(State(ticks): State<Ticks>, request: Request) -> http::Response<Body> {
    let call = service_fn(|_: tonic::Request<()>| ticks.clone().watch());
    Grpc::new(ProstCodec::default()).server_streaming(call, request).await
}
// ANCHOR_END: main
