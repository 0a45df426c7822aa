//! A plain TCP service that answers each line, and that `kill -USR2` replaces: `cargo run -p graceful --example line_server`.

// ANCHOR: main
use std::process::ExitCode;

use graceful::{Builder, Draining, Stream};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

fn main() -> Result<ExitCode, graceful::Error> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:48567".to_owned());
    Builder::new().listen("lines", address).run(async |setup| {
        let generation = setup.generation();
        setup.streams("lines", move |stream, client, draining| async move {
            if let Err(error) = serve(stream, draining, generation).await {
                tracing::debug!(%error, ?client, "a client was lost");
            }
        });
        Ok(())
    })
}

/// Answers until the client ends it, or until the service drains and the client has its last answer, which says so.
async fn serve(stream: Stream, mut draining: Draining, generation: u64) -> std::io::Result<()> {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut lines = BufReader::new(reader).lines();
    loop {
        tokio::select! {
            line = lines.next_line() => match line? {
                Some(line) => writer.write_all(format!("generation {generation}: {line}\n").as_bytes()).await?,
                None => return Ok(()),
            },
            () = draining.begun() => {
                writer.write_all(b"goodbye\n").await?;
                return writer.shutdown().await;
            }
        }
    }
}
// ANCHOR_END: main
