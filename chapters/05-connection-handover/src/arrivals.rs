//! The new process's side: connections arrive and are served.
//!
//! The invariant: a connection is served here only after its acknowledgement was sent, and only one that we can serve
//! is acknowledged. So no two processes serve a connection, and one that we cannot serve stays with the old process.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rustix::process::{Resource, getrlimit};

use crate::channel::Channel;
use crate::drain::Shared;
use crate::message::{Arrival, Receiver, answer};
use crate::server::Start;
use crate::socket::Socket;
use crate::tls::Wrap;
use crate::transfer::Begin;

/// Descriptors left over for new connections, log files and everything else. A server that filled its limit with idle
/// connections could not accept an active one.
const HEADROOM: u64 = 64;

/// Serves the connections that arrive over `channel`, each with the service of the address that it connected to, until
/// the other end is gone.
pub(crate) async fn adopt_all(channel: Channel, services: BTreeMap<String, Start>, shared: Arc<Shared>) {
    let most = getrlimit(Resource::Nofile).current.map_or(u64::MAX, |limit| limit.saturating_sub(HEADROOM));
    let (mut taken, mut declined) = (0_usize, 0_usize);
    let mut connections = Receiver::new(&channel);
    while let Some(arrived) = connections.next().await {
        let ours: Vec<_> = arrived.into_iter().map(|arrival| adopt(arrival, &services, &shared, most)).collect();
        let answers: Vec<_> = ours.iter().map(Result::is_ok).collect();
        if answer(&channel, answers).await.is_err() {
            break;
        }
        for connection in ours {
            match connection {
                Ok((start, socket, begin, wrap)) => {
                    let client = socket.client();
                    shared.tally.adopted.fetch_add(1, Relaxed);
                    (start.serve)(socket.wrap(wrap), client, begin);
                    taken += 1;
                }
                Err(why) => {
                    if declined == 0 {
                        tracing::warn!(why, "connections are left to the old process");
                    }
                    declined += 1;
                }
            }
        }
    }
    tracing::info!(taken, declined, "connections taken over");
}

/// Prepares to serve a connection, or says why it stays with the old process, which still has a descriptor of it.
fn adopt<'services>(
    arrival: Arrival,
    services: &'services BTreeMap<String, Start>,
    shared: &Shared,
    most: u64,
) -> Result<(&'services Start, Socket, Begin, Option<Wrap>), String> {
    let Arrival { address, begin, tls, socket } = arrival;
    let start = services.get(&address).ok_or_else(|| format!("nothing is served on {address}"))?;
    if let Begin::Http2(state) = &begin {
        let gate = start.origin.http2.as_ref();
        gate.ok_or_else(|| format!("no HTTP/2 connections are taken over on {address}"))?.check(state)?;
    }
    if let Begin::Tunnel(state) = &begin {
        shared.tunnel_protocol(state)?.check(state)?;
    }
    let wrap = match (&tls, &start.tls) {
        (None, None) => None,
        // The handshake of TLS would never come: its client speaks in plain.
        (None, Some(_)) => return Err(format!("everything is encrypted on {address}")),
        (Some(message), Some(layer)) => Some(layer.adopt(message).ok_or("another version knows more about TLS")?),
        (Some(_), None) => return Err(format!("nothing is encrypted on {address}")),
    };
    // The kernel gives the lowest free number, so one above the limit means that the limit is reached.
    let fits = |socket: &OwnedFd| u64::try_from(socket.as_raw_fd()).is_ok_and(|number| number < most);
    let socket =
        socket.filter(fits).ok_or_else(|| format!("the limit of {most} descriptors is reached: see ulimit -n"))?;
    let socket = Socket::adopted(socket, shared.sockets.token()).map_err(|error| error.to_string())?;
    Ok((start, socket, begin, wrap))
}
