//! A port for a server that cannot choose one itself, and say which.
//!
//! The invariant: as long as a [`Port`] is held, the kernel gives its number to no process that asks for any port, and
//! yet the server may listen on it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// A port of loopback, kept.
#[derive(Debug)]
pub struct Port {
    /// Bound, but not listening: with SO_REUSEADDR on both sockets, Linux lets another one bind to the same port and listen
    /// (socket(7)), and no connection ever comes here.
    _keeper: Socket,
    address: String,
}

impl Port {
    /// Any that is free.
    ///
    /// # Errors
    /// If none is.
    pub fn any() -> io::Result<Port> {
        let keeper = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        keeper.set_reuse_address(true)?;
        keeper.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        let address = keeper.local_addr()?.as_socket().map(|address| address.to_string());
        let address = address.ok_or_else(|| io::Error::other("the socket has no address"))?;
        Ok(Port { _keeper: keeper, address })
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_server_may_listen_on_a_port_that_is_kept_for_it() {
        let port = Port::any().unwrap();
        // As every server does, the standard library sets SO_REUSEADDR.
        let server = TcpListener::bind(port.address()).unwrap();
        assert_eq!(server.local_addr().unwrap().to_string(), port.address());
    }
}
