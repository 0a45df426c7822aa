//! A listener that no child gets by accident.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Socket, Type};

/// Listens on any free port of the loopback interface.
///
/// # Errors
/// If socket(2), bind(2) or listen(2) fails.
pub fn listen() -> io::Result<TcpListener> {
    // `new` asks for SOCK_CLOEXEC in the same call: between a socket(2) without it and an fcntl(2) after it, another
    // thread could start a child.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}
