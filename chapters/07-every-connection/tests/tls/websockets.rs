//! A websocket under TLS: its handler's count goes on in every generation.

use std::process::Command;

use testkit::example;
use tokio_tungstenite::tungstenite::{Message, client};

use crate::client::rustls;
use crate::clients::upgrades;
use crate::server::{BINARY, Server};

#[test]
fn a_websocket_counts_on_through_all_generations() {
    let Some(mut server) = Server::start_by(Command::new(example(BINARY, "tls_builder"))) else { return };
    let (mut socket, _) = client(format!("wss://{}/", server.address()), rustls(&server.generations, &server.files))
        .unwrap_or_else(|error| panic!("the server speaks websocket: {error}"));
    for generation in 1..=upgrades() {
        socket.send(Message::text("next")).expect("it is open");
        let answer = socket.read().expect("it is open");
        assert_eq!(answer.to_text().ok(), Some(&*format!("{generation} {generation}")));
        assert_eq!(server.replace(), 1);
    }
    socket.close(None).expect("it is open");
    while socket.read().is_ok() {}
    drop(socket);
    server.ends_well();
}
