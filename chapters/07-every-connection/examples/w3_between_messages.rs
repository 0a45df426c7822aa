//! Step 3 with websockets: let the handler leave between two messages.

mod websocket_ends;

use std::io;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::UnixStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

// ANCHOR: main
/// Numbers what it echoes, and leaves with the number once it has answered this message.
async fn serve(socket: UnixStream, process: &'static str, mut count: u64, leaves_after: &str) -> u64 {
    let mut socket = WebSocketStream::from_raw_socket(socket, Role::Server, None).await;
    while let Some(Ok(message)) = socket.next().await {
        count += 1;
        let _ = socket.send(format!("the {process} process: {count} {message}").into()).await;
        if message.to_text().is_ok_and(|text| text == leaves_after) {
            break;
        }
    }
    count
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let (mut client, first, second) = websocket_ends::open().await?;
    let old = tokio::spawn(serve(first, "old", 0, "b"));
    websocket_ends::say(&mut client, "a").await;
    // Both leave in one piece.
    client.feed("b".into()).await.map_err(io::Error::other)?;
    websocket_ends::say(&mut client, "c").await;
    let count = old.await?;
    tokio::spawn(serve(second, "new", count, "nothing"));
    websocket_ends::say(&mut client, "d").await;
    Ok(())
}
// ANCHOR_END: main
