//! A hyper service that `kill -USR2` replaces: `cargo run -p graceful --example hyper_hello`.

#![expect(clippy::unused_async, reason = "a real service waits for something")]

// ANCHOR: main
use std::convert::Infallible;
use std::error::Error;
use std::process::{self, ExitCode};
use std::time::Duration;

use graceful::{Limits, Server, Upgrader, block_on};
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:48567".to_owned()).parse()?;

    let limits = Limits { drain_timeout: Duration::from_secs(30), ready_timeout: Duration::from_secs(10) };
    let mut upgrader = Upgrader::from_env(limits)?; // first of all, while there is one thread
    let generation = upgrader.generation();
    let mut server = Server::new(limits.drain_timeout);
    server.hand_over(&mut upgrader);
    server.add("web", service_fn(move |request| hello(request, generation)));
    upgrader.listen([("web".to_owned(), address)])?;
    block_on(async { Ok(upgrader.run(server).await?) })
}

async fn hello(_request: Request<Incoming>, generation: u64) -> Result<Response<String>, Infallible> {
    let greeting = format!("hello from pid {}, generation {generation}\n", process::id());
    let mut answer = Response::new(greeting);
    answer.headers_mut().insert("x-generation", generation.into());
    Ok(answer)
}
// ANCHOR_END: main
