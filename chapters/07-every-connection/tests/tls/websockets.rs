//! A websocket under TLS: its handler's count goes on in every generation.

use tokio_tungstenite::tungstenite::{Message, client};

use crate::clients::upgrades;
use crate::page::Page;
use crate::server::rustls;

#[test]
fn a_websocket_counts_on_through_all_generations() {
    let Some(mut page) = Page::start() else { return };
    let url = format!("wss://{}/websocket", page.server.address());
    let (mut socket, _) = client(url, rustls(&page.server, &page.files))
        .unwrap_or_else(|error| panic!("the server speaks websocket: {error}"));
    let (mut generation, mut count) = (1, 0);
    while generation <= upgrades() {
        socket.send(Message::text("next")).expect("it is open");
        let answer = socket.read().expect("it is open").into_text().expect("it is a text");
        count += 1;
        // Until it has gone over, the process before answers.
        let answerers = [generation - 1, generation].map(|generation| format!("{generation} {count}"));
        assert!(answerers.contains(&answer.to_string()), "{answer}, and not one of {answerers:?}");
        if answer.as_str() == answerers[1] {
            page.upgrade();
            generation += 1;
        }
    }
    socket.close(None).expect("it is open");
    while socket.read().is_ok() {}
    drop(socket);
    page.ends_well();
}
