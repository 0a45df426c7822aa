//! An echo over websockets, with chapter 7's gate and without.
//!
//! The invariant: the two are the same server, and differ in what stands between its socket and the library.

use std::convert::Infallible;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use connection_handover::Server;
use demo::log_to_stderr;
use every_connection::{Gate, Leave, Websockets};
use futures_util::{SinkExt as _, StreamExt as _};
use graceful_shutdown::block_on;
use graceful_upgrade::{Limits, Upgrader};
use hyper::service::service_fn;
use hyper::{Request, body::Incoming};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::roles::ANYWHERE;

const TIMEOUT: Duration = Duration::from_secs(10);

/// The library clears this much before each read. With its default of 128 KiB, that is 95 % of what a message costs, and hides what
/// the gate does.
const READ_BUFFER: usize = 4 << 10;

pub(crate) fn serve(gate: bool) -> ExitCode {
    log_to_stderr().expect("RUST_LOG was set by us");
    let serve = || {
        let mut upgrader = Upgrader::from_env(Limits { drain_timeout: TIMEOUT, ready_timeout: TIMEOUT })?;
        let mut server = Server::new(TIMEOUT);
        server.hand_over(&mut upgrader);
        let generation = upgrader.generation();
        let echoes = Websockets::new("echo/1", move |gate, leave, ()| through_gate(gate, leave, generation));
        server.hand_over_tunnels(echoes.clone());
        let answer = move |mut request: Request<Incoming>| {
            let answer = create_response_with_body(&request, String::new).expect("it is a websocket");
            if gate {
                echoes.upgrade(&mut request, &()).expect("the server knows these websockets");
            } else {
                tokio::spawn(through_hyper(request, generation));
            }
            async { Ok::<_, Infallible>(answer) }
        };
        server.add("echo", service_fn(answer));
        upgrader.listen([("echo".to_owned(), ANYWHERE.parse().expect("it is an address"))])?;
        block_on(async { Ok::<_, Box<dyn Error>>(upgrader.run(server).await?) })
    };
    serve().unwrap_or_else(|error| panic!("{error}"))
}

async fn through_gate(gate: Gate, mut leave: Leave, generation: u64) -> Option<()> {
    let mut socket = WebSocketStream::from_raw_socket(gate, Role::Server, Some(config())).await;
    while let Some(next) = leave.unless(socket.next()).await {
        socket.send(echo(&next?.ok()?, generation)).await.ok()?;
    }
    Some(())
}

async fn through_hyper(request: Request<Incoming>, generation: u64) -> Option<()> {
    let upgraded = hyper::upgrade::on(request).await.ok()?;
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config())).await;
    loop {
        let next = socket.next().await?.ok()?;
        socket.send(echo(&next, generation)).await.ok()?;
    }
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(READ_BUFFER)
}

fn echo(message: &Message, generation: u64) -> Message {
    format!("{message}, generation {generation}\n").into()
}
