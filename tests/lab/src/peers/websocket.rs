//! As much of websockets as an idle client needs, and the server behind a proxy that it talks to (RFC 6455).
//!
//! The invariant: that server is never restarted, and closes no connection first; so whatever ends one, it is the proxy.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use crate::websocket::HELLO;

use super::client::News;

const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

const FROM_SERVER: &[u8] = b"\x81\x05hello";

const CLOSE: u8 = 0x88;

/// Takes the head of the server's answer, or the next frame, if it is there as a whole.
pub(super) fn next(received: &mut Vec<u8>) -> Option<News> {
    if received.starts_with(b"HTTP/") {
        let end = received.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let is_one = received.starts_with(b"HTTP/1.1 101 ");
        received.drain(..end);
        return Some(if is_one { News::Reply(HELLO.to_vec()) } else { News::End });
    }
    // No server here has more than 125 bytes to say.
    let [first, length] = *received.first_chunk::<2>()?;
    let end = 2 + usize::from(length);
    received.get(..end)?;
    received.drain(..end);
    Some(if first == CLOSE { News::End } else { News::Answer })
}

/// Starts a server that says hello to every client that does. It listens for as long as the lab runs.
pub(super) fn start_backend() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            // It ends with its connection.
            thread::spawn(move || serve(&socket));
        }
    });
    Ok(address)
}

fn serve(mut socket: &TcpStream) -> io::Result<()> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte)?;
        head.extend(byte);
    }
    socket.write_all(SWITCHING)?;
    let mut frame = [0; HELLO.len()];
    loop {
        socket.read_exact(&mut frame)?;
        socket.write_all(FROM_SERVER)?;
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::Client;
    use super::super::protocol::Protocol;
    use super::*;

    #[test]
    fn the_server_behind_a_proxy_says_hello_and_keeps_the_connection() {
        let address = start_backend().unwrap().to_string();
        let mut clients = [(); 3].map(|()| Client::ask(Protocol::Websocket, &address).unwrap());
        assert!(clients.iter_mut().all(|client| !client.is_closed()));
    }
}
