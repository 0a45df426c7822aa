//! tonic's own server, whose connections stay open when `kill -USR2` replaces it:
//! `cargo run -p every-connection --example tonic_serve`.
//!
//! Its service is written by hand because a build should not need `protoc`; those that tonic generates go into `add_service`.

// ANCHOR: main
use std::convert::Infallible;
use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::process::ExitCode;
use std::task::{Context, Poll};

use axum::{Router, routing::post};
use bytes::Bytes;
use every_connection::Http2;
use futures_util::stream;
use graceful::{Builder, ClientAddress, GatedListener, Transport};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::server::Grpc;
use tonic::service::Routes;
use tonic::transport::{Server, server::Connected};
use tonic::{Response, Status};
use tonic_prost::ProstCodec;

fn main() -> std::result::Result<ExitCode, graceful::Error> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:48567".to_owned());
    Builder::new().listen("grpc", address).run(async |setup| {
        let generation = setup.generation();
        setup.hand_over_http2("grpc", Http2::of_server(|listener| serve(listener, generation)).await?);
        tokio::spawn(serve(setup.listener("grpc"), generation));
        Ok(())
    })
}

async fn serve(listener: GatedListener, generation: u64) {
    let clients = stream::unfold(listener, async |mut listener| {
        let (transport, address) = listener.accept().await;
        Some((Ok::<_, Infallible>(Client { transport, address }), listener))
    });
    // `Err`: never, as the stream of clients brings none.
    let _ = Server::builder().add_routes(echo(generation)).serve_with_incoming(clients).await;
}

/// tonic asks each client for its address.
struct Client {
    transport: Box<dyn Transport>,
    address: ClientAddress,
}

impl Connected for Client {
    type ConnectInfo = ClientAddress;

    fn connect_info(&self) -> ClientAddress {
        self.address
    }
}

impl AsyncRead for Client {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.transport).poll_read(cx, buf)
    }
}

impl AsyncWrite for Client {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.transport).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.transport).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.transport).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(cx)
    }
}
// ANCHOR_END: main

// package echo;
// service Echo {
//   rpc Echo (google.protobuf.BytesValue) returns (google.protobuf.BytesValue);
// }
fn echo(generation: u64) -> Routes {
    let call = move |request: tonic::Request<Bytes>| async move {
        let mut response = Response::new(request.into_inner());
        response.metadata_mut().insert("x-generation", generation.into());
        Ok::<_, Status>(response)
    };
    let unary = async move |request| Grpc::new(ProstCodec::default()).unary(tower::service_fn(call), request).await;
    Routes::from(Router::new().route("/echo.Echo/Echo", post(unary)))
}
