//! An axum service with state and server-sent events that `kill -USR2` replaces: `cargo run -p graceful --example axum_hello`.

// ANCHOR: main
use std::convert::Infallible;
use std::process::{self, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, Sse};
use axum::{Extension, Router, routing::get};
use futures_util::{Stream, stream};
use graceful::{Builder, ClientAddress, Draining, Setup};
use tokio::time::sleep;

fn main() -> Result<ExitCode, graceful::Error> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:48567".to_owned());
    Builder::new().listen("web", address).run(async |setup| {
        let app = Arc::new(App::start(setup).await?);
        setup.tower("web", Router::new().route("/", get(hello)).route("/ticks", get(ticks)).with_state(app));
        Ok(())
    })
}

/// What the handlers share.
struct App {
    generation: u64,
    draining: Draining,
}

impl App {
    /// What takes time, a database's connections or a cache, is awaited here: until it returns, the old process serves.
    #[expect(clippy::unused_async, reason = "a real service waits for something")]
    async fn start(setup: &Setup) -> Result<App, Infallible> {
        Ok(App { generation: setup.generation(), draining: setup.draining() })
    }
}

async fn hello(
    State(app): State<Arc<App>>,
    Extension(client): Extension<ClientAddress>,
) -> ([(&'static str, String); 1], String) {
    let greeting = format!("hello {client}, from pid {}, generation {}\n", process::id(), app.generation);
    ([("x-generation", app.generation.to_string())], greeting)
}

/// An event a tenth of a second, until the service drains. Then the stream ends, and the client comes again, to the new process.
async fn ticks(State(app): State<Arc<App>>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let state = (app.draining.clone(), app.generation, 0_u64);
    Sse::new(stream::unfold(state, async |(mut draining, generation, number)| {
        tokio::select! {
            () = draining.begun() => None,
            () = sleep(Duration::from_millis(100)) => {
                let event = Event::default().data(format!("tick {number} of generation {generation}"));
                Some((Ok(event), (draining, generation, number + 1)))
            }
        }
    }))
}
// ANCHOR_END: main
