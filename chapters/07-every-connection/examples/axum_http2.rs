//! An axum service whose HTTP/2 connections, too, stay open when `kill -USR2` replaces it:
//! `cargo run -p every-connection --example axum_http2`.

// ANCHOR: main
use std::process::ExitCode;

use axum::{Router, routing::get};
use every_connection::Http2;
use graceful::Builder;

fn main() -> Result<ExitCode, graceful::Error> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:48567".to_owned());
    Builder::new().listen("web", address).run(async |setup| {
        let generation = setup.generation().to_string();
        setup.hand_over_http2("web", Http2::new());
        let hello =
            async move || ([("x-generation", generation.clone())], format!("hello from generation {generation}\n"));
        setup.tower("web", Router::new().route("/", get(hello)));
        Ok(())
    })
}
// ANCHOR_END: main
