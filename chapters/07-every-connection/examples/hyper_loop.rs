//! An accept loop around hyper, whose connections stay open when `kill -USR2` replaces it:
//! `cargo run -p every-connection --example hyper_loop`.

// ANCHOR: main
use std::convert::Infallible;
use std::process::ExitCode;

use every_connection::Http2;
use graceful::{Builder, GatedListener};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;

fn main() -> Result<ExitCode, graceful::Error> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:48567".to_owned());
    Builder::new().listen("web", address).run(async |setup| {
        let generation = setup.generation();
        setup.hand_over_http2("web", Http2::of_server(|listener| serve(listener, generation)).await?);
        tokio::spawn(serve(setup.listener("web"), generation));
        Ok(())
    })
}

async fn serve(mut listener: GatedListener, generation: u64) {
    loop {
        let (client, _) = listener.accept().await;
        tokio::spawn(async move {
            let service = service_fn(move |request| hello(request, generation));
            // `Err`: the client is gone, or breaks the rules.
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection_with_upgrades(TokioIo::new(client), service)
                .await;
        });
    }
}

#[expect(clippy::unused_async, reason = "a real service waits for something")]
async fn hello(_: Request<Incoming>, generation: u64) -> Result<Response<String>, Infallible> {
    let mut response = Response::new(format!("hello from generation {generation}\n"));
    response.headers_mut().insert("x-generation", generation.into());
    Ok(response)
}
// ANCHOR_END: main
