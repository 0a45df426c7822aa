//! Wrong turn: both servers bind the same port with `SO_REUSEPORT`; then the old one stops.
//!
//! Each socket has a queue of its own, and the kernel deals connections out among them by a hash of their addresses
//! (SO_REUSEPORT in socket(7), `inet_ehashfn` in Linux). A connection that waits in the old one's queue when it closes is
//! reset: its client was connected, and may have sent a request already.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use socket2::{Domain, Socket, Type};

/// So many that both queues surely get some, and fewer than one queue holds.
const CLIENTS: usize = 200;

// ANCHOR: main
fn main() -> io::Result<()> {
    let old = bind_shared((Ipv4Addr::LOCALHOST, 0).into())?;
    let address = old.local_addr()?;
    let new = bind_shared(address)?;

    // The clients connect and ask. Both servers are about to accept.
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = TcpStream::connect(address)?;
        client.write_all(b"hello?")?;
        clients.push(client);
    }
    // The old one stops; it had no time to accept. The new one answers every client in its queue.
    drop(old);
    new.set_nonblocking(true)?;
    while let Ok((mut connection, _)) = new.accept() {
        connection.read_exact(&mut [0; b"hello?".len()])?;
        connection.write_all(b"hello!")?;
    }
    drop(new);

    let answered = clients.iter().filter(|client| is_answered(client)).count();
    println!("clients={CLIENTS} answered={answered} reset={}", CLIENTS - answered);
    Ok(())
}
// ANCHOR_END: main

fn bind_shared(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

fn is_answered(mut client: &TcpStream) -> bool {
    client.read_exact(&mut [0; b"hello!".len()]).is_ok()
}
