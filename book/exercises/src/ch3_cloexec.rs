//! A listener that no child gets by accident.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Socket, Type};

/// Listens on any free port of the loopback interface.
///
/// # Errors
/// If socket(2), bind(2) or listen(2) fails.
pub fn listen() -> io::Result<TcpListener> {
    let socket = Socket::new_raw(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}
