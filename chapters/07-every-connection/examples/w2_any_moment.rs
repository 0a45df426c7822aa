//! Step 2 with websockets: take the handler's count along, at any moment.

mod websocket_ends;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

// ANCHOR: main
/// Numbers what it echoes.
async fn serve(socket: UnixStream, process: &'static str, count: Arc<AtomicU64>) {
    let mut socket = WebSocketStream::from_raw_socket(socket, Role::Server, None).await;
    while let Some(next) = socket.next().await {
        match next {
            Ok(message) if message.is_text() => {
                let count = count.fetch_add(1, Relaxed) + 1;
                let _ = socket.send(format!("the {process} process: {count} {message}").into()).await;
            }
            Ok(_) => {}
            Err(error) => return println!("the {process} process: {error}"),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let (mut client, first, second) = websocket_ends::open().await?;
    let count = Arc::new(AtomicU64::new(0));
    let old = tokio::spawn(serve(first, "old", Arc::clone(&count)));
    websocket_ends::say(&mut client, "a").await;
    // A ping, and half of "hello". Once the ping is answered, the old process has read both.
    client.get_mut().write_all(b"\x89\x86\0\0\0\0a pong\x81\x85\0\0\0\0he").await?;
    websocket_ends::hear(&mut client).await;
    websocket_ends::end(old).await;
    tokio::spawn(serve(second, "new", count));
    client.get_mut().write_all(b"llo").await?;
    websocket_ends::hear(&mut client).await;
    Ok(())
}
// ANCHOR_END: main
