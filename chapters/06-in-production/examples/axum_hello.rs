//! An axum service that `kill -USR2` replaces: `cargo run -p graceful --example axum_hello`.

#![expect(clippy::unused_async, reason = "a real service waits for something")]

// ANCHOR: main
use std::error::Error;
use std::process::{self, ExitCode};
use std::time::Duration;

use axum::extract::State;
use axum::{Extension, Router, routing::get};
use graceful::{ClientAddress, Limits, Server, Upgrader, block_on};
use hyper_util::service::TowerToHyperService;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:48567".to_owned()).parse()?;

    let limits = Limits { drain_timeout: Duration::from_secs(30), ready_timeout: Duration::from_secs(10) };
    let mut upgrader = Upgrader::from_env(limits)?; // first of all, while there is one thread
    let mut server = Server::new(limits.drain_timeout);
    server.hand_over(&mut upgrader);
    upgrader.listen([("web".to_owned(), address)])?;
    block_on(async {
        let app = app(upgrader.generation()).await?;
        server.add("web", TowerToHyperService::new(app));
        Ok(upgrader.run(server).await?)
    })
}

/// The service itself. What takes time, a database's connections or a cache, is awaited here: until it returns, the old process
/// serves.
async fn app(generation: u64) -> Result<Router, Box<dyn Error>> {
    Ok(Router::new().route("/", get(hello)).with_state(generation))
}

async fn hello(
    State(generation): State<u64>,
    Extension(client): Extension<ClientAddress>,
) -> ([(&'static str, String); 1], String) {
    let greeting = format!("hello {client}, from pid {}, generation {generation}\n", process::id());
    ([("x-generation", generation.to_string())], greeting)
}
// ANCHOR_END: main
