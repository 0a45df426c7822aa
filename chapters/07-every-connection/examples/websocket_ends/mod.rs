//! What the steps with websockets have in common: a client, and the other end of its connection for one process after the other.

use std::io;
use std::os::fd::AsFd as _;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

pub(crate) type Client = WebSocketStream<UnixStream>;

/// A client behind the handshake, and two descriptors of the server's socket, as two processes would have.
pub(crate) async fn open() -> io::Result<(Client, UnixStream, UnixStream)> {
    let (theirs, ours) = UnixStream::pair()?;
    let (first, second) = (ours.as_fd().try_clone_to_owned()?, ours);
    let client = WebSocketStream::from_raw_socket(theirs, Role::Client, None).await;
    Ok((client, UnixStream::from_std(first.into())?, second))
}

pub(crate) async fn say(client: &mut Client, text: &str) {
    // `Err`: what it hears next tells why.
    let _ = client.send(text.into()).await;
    hear(client).await;
}

/// Prints the next answer.
pub(crate) async fn hear(client: &mut Client) {
    match client.next().await {
        Some(Ok(answer)) => println!("{answer}"),
        Some(Err(error)) => println!("the client: {error}"),
        None => println!("the client: closed"),
    }
}

/// Ends the old process, as far as this connection is concerned.
#[allow(dead_code)]
pub(crate) async fn end(old: JoinHandle<()>) {
    old.abort();
    let _ = old.await;
}
