//! Websockets: a gate that takes a live connection from its handler, between two messages, and gives it to the same handler in
//! another process, with what that handler knows.
//!
//! The invariant: a handler leaves with its state only when all that it was given has been answered and written, and what it was
//! not given goes with the connection. So no message is lost, read twice or answered twice.
//!
//! `machine` is the gate without a socket: where frames and messages begin and end (RFC 6455). `shell` puts it between a socket and
//! a library, and lets the handler go.

mod machine;
mod shell;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use connection_handover::{Movable, Transport, TunnelProtocol, tunnel};
use hyper::Request;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use shell::{Gate, Leave};

/// How long a message may still take once its connection should go. A client on a slow line sends a megabyte in that time.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);

type Serve<S> = dyn Fn(Gate, Leave, S) -> Pin<Box<dyn Future<Output = Option<S>> + Send>> + Send + Sync;

/// Websockets of one kind, whose handler can go on in the next process: for
/// [`Server::hand_over_tunnels`](connection_handover::Server::hand_over_tunnels).
///
/// ```
/// use every_connection::{Gate, Leave, Websockets};
/// use futures_util::{SinkExt as _, StreamExt as _};
/// use tokio_tungstenite::{WebSocketStream, tungstenite::protocol::Role};
///
/// /// Numbers what it echoes.
/// async fn count(gate: Gate, mut leave: Leave, mut count: u64) -> Option<u64> {
///     let mut socket = WebSocketStream::from_raw_socket(gate, Role::Server, None).await;
///     while let Some(next) = leave.unless(socket.next()).await {
///         let message = next?.ok()?;
///         if message.is_text() {
///             count += 1;
///             socket.send(format!("{count} {message}").into()).await.ok()?;
///         }
///     }
///     Some(count)
/// }
///
/// let counters = Websockets::new("counter/1", count);
/// ```
pub struct Websockets<S> {
    /// With a line feed behind it, as a state has it.
    name: Arc<str>,
    serve: Arc<Serve<S>>,
    message_timeout: Duration,
}

impl<S> Clone for Websockets<S> {
    fn clone(&self) -> Websockets<S> {
        Websockets { name: Arc::clone(&self.name), serve: Arc::clone(&self.serve), ..*self }
    }
}

impl<S: Serialize + DeserializeOwned + Send + 'static> Websockets<S> {
    /// `serve` reads and writes through the gate, in one task. Once [`Leave::unless`] has told it to leave, it returns its state,
    /// and is called with that again: in the next process, or here, if that does not take the connection. (In a stop, no process
    /// calls it again.) Otherwise it returns `None`, and the connection ends. A new version that cannot read the old one's states
    /// has another name.
    pub fn new<F>(name: &str, serve: impl Fn(Gate, Leave, S) -> F + Send + Sync + 'static) -> Websockets<S>
    where
        F: Future<Output = Option<S>> + Send + 'static,
    {
        let serve = Arc::new(move |gate, leave, state| -> Pin<Box<dyn Future<Output = Option<S>> + Send>> {
            Box::pin(serve(gate, leave, state))
        });
        Websockets { name: format!("{name}\n").into(), serve, message_timeout: MESSAGE_TIMEOUT }
    }

    /// How long a client may still take to send its message, or to take what it is sent, once its connection should go; then the
    /// connection is closed with 1012 (service restart), if that fits between two frames. A handler has as long as the drain.
    #[must_use]
    pub fn message_timeout(self, message_timeout: Duration) -> Websockets<S> {
        // None at all would never let another task run.
        Websockets { message_timeout: message_timeout.max(Duration::from_millis(1)), ..self }
    }

    /// Serves the connection of this request from `state` on, once the answer, a 101, is written.
    ///
    /// # Errors
    /// In a sentence, if the server does not know these websockets, or the state cannot be written down.
    pub fn upgrade<B>(&self, request: &mut Request<B>, state: &S) -> Result<(), String> {
        tunnel(request, self.write(state, &[])?)
    }

    /// A state: name, length, JSON, and what is unread is the rest.
    fn write(&self, state: &S, unread: &[u8]) -> Result<Bytes, String> {
        let json = serde_json::to_vec(state).map_err(|error| error.to_string())?;
        let mut to = BytesMut::from(self.name.as_bytes());
        to.put_u32(u32::try_from(json.len()).map_err(|error| error.to_string())?);
        to.put(&json[..]);
        to.put(unread);
        Ok(to.freeze())
    }

    fn read(&self, mut state: Bytes) -> Result<(S, Bytes), String> {
        let cut = || "the state of a websocket is cut".to_owned();
        state.starts_with(self.name.as_bytes()).then_some(()).ok_or_else(cut)?;
        state.advance(self.name.len());
        let length = state.try_get_u32().map_err(|_| cut())? as usize;
        let json = (length <= state.len()).then(|| state.split_to(length)).ok_or_else(cut)?;
        Ok((serde_json::from_slice(&json).map_err(|error| error.to_string())?, state))
    }
}

impl<S: Serialize + DeserializeOwned + Send + 'static> TunnelProtocol for Websockets<S> {
    fn name(&self) -> &str {
        self.name.trim_end_matches('\n')
    }

    fn check(&self, state: &[u8]) -> Result<(), String> {
        self.read(Bytes::copy_from_slice(state)).map(|_| ())
    }

    fn resume(&self, client: Box<dyn Transport>, state: Bytes) -> Option<Box<dyn Movable>> {
        let (state, unread) = self.read(state).ok()?;
        Some(Box::new(shell::serve(self.clone(), client, unread, state)))
    }
}
