//! The seam for tunnels: connections that speak a protocol of their handler's since a 101 (RFC 9110, section 7.8).
//!
//! The invariant: a tunnel goes only if its protocol has offered it, and then every process that can get it, this one included,
//! can go on with it.

use std::sync::Arc;

use bytes::Bytes;
use hyper::Request;
use hyper_util::rt::TokioIo;
use tokio::sync::SetOnce;

use crate::drain::Shared;
use crate::gate::Gate;
use crate::http2::{Movable, Transport};
use crate::socket::Socket;

/// A protocol whose tunnels can go. See [`Server::hand_over_tunnels`](crate::Server::hand_over_tunnels).
pub trait TunnelProtocol: Send + Sync + 'static {
    /// Names the protocol, and the version of its state. Every state begins with this and a line feed.
    fn name(&self) -> &str;

    /// Whether this process can go on with a tunnel in this state.
    ///
    /// # Errors
    /// Why not. It then stays with the process that has it.
    fn check(&self, state: &[u8]) -> Result<(), String>;

    /// Goes on with a tunnel from this state. `None`: no process can, so it ends.
    fn resume(&self, client: Box<dyn Transport>, state: Bytes) -> Option<Box<dyn Movable>>;
}

/// Serves the connection of this request from `state` on, once the answer, a 101, is written. Its protocol must be
/// [known](crate::Server::hand_over_tunnels) to the server; the protocol's state takes in what the client has sent already.
///
/// # Errors
/// In a sentence, if this server knows no such protocol, or did not offer the request to be upgraded.
pub fn tunnel<B>(request: &mut Request<B>, state: Bytes) -> Result<(), String> {
    let Asked { shared, offer } = request.extensions_mut().remove().ok_or("the request asks for no other protocol")?;
    let protocol = shared.tunnel_protocol(&state)?;
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        // `Err`: the client is gone, or the answer was another one.
        let Ok(upgraded) = upgrade.await else { return };
        let Ok(parts) = upgraded.downcast::<TokioIo<Gate<Socket>>>() else { return };
        let state = [state, parts.read_buf].concat();
        if let Some(tunnel) = protocol.resume(Box::new(parts.io.into_inner()), state.into()) {
            // `Err`: never, there is one tunnel for each connection.
            let _ = offer.0.set(tunnel);
        }
    });
    Ok(())
}

/// What lets a connection go that this chapter's gate lets pass, as soon as there is one.
#[derive(Clone, Default)]
pub(crate) struct Offer(Arc<SetOnce<Box<dyn Movable>>>);

/// What [`tunnel`] needs to know of the server; an extension of each request that asks for another protocol.
#[derive(Clone)]
struct Asked {
    shared: Arc<Shared>,
    offer: Offer,
}

impl Offer {
    pub(crate) fn made(gate: Box<dyn Movable>) -> Offer {
        Offer(Arc::new(SetOnce::new_with(Some(gate))))
    }

    pub(crate) fn ask<B>(&self, request: &mut Request<B>, shared: &Arc<Shared>) {
        request.extensions_mut().insert(Asked { shared: Arc::clone(shared), offer: self.clone() });
    }

    /// Takes the connection away from its library, if it is known that nothing is under way.
    pub(crate) fn take(&self) -> bool {
        self.0.get().is_some_and(|gate| gate.take().is_some())
    }

    pub(crate) async fn wait(&self) -> &dyn Movable {
        &**self.0.wait().await
    }
}
