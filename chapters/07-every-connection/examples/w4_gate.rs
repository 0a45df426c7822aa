//! Step 4 with websockets: let a gate find the moment, and keep what the handler was not given.

mod websocket_ends;

use std::io;

use bytes::Bytes;
use connection_handover::TunnelProtocol as _;
use every_connection::{Gate, Leave, Websockets};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

// ANCHOR: main
/// Numbers what it echoes.
async fn serve(gate: Gate, mut leave: Leave, mut count: u64, process: &str) -> Option<u64> {
    let mut socket = WebSocketStream::from_raw_socket(gate, Role::Server, None).await;
    while let Some(next) = leave.unless(socket.next()).await {
        count += 1;
        socket.send(format!("the {process} process: {count} {}", next?.ok()?).into()).await.ok()?;
    }
    Some(count)
}

fn counters(process: &'static str) -> Websockets<u64> {
    Websockets::new("counter/1", move |gate, leave, count| serve(gate, leave, count, process))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let (mut client, first, second) = websocket_ends::open().await?;
    // A name, the length of the JSON behind it, and that: no message yet.
    let fresh = Bytes::from_static(b"counter/1\n\0\0\0\x010");
    let old = counters("old").resume(Box::new(first), fresh).expect("it knows the name");
    websocket_ends::say(&mut client, "a").await;
    // Two messages, and half of a third.
    client.get_mut().write_all(b"\x81\x81\0\0\0\0b\x81\x81\0\0\0\0c\x81\x85\0\0\0\0he").await?;
    assert!(old.quiet().await, "it goes");
    let state = old.take().expect("it is quiet");
    let _new = counters("new").resume(Box::new(second), state).expect("it knows the name");
    client.get_mut().write_all(b"llo").await?;
    for _ in 0..3 {
        websocket_ends::hear(&mut client).await;
    }
    Ok(())
}
// ANCHOR_END: main
