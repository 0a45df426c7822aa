//! A server for the tests of websockets: it numbers what it echoes, and does a few things on demand.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use connection_handover::Server;
use demo::{Options, ReadyTimeout, log_to_stderr, parse_duration};
use every_connection::{Gate, Leave, Websockets};
use futures_util::{SinkExt as _, StreamExt as _};
use graceful_shutdown::{Address, block_on};
use graceful_upgrade::{Limits, Upgrader};
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::Role;

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    ready: ReadyTimeout,
    /// The name of the websockets.
    #[arg(long, default_value = "counter/1")]
    websockets: String,
    #[arg(long, value_parser = parse_duration, default_value = "10s")]
    message_timeout: Duration,
}

/// The path that was asked for, and how many messages there were.
type State = (String, u64);

fn main() -> ExitCode {
    demo::run(|args: Args| serve(&args))
}

fn serve(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    log_to_stderr()?;
    let Options { listen, drain_timeout, .. } = &args.options;
    let addresses = listen.iter().map(|address| address.parse::<Address>()).collect::<Result<Vec<_>, _>>()?;
    let limits = Limits { drain_timeout: *drain_timeout, ready_timeout: args.ready.ready_timeout };
    let mut upgrader = Upgrader::from_env(limits)?;
    let mut server = Server::new(*drain_timeout);
    server.hand_over(&mut upgrader);
    let generation = upgrader.generation();
    let counters = Websockets::new(&args.websockets, move |gate, leave, state| count(gate, leave, state, generation));
    let counters = counters.message_timeout(args.message_timeout);
    server.hand_over_tunnels(counters.clone());
    for (name, _) in demo::names().zip(listen) {
        let counters = counters.clone();
        server.add(name, service_fn(move |request| answer(request, counters.clone())));
    }
    upgrader.listen(demo::names().zip(addresses))?;
    block_on(async { Ok(upgrader.run(server).await?) })
}

#[expect(clippy::unused_async, reason = "a real service waits for something")]
async fn answer(mut request: Request<Incoming>, counters: Websockets<State>) -> Result<Response<String>, String> {
    let answer = create_response_with_body(&request, String::new).map_err(|error| error.to_string())?;
    let state = (request.uri().path().to_owned(), 0);
    counters.upgrade(&mut request, &state)?;
    Ok(answer)
}

async fn count(gate: Gate, mut leave: Leave, (mut path, mut count): State, generation: u64) -> Option<State> {
    let mut socket = WebSocketStream::from_raw_socket(gate, Role::Server, None).await;
    while let Some(next) = leave.unless(socket.next()).await {
        let message = next?.ok()?;
        if !message.is_text() {
            continue;
        }
        count += 1;
        let text = message.to_text().ok()?;
        if let Some(pipe) = text.strip_prefix("think until ").map(str::to_owned) {
            tokio::task::spawn_blocking(|| std::fs::read(pipe)).await.ok()?.ok()?;
        }
        match text {
            "ask" => {
                socket.send("who?".into()).await.ok()?;
                socket.next().await?.ok()?;
            }
            "grow" => path = "x".repeat(2 << 20),
            "panic" => panic!("as it was told"),
            _ => {}
        }
        let path = path.get(..100).unwrap_or(&path);
        socket.send(format!("{generation} {path} {count} {text}").into()).await.ok()?;
    }
    Some((path, count))
}
