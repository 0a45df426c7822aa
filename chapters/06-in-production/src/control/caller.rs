//! The other end of a connection on the control socket.
//!
//! The invariant: a caller, whatever it sends and however slowly, gets no more of this process than a line's time and a line's
//! memory.

use std::io;
use std::time::Duration;

use nix::unistd::Uid;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::protocol::{LONGEST, Reply, Request};

/// How long a caller may take to send its line, and to take ours.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) struct Caller(BufReader<UnixStream>);

impl Caller {
    pub(crate) fn new(stream: UnixStream) -> Caller {
        Caller(BufReader::new(stream))
    }

    /// What it asks, or why that is refused. `None`: nothing.
    pub(crate) async fn request(&mut self) -> Result<Option<Request>, String> {
        let late = |_| Err(format!("no request came within {PATIENCE:?}"));
        timeout(PATIENCE, self.read_request()).await.unwrap_or_else(late)
    }

    async fn read_request(&mut self) -> Result<Option<Request>, String> {
        let caller = self.0.get_ref().peer_cred().map_err(|error| error.to_string())?;
        if caller.uid() != 0 && caller.uid() != Uid::effective().as_raw() {
            return Err(format!("user {} may not control this service", caller.uid()));
        }
        let mut line = Vec::new();
        let mut bounded = (&mut self.0).take(LONGEST as u64);
        match bounded.read_until(b'\n', &mut line).await {
            Ok(0) => Ok(None),
            Ok(_) if line.ends_with(b"\n") => {
                serde_json::from_slice(&line).map(Some).map_err(|error| format!("this is not a request: {error}"))
            }
            Ok(LONGEST..) => Err(format!("a request has {LONGEST} bytes at most")),
            Ok(_) => Err("the request has no end".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    pub(crate) async fn say(&mut self, reply: &Reply) -> io::Result<()> {
        let mut line = serde_json::to_vec(reply)?;
        line.push(b'\n');
        timeout(PATIENCE, self.0.get_mut().write_all(&line)).await.unwrap_or_else(|late| Err(late.into()))
    }

    /// Waits until it has closed its end, or says more.
    pub(crate) async fn gone(&mut self) {
        let _ = self.0.read(&mut [0]).await;
    }
}
