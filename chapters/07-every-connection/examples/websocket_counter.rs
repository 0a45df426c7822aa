//! An axum service whose websockets stay open when `kill -USR2` replaces it:
//! `cargo run -p every-connection --example websocket_counter`.

// ANCHOR: main
use std::process::ExitCode;

use axum::{Router, body::Body, extract::Request, http::StatusCode, response::Response, routing::get};
use every_connection::{Gate, Leave, Websockets};
use futures_util::{SinkExt as _, StreamExt as _};
use graceful::Builder;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::Role;

fn main() -> Result<ExitCode, graceful::Error> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:48567".to_owned());
    Builder::new().listen("web", address).run(async |setup| {
        let generation = setup.generation();
        let counters = Websockets::new("counter/1", move |gate, leave, count| serve(gate, leave, count, generation));
        setup.hand_over_tunnels(counters.clone());
        let answer = async move |request| answer(request, &counters).map_err(|error| (StatusCode::BAD_REQUEST, error));
        setup.tower("web", Router::new().route("/", get(answer)));
        Ok(())
    })
}

fn answer(mut request: Request, counters: &Websockets<u64>) -> Result<Response, String> {
    let answer = create_response_with_body(&request, Body::empty).map_err(|error| error.to_string())?;
    counters.upgrade(&mut request, &0)?;
    Ok(answer)
}
// ANCHOR_END: main

/// Numbers what it echoes.
async fn serve(gate: Gate, mut leave: Leave, mut count: u64, generation: u64) -> Option<u64> {
    let mut socket = WebSocketStream::from_raw_socket(gate, Role::Server, None).await;
    while let Some(next) = leave.unless(socket.next()).await {
        let message = next?.ok()?;
        if message.is_text() || message.is_binary() {
            count += 1;
            socket.send(format!("{generation} {count} {message}").into()).await.ok()?;
        }
    }
    Some(count)
}
