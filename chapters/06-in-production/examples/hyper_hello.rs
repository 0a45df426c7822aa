//! A hyper service that `kill -USR2` replaces: `cargo run -p graceful --example hyper_hello`.

// ANCHOR: main
use std::convert::Infallible;
use std::process::{self, ExitCode};

use graceful::Builder;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};

fn main() -> Result<ExitCode, graceful::Error> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:48567".to_owned());
    Builder::new().listen("web", address).run(async |setup| {
        let generation = setup.generation();
        setup.hyper("web", service_fn(move |request| hello(request, generation)));
        Ok(())
    })
}

#[expect(clippy::unused_async, reason = "a real service waits for something")]
async fn hello(_: Request<Incoming>, generation: u64) -> Result<Response<String>, Infallible> {
    let mut response = Response::new(format!("hello from pid {}, generation {generation}\n", process::id()));
    response.headers_mut().insert("x-generation", generation.into());
    Ok(response)
}
// ANCHOR_END: main
