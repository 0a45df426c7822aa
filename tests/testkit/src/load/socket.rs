//! A connection to a server, TCP or unix.
//!
//! The invariant: a request leaves when it is written (`TCP_NODELAY`); Nagle's algorithm is not what we measure.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::answer::Loss;
use super::plan::Target;

/// Either kind of stream.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

pub(super) async fn connect(target: &Target) -> Result<Box<dyn Socket>, Loss> {
    let connected: std::io::Result<Box<dyn Socket>> = async {
        Ok(match target {
            Target::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Box::new(stream) as Box<dyn Socket>
            }
            Target::Unix(path) => Box::new(UnixStream::connect(path).await?),
        })
    }
    .await;
    connected.map_err(|error| Loss::Refused(format!("cannot connect to {target}: {error}")))
}
