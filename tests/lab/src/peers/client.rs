//! A client that asks once, and is silent from then on.
//!
//! The invariant: it has had an answer, and sends nothing after that but what its protocol demands in return for a frame; so
//! whatever ends its connection, it is not the client.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

use testkit::TIMEOUT;

use super::protocol::Protocol;
use super::{http2, websocket};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n";

/// It, and its one connection.
#[derive(Debug)]
pub(super) struct Client {
    socket: TcpStream,
    next: Next,
    /// What came and was not looked at.
    received: Vec<u8>,
    answered: bool,
    ended: bool,
}

/// Takes what the server says next out of what was received, if it is there as a whole.
type Next = fn(&mut Vec<u8>) -> Option<News>;

/// What the server has said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// The end of an answer.
    Answer,
    /// The connection is to be used no more.
    End,
    /// Something that has to be answered so.
    Reply(Vec<u8>),
    /// Nothing that matters here.
    Other,
}

impl Client {
    /// Connects, asks, and reads the answer.
    pub(super) fn ask(protocol: Protocol, address: &str) -> io::Result<Client> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        let (request, next): (_, Next) = match protocol {
            Protocol::Http1 | Protocol::Tls => (REQUEST.to_vec(), http1),
            Protocol::Http2 => (http2::request(), http2::next),
            Protocol::Websocket => (crate::websocket::REQUEST.to_vec(), websocket::next),
        };
        socket.write_all(&request)?;
        let mut client = Client { socket, next, received: Vec::new(), answered: false, ended: false };
        while !client.answered {
            client.receive()?;
            if client.ended {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        client.socket.set_nonblocking(true)?;
        Ok(client)
    }

    /// Whether the server has ended the connection by now, or said that it will.
    pub(super) fn is_closed(&mut self) -> bool {
        while !self.ended {
            match self.receive() {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(_) => self.ended = true,
            }
        }
        true
    }

    fn receive(&mut self) -> io::Result<()> {
        let mut part = [0; 1024];
        let length = self.socket.read(&mut part)?;
        self.ended |= length == 0;
        self.received.extend_from_slice(&part[..length]);
        while let Some(news) = (self.next)(&mut self.received) {
            match news {
                News::Answer => self.answered = true,
                News::End => self.ended = true,
                News::Reply(bytes) => self.socket.write_all(&bytes)?,
                News::Other => {}
            }
        }
        Ok(())
    }
}

/// The bodies of all servers here end with a line of their own.
fn http1(received: &mut Vec<u8>) -> Option<News> {
    let is_whole = received.ends_with(b"\n") && String::from_utf8_lossy(received).contains("hello from pid");
    is_whole.then(|| {
        received.clear();
        News::Answer
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Whether a client notes an end when its server answers, says this, and keeps the connection open.
    fn is_closed_by(protocol: Protocol, answer: &'static [u8], then: &'static [u8]) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            socket.write_all(answer).unwrap();
            socket
        });
        let mut client = Client::ask(protocol, &address).unwrap();
        let mut socket = server.join().unwrap();
        assert!(!client.is_closed(), "it has only been answered");
        socket.write_all(then).unwrap();
        client.socket.set_nonblocking(false).unwrap();
        client.receive().unwrap();
        client.socket.set_nonblocking(true).unwrap();
        client.is_closed()
    }

    #[test]
    fn a_goaway_is_an_end_and_a_ping_is_none() {
        const ANSWER: &[u8] = b"\0\0\0\x04\0\0\0\0\0\0\0\x02\0\x01\0\0\0\x01hi";
        assert!(is_closed_by(Protocol::Http2, ANSWER, b"\0\0\x08\x07\0\0\0\0\0\x7f\xff\xff\xff\0\0\0\0"));
        assert!(!is_closed_by(Protocol::Http2, ANSWER, b"\0\0\x08\x06\0\0\0\0\0goodbye?"));
    }

    #[test]
    fn a_close_frame_is_an_end_and_a_text_is_none() {
        const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x05hello";
        assert!(is_closed_by(Protocol::Websocket, ANSWER, b"\x88\x02\x03\xe9"));
        assert!(!is_closed_by(Protocol::Websocket, ANSWER, b"\x81\x03bye"));
    }

    #[test]
    fn a_connection_that_is_gone_has_ended() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            socket.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello from pid 7\n").unwrap();
            socket
        });
        let mut client = Client::ask(Protocol::Http1, &address).unwrap();
        drop(server.join().unwrap());
        // The end, or a reset: the request was never read.
        client.socket.set_nonblocking(false).unwrap();
        assert!(client.is_closed());
    }
}
