//! A page whose connections, under TLS 1.3, all stay open when `kill -USR2` replaces its server: HTTP/2 for its requests, and a
//! websocket. `cargo run -p every-connection --features tls --example page -- FILE.pem`, with a certificate and its key in the file.

// ANCHOR: main
use std::process::ExitCode;

use axum::extract::Request;
use axum::response::{Html, Response};
use axum::routing::{Router, any, get, post};
use every_connection::tls::Tls;
use every_connection::{Gate, Http2, Leave, Websockets};
use futures_util::{SinkExt as _, StreamExt as _};
use graceful::Builder;
use hyper::StatusCode;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::Role;

fn main() -> Result<ExitCode, graceful::Error> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut arguments = std::env::args().skip(1);
    let pem = arguments.next().unwrap_or("localhost.pem".to_owned());
    let address = arguments.next().unwrap_or("127.0.0.1:48567".to_owned());
    Builder::new().listen("web", address).run(async |setup| {
        let generation = setup.generation();
        let counters = Websockets::new("counter/1", move |gate, leave, count| count_on(gate, leave, count, generation));
        setup.encrypt("web", Tls::from_pem_file(pem)?);
        setup.hand_over_http2("web", Http2::new());
        setup.hand_over_tunnels(counters.clone());
        let pages = Router::new()
            .route("/", get(async || Html(include_str!("page.html"))))
            .route("/generation", get(async move || format!("generation {generation}\n")))
            .route("/seen", post(async |seen: String| tracing::info!("the page says: {seen}")))
            .route("/websocket", any(async move |request: Request| upgrade(request, &counters)));
        setup.tower("web", pages);
        Ok(())
    })
}

fn upgrade(mut request: Request, counters: &Websockets<u64>) -> Result<Response, (StatusCode, String)> {
    let refused = |why: String| (StatusCode::BAD_REQUEST, why);
    let answer = create_response_with_body(&request, Default::default).map_err(|why| refused(why.to_string()))?;
    counters.upgrade(&mut request, &0).map_err(refused)?;
    Ok(answer)
}

/// Says which generation answers, and how many messages there were, whichever generation they came to.
async fn count_on(gate: Gate, mut leave: Leave, mut count: u64, generation: u64) -> Option<u64> {
    let mut socket = WebSocketStream::from_raw_socket(gate, Role::Server, None).await;
    while let Some(next) = leave.unless(socket.next()).await {
        if next?.ok()?.is_text() {
            count += 1;
            socket.send(format!("{generation} {count}").into()).await.ok()?;
        }
    }
    Some(count)
}
// ANCHOR_END: main
