//! A chat whose members stay when `kill -USR2` replaces its server, and hear everything once:
//! `cargo run -p every-connection --example websocket_room`.

use std::error::Error;
use std::process::ExitCode;

use every_connection::{Gate, Lagged, Leave, Room, Websockets};
use futures_util::future::Either;
use futures_util::{SinkExt as _, StreamExt as _};
use graceful::Builder;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::{Message, protocol::Role};

fn main() -> Result<ExitCode, graceful::Error> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:48567".to_owned());
    Builder::new().listen("web", address).keep("lobby", Room::create).run(async |setup| {
        let (generation, room) = (setup.generation(), Room::open(&setup.kept("lobby")?)?);
        let lobby = room.clone();
        let members = Websockets::new("member/1", move |gate, leave, position| {
            serve(gate, leave, position, room.clone(), generation)
        });
        setup.hand_over_tunnels(members.clone());
        setup.hyper("web", service_fn(move |request| answer(request, members.clone(), lobby.clone())));
        Ok(())
    })
}

/// A member that has lost its connection comes back with the last position that it was told: `/?from=POSITION`.
#[expect(clippy::unused_async, reason = "a real service waits for something")]
async fn answer(
    mut request: Request<Incoming>,
    members: Websockets<u64>,
    room: Room,
) -> Result<Response<String>, Box<dyn Error + Send + Sync>> {
    let mut answer = create_response_with_body(&request, String::new)?;
    let from = request.uri().query().and_then(|query| query.strip_prefix("from=")?.parse().ok());
    let position = from.map_or_else(|| room.end(), Ok)?;
    answer.headers_mut().insert("position", position.into());
    members.upgrade(&mut request, &position)?;
    Ok(answer)
}

// ANCHOR: serve
/// Says what its client says, and tells it what any client has said.
async fn serve(gate: Gate, mut leave: Leave, mut position: u64, room: Room, generation: u64) -> Option<u64> {
    let mut socket = WebSocketStream::from_raw_socket(gate, Role::Server, None).await;
    loop {
        let next = leave.unless(async {
            tokio::select! {
                message = socket.next() => Either::Left(message),
                heard = room.next(&mut position) => Either::Right(heard),
            }
        });
        match next.await {
            Some(Either::Left(message)) => match message?.ok()? {
                Message::Text(text) => room.say(format!("{generation} {text}").as_bytes()).await.ok()?,
                // The library answers it when it is asked for more.
                Message::Close(_) => return socket.next().await.and(None),
                _ => {}
            },
            Some(Either::Right(heard)) => {
                let line = heard.ok()?.unwrap_or_else(|Lagged| "0 some lines are gone".into());
                let line = String::from_utf8_lossy(&line);
                socket.send(format!("{position} {line}").into()).await.ok()?;
            }
            None => return Some(position),
        }
    }
}
// ANCHOR_END: serve
