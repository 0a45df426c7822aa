//! What clients of websockets say that others wrote, of chapter 6's builder with its probation.

use std::process::Command;

use testkit::{End, Generations, Program, await_exit, connected, example};

use crate::clients::{node, python};
use crate::server::{BINARY, upgrades};

/// Each client has so many connections.
const CONNECTIONS: usize = 200;

/// Upgrades a server under a client, which says that a generation answers once all its connections have an answer of that or a later
/// one.
#[track_caller]
fn loses_nothing(command: &mut Command) {
    let mut server = Command::new(example(BINARY, "websocket_counter"));
    let mut server = Generations::start(server.arg("127.0.0.1:0").env("NO_COLOR", "1"), 1);
    let last = 1 + u64::from(upgrades());
    let mut client = Program::start(command.args([server.address(), &last.to_string(), &CONNECTIONS.to_string()]));
    client.line("generation 1 answers");
    let connections = connected(server.address());
    assert_eq!(connections.len(), CONNECTIONS, "{connections:?}");
    let mut old = None;
    while server.generation < last {
        // The next upgrade ends the probation of the one before.
        if let Some(older) = old.replace(server.upgrade()) {
            await_exit(older);
        }
        if server.generation < last {
            client.line(&format!("generation {} answers", server.generation));
            assert_eq!(connected(server.address()), connections, "generation {}", server.generation);
        }
    }
    let (end, said) = (client.wait(), client.wait_all());
    assert_eq!(end, End::Exited(0), "{said}");
    assert_eq!(said.matches("generation ").count() as u64, last, "{said}");
    println!("{} on {CONNECTIONS} connections by {last} generations", said.lines().last().unwrap_or_default());
}

#[test]
fn websockets_of_python_lose_nothing() {
    let Some(mut python) = python("websockets.asyncio", "with_websockets.py") else { return };
    loses_nothing(&mut python);
}

#[test]
fn ws_of_node_loses_nothing() {
    let Some(mut node) = node("ws", "with_ws.js") else { return };
    loses_nothing(&mut node);
}
