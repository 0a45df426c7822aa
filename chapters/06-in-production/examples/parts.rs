//! What else a service may consist of, on a runtime of its own: a stream service, a UDP socket, a task in the background, hooks,
//! and counters for Prometheus.
//! `cargo run -p graceful --example parts`

use std::error::Error;
use std::net::UdpSocket;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Duration;

use axum::routing::get;
use graceful::{Builder, Draining};
use tokio::{io, net};

fn main() -> Result<ExitCode, graceful::Error> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:48567".to_owned());
    let builder = Builder::new().listen("web", address).listen("pipe", "127.0.0.1:0");
    let prepared = match builder.udp("echo", "127.0.0.1:0".parse()?).probation(Duration::ZERO).prepare()? {
        ControlFlow::Continue(prepared) => prepared,
        ControlFlow::Break(status) => return Ok(status),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(prepared.serve(async |setup| {
        let (generation, ready, metrics) = (setup.generation(), setup.readiness(), setup.metrics());
        let web = axum::Router::new().route("/", get(async move || format!("{}\n", ready())));
        setup.tower("web", web.route("/metrics", get(async move || metrics())));
        setup.streams("pipe", async |stream, _, _| {
            let (mut from, mut to) = io::split(stream);
            // `Err`: the client is gone.
            let _ = io::copy(&mut from, &mut to).await;
        });
        let socket = setup.udp("echo").ok_or("the builder has bound it")?;
        tracing::info!(udp = %socket.local_addr()?, generation, "echo");
        setup.background(move |draining| echo(socket.try_clone(), draining, generation));
        setup.on_drain(move || tracing::info!(generation, "the drain begins"));
        setup.on_end(move |outcome| tracing::info!(generation, ?outcome, "the end"));
        Ok(())
    }));
    runtime.shutdown_background();
    ended
}

/// Answers each datagram, until a successor reads from the same queue.
async fn echo(socket: std::io::Result<UdpSocket>, mut draining: Draining, generation: u64) {
    let answered: Result<(), Box<dyn Error + Send + Sync>> = async {
        let socket = net::UdpSocket::from_std(socket?)?;
        let mut datagram = [0; 512];
        loop {
            tokio::select! {
                biased;
                () = draining.begun() => return Ok(()),
                received = socket.recv_from(&mut datagram) => {
                    let (length, client) = received?;
                    let text = String::from_utf8_lossy(&datagram[..length]);
                    socket.send_to(format!("{generation}: {text}").as_bytes(), client).await?;
                }
            }
        }
    }
    .await;
    if let Err(error) = answered {
        tracing::error!(%error, "the echo has ended");
    }
}
