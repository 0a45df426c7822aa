//! A client of the example `grpc`: tonic's channel, with four calls at a time and frequent pings, until it has had an answer
//! from a generation: `cargo run -p every-connection --example grpc_client 127.0.0.1:48567 3`.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use tonic::Request;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (address, last) = (arguments.next().ok_or("which address?")?, arguments.next().ok_or("which generation?")?);
    let last = last.parse()?;
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    let channel = endpoint.http2_keep_alive_interval(Duration::from_millis(37)).connect().await?;
    let newest = Arc::new(AtomicU64::new(0));
    let callers: JoinSet<_> = (0..4).map(|_| ask(Grpc::new(channel.clone()), Arc::clone(&newest), last)).collect();
    let answered = callers.join_all().await.into_iter().sum::<Result<usize, Failure>>()?;
    println!("answered={answered}");
    Ok(())
}

/// Calls again and again, and returns how often.
async fn ask(mut client: Grpc<Channel>, newest: Arc<AtomicU64>, last: u64) -> Result<usize, Failure> {
    let mut answered = 0;
    while newest.load(Relaxed) < last {
        let body = Bytes::from(vec![b'x'; answered * 7919 % if answered % 4 == 0 { 30_000 } else { 100 }]);
        client.ready().await?;
        let path = "/echo.Echo/Echo".parse()?;
        let call = client.unary(Request::new(body.clone()), path, ProstCodec::<Bytes, Bytes>::default());
        let response = call.await?;
        let generation = response.metadata().get("x-generation").ok_or("of which generation?")?.to_str()?.parse()?;
        if response.into_inner() != body {
            return Err("the answer should be what was said".into());
        }
        answered += 1;
        if newest.fetch_max(generation, Relaxed) < generation {
            println!("generation {generation} answers");
        }
    }
    Ok(answered)
}
