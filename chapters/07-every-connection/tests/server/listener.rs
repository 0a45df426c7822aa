//! The chapter's program, whose connections another server serves: an accept loop around hyper.

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use connection_handover::{GatedListener, Server};
use demo::{Options, ReadyTimeout, log_to_stderr};
use every_connection::Http2;
use graceful_shutdown::{Address, ClientTimeouts, HttpService, block_on};
use graceful_upgrade::{Limits, Upgrader};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    ready: ReadyTimeout,
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE")]
    tls: Option<std::path::PathBuf>,
}

fn main() -> ExitCode {
    demo::run(|args: Args| serve(&args))
}

fn serve(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    log_to_stderr()?;
    let Options { listen, drain_timeout, idle_timeout, head_timeout } = &args.options;
    let addresses = listen.iter().map(|address| address.parse::<Address>()).collect::<Result<Vec<_>, _>>()?;
    let limits = Limits { drain_timeout: *drain_timeout, ready_timeout: args.ready.ready_timeout };
    let mut upgrader = Upgrader::from_env(limits)?;
    let timeouts = ClientTimeouts { idle: *idle_timeout, head: *head_timeout };
    let mut server = Server::new(*drain_timeout).with_timeouts(timeouts);
    server.hand_over(&mut upgrader);
    upgrader.listen(demo::names().zip(addresses))?;
    block_on(async {
        for (name, _) in demo::names().zip(listen) {
            let service = demo::service(&name, upgrader.generation(), server.readiness());
            server.hand_over_http2(&name, Http2::of_server(|listener| accept(listener, service.clone())).await?);
            #[cfg(feature = "tls")]
            if let Some(pem) = &args.tls {
                server.encrypt(&name, every_connection::tls::Tls::from_pem_file(pem)?);
            }
            tokio::spawn(accept(server.listener(name), service));
        }
        Ok(upgrader.run(server).await?)
    })
}

async fn accept(mut listener: GatedListener, service: impl HttpService) {
    loop {
        let (client, _) = listener.accept().await;
        let service = service.clone();
        tokio::spawn(async move {
            let http = auto::Builder::new(TokioExecutor::new());
            // `Err`: the client is gone, or breaks the rules.
            let _ = http.serve_connection_with_upgrades(TokioIo::new(client), service).await;
        });
    }
}
