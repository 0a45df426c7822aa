//! A client with one websocket, frame by frame (RFC 6455): the cheapest that there can be.
//!
//! The invariant: it says hello, and reads the one text that answers it.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs};

use lab::websocket::{HELLO, REQUEST, TEXT};

use crate::client::Client;

/// The client.
pub(crate) struct WebsocketClient(TcpStream);

/// A connection that is a websocket from here on.
pub(crate) fn connect(address: impl ToSocketAddrs) -> TcpStream {
    let mut socket = TcpStream::connect(address).expect("the server listens");
    socket.write_all(REQUEST).expect("the server reads");
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte).expect("the server answers");
        head.extend(byte);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "this is no websocket: {:?}", String::from_utf8_lossy(&head));
    socket
}

impl WebsocketClient {
    pub(crate) fn connect(address: &str) -> WebsocketClient {
        WebsocketClient(connect(address))
    }
}

impl Client for WebsocketClient {
    fn ask(&mut self) -> String {
        self.0.write_all(HELLO).expect("the server reads");
        let mut head = [0; 2];
        self.0.read_exact(&mut head).expect("the server answers");
        assert_eq!(head[0], TEXT, "this is no text");
        // An answer here is shorter than 126 bytes.
        let mut text = vec![0; head[1].into()];
        self.0.read_exact(&mut text).expect("the server answers");
        String::from_utf8(text).expect("it is text")
    }
}
