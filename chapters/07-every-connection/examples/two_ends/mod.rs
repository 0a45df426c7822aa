//! What all steps have in common: a client that asks again on the same connection, and what answers it.

use std::error::Error;
use std::os::fd::AsFd as _;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

pub(crate) type Client = SendRequest<Empty<Bytes>>;

/// A client that the old process has answered, and the connection's socket on our side.
pub(crate) async fn after_one_request(table: u32) -> Result<(Client, UnixStream), Box<dyn Error>> {
    let (theirs, ours) = UnixStream::pair()?;
    // Two descriptors of one socket, as two processes would have.
    let (first, second) = (ours.as_fd().try_clone_to_owned()?, ours);
    let old = serve(UnixStream::from_std(first.into())?, "old", table);
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(theirs)).await?;
    tokio::spawn(connection);
    ask(&mut client).await;
    old.abort();
    let _ = old.await;
    Ok((client, second))
}

pub(crate) async fn ask(client: &mut Client) {
    let request = Request::get("http://lab/").header("cookie", "a=b").body(Empty::new()).expect("it is a request");
    match client.send_request(request).await {
        Ok(answer) => {
            let body = answer.into_body().collect().await.expect("it was sent whole").to_bytes();
            println!("{}", String::from_utf8_lossy(&body));
        }
        Err(error) => println!("the client: {}", all_of(&error)),
    }
}

/// Serves a connection, until that goes wrong, with a table of this size for what the client sends.
pub(crate) fn serve(
    socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    process: &'static str,
    table: u32,
) -> JoinHandle<()> {
    let service = service_fn(move |request: Request<Incoming>| async move {
        let cookie = request.headers()["cookie"].to_str().map(str::to_owned);
        cookie.map(|cookie| Response::new(format!("the {process} process answers {cookie}")))
    });
    let mut library = Builder::new(TokioExecutor::new());
    library.header_table_size(table);
    tokio::spawn(async move {
        if let Err(error) = library.serve_connection(TokioIo::new(socket), service).await {
            println!("the {process} process: {}", all_of(&error));
        }
    })
}

/// An error, and what caused it.
fn all_of(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {}", all_of(cause)))
}
