//! What chapter 7's gate costs a websocket.
//!
//! The invariant: see [`echo`](crate::echo).

use std::time::{Duration, Instant};

use crate::client::Client as _;
use crate::closed_loop::{ClosedLoop, Mode};
use crate::compared::Compared;
use crate::many_idle::ManyIdle;
use crate::measured::Measured;
use crate::roles::Role;
use crate::servers::Binaries;
use crate::websocket_client::WebsocketClient;

const TURN: Duration = Duration::from_millis(200);

pub(crate) fn measure(binaries: &Binaries) -> Measured {
    let idle = ManyIdle {
        key: "websocket",
        count: 10_000,
        what: "websockets",
        start: &|| binaries.playing(Role::Echo { gate: true }),
        connect: &WebsocketClient::connect,
    };
    let mut compared = Compared {
        key: "websocket",
        one: "a message over a websocket",
        many: "messages over websockets",
        names: ["with the gate", "without"],
        commands: [true, false].map(|gate| binaries.command(Role::Echo { gate })),
    };
    Measured::all(compared.throughput(per_second))
        .and(compared.instructions(|address, messages| WebsocketClient::connect(address).ask_often(messages)))
        .and(idle.measure(|row| row))
}

/// On 32 connections.
fn per_second(address: &str) -> f64 {
    let mut client = ClosedLoop::new(address, Mode::Websocket);
    // All of them are open before the turn begins.
    client.run(Duration::ZERO);
    let began = Instant::now();
    f64::from(client.run(TURN)) / began.elapsed().as_secs_f64()
}
