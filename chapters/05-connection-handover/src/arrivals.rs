//! The new process's side: connections come, and are served.
//!
//! The invariant: a connection is served here only after the old process could hear that it is ours. So none is served by
//! two, and one that we cannot serve is still the old one's.

use std::os::fd::OwnedFd;

use graceful_upgrade::Adopter;
use rustix::fd::AsRawFd as _;
use rustix::process::{Resource, getrlimit};

use crate::channel::Channel;
use crate::message::{Arrival, Receiver, answer};

// ANCHOR: headroom
/// Descriptors that are left to new connections, log files and whatever else. A server that filled its limit with
/// connections that are idle would accept none of those that speak.
const HEADROOM: u64 = 64;
// ANCHOR_END: headroom

// ANCHOR: adopt_all
/// Serves the connections that come over `channel`, until the other end is gone.
pub(crate) async fn adopt_all(channel: Channel, adopter: Adopter) {
    let most = getrlimit(Resource::Nofile).current.map_or(u64::MAX, |limit| limit.saturating_sub(HEADROOM));
    let (mut taken, mut declined) = (0_usize, 0_usize);
    // The kernel always gives the lowest number that is free: so one above the limit means that it is reached.
    let fits = |socket: &OwnedFd| u64::try_from(socket.as_raw_fd()).is_ok_and(|number| number < most);
    let mut connections = Receiver::new(&channel);
    while let Some(mut arrived) = connections.next().await {
        for connection in &mut arrived {
            connection.socket.take_if(|socket| !adopter.knows(&connection.listener) || !fits(socket));
        }
        if answer(&channel, arrived.iter().map(|connection| connection.socket.is_some())).await.is_err() {
            break;
        }
        for Arrival { listener, unparsed, socket } in arrived {
            match socket.map(|socket| adopter.adopt(&listener, socket, unparsed)) {
                Some(Ok(())) => taken += 1,
                Some(Err(error)) => tracing::error!(%error, listener, "a connection was lost"),
                None => {
                    if declined == 0 {
                        tracing::warn!(
                            listener,
                            limit = most,
                            "connections are left to the old process: see ulimit -n"
                        );
                    }
                    declined += 1;
                }
            }
        }
    }
    tracing::info!(taken, declined, "connections taken over");
}
// ANCHOR_END: adopt_all
