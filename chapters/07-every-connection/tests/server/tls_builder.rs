//! Chapter 6's builder with all of this chapter, encrypted: the demo, and a websocket that counts on every path.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use demo::{Options, ReadyTimeout, log_to_stderr};
use every_connection::tls::Tls;
use every_connection::{Gate, Http2, Leave, Websockets};
use futures_util::{SinkExt as _, StreamExt as _};
use graceful::{Builder, Error};
use http_body_util::{BodyExt as _, Empty};
use hyper::header::UPGRADE;
use hyper::service::{Service as _, service_fn};
use hyper::{Request, body::Incoming};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::Role;

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    ready: ReadyTimeout,
    #[arg(long)]
    tls: PathBuf,
}

fn main() -> ExitCode {
    demo::run(|args: Args| serve(&args))
}

fn serve(args: &Args) -> Result<ExitCode, Error> {
    log_to_stderr()?;
    let name = demo::names().next().ok_or("the demo has names")?;
    let listen = args.options.listen.first().ok_or("it listens on one address")?;
    let certificates = CertificateDer::pem_file_iter(&args.tls)?.collect::<Result<_, _>>()?;
    let config = ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, PrivateKeyDer::from_pem_file(&args.tls)?)?;
    // So that an upgrade is over when the last connection has gone.
    let probation = Duration::ZERO;
    let builder = Builder::new().listen(&name, listen).ready_timeout(args.ready.ready_timeout).probation(probation);
    builder.run(async move |setup| {
        let demo = demo::service(&name, setup.generation(), setup.readiness());
        let generation = setup.generation();
        let counters = Websockets::new("counter/1", move |gate, leave, state| count(gate, leave, state, generation));
        setup.hand_over_http2(Http2::new());
        setup.tunnels(counters.clone());
        setup.encrypt(&name, Tls::new(config));
        setup.hyper(
            &name,
            service_fn(move |mut request: Request<Incoming>| {
                let (demo, counters) = (demo.clone(), counters.clone());
                async move {
                    if !request.headers().contains_key(UPGRADE) {
                        return demo.call(request).await.map_err(|error| error.to_string());
                    }
                    let empty = || Empty::new().map_err(|never| match never {}).boxed();
                    let answer = create_response_with_body(&request, empty).map_err(|error| error.to_string())?;
                    counters.upgrade(&mut request, &0)?;
                    Ok(answer)
                }
            }),
        );
        Ok(())
    })
}

async fn count(gate: Gate, mut leave: Leave, mut count: u64, generation: u64) -> Option<u64> {
    let mut socket = WebSocketStream::from_raw_socket(gate, Role::Server, None).await;
    while let Some(next) = leave.unless(socket.next()).await {
        if next?.ok()?.is_text() {
            count += 1;
            socket.send(format!("{generation} {count}").into()).await.ok()?;
        }
    }
    Some(count)
}
