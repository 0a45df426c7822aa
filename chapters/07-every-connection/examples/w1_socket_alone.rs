//! Step 1 with websockets: give the socket to the next process between two messages.

mod websocket_ends;

use std::io;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::UnixStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

// ANCHOR: main
/// Numbers what it echoes.
async fn serve(socket: UnixStream, process: &'static str) {
    let mut socket = WebSocketStream::from_raw_socket(socket, Role::Server, None).await;
    let mut count = 0;
    while let Some(Ok(message)) = socket.next().await {
        count += 1;
        let _ = socket.send(format!("the {process} process: {count} {message}").into()).await;
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let (mut client, first, second) = websocket_ends::open().await?;
    let old = tokio::spawn(serve(first, "old"));
    websocket_ends::say(&mut client, "a").await;
    websocket_ends::end(old).await;
    tokio::spawn(serve(second, "new"));
    websocket_ends::say(&mut client, "b").await;
    Ok(())
}
// ANCHOR_END: main
