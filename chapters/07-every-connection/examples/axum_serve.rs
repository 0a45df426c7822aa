//! `axum::serve`, whose connections stay open when `kill -USR2` replaces it:
//! `cargo run -p every-connection --example axum_serve`.

// ANCHOR: main
use std::io;
use std::process::ExitCode;

use axum::{Router, routing::get, serve::Listener};
use every_connection::Http2;
use graceful::{Builder, ClientAddress, GatedListener, Transport};

fn main() -> Result<ExitCode, graceful::Error> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:48567".to_owned());
    Builder::new().listen("web", address).run(async |setup| {
        let generation = setup.generation().to_string();
        let hello =
            async move || ([("x-generation", generation.clone())], format!("hello from generation {generation}\n"));
        setup.hand_over_http2("web", Http2::of_server(|listener| serve(listener, Router::new())).await?);
        tokio::spawn(serve(setup.listener("web"), Router::new().route("/", get(hello))));
        Ok(())
    })
}

async fn serve(listener: GatedListener, app: Router) {
    // `Err`: never, as axum says.
    let _ = axum::serve(Web(listener), app).await;
}

struct Web(GatedListener);

impl Listener for Web {
    type Io = Box<dyn Transport>;
    type Addr = ClientAddress;

    async fn accept(&mut self) -> (Box<dyn Transport>, ClientAddress) {
        self.0.accept().await
    }

    fn local_addr(&self) -> io::Result<ClientAddress> {
        Ok(ClientAddress(None))
    }
}
// ANCHOR_END: main
