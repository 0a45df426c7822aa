//! Which connections a server has, as its clients see them.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;

/// The local addresses, as the kernel writes them, of all TCP connections to this address.
///
/// # Panics
/// If it is no address.
#[must_use]
pub fn connected(address: &str) -> BTreeSet<String> {
    let address: SocketAddr = address.parse().expect("it is an address");
    let server = format!(":{:04X}", address.port());
    // A client of IPv4 may use a socket of IPv6.
    let table = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default()).concat();
    // Local address, remote address, state: 01 is ESTABLISHED.
    let fields = table.lines().map(|line| line.split_whitespace().skip(1).take(3).collect::<Vec<_>>());
    let ours = fields.filter(|fields| fields.len() == 3 && fields[1].ends_with(&server) && fields[2] == "01");
    ours.map(|fields| fields[0].to_owned()).collect()
}
