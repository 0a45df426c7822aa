//! A client with one HTTP/2 connection, frame by frame (RFC 9113): the cheapest that there can be.
//!
//! The invariant: it has one request at a time, each on a stream of its own.

use std::io::{BufReader, Read as _, Write as _};
use std::net::TcpStream;

use crate::client::Client;

/// The client.
pub(crate) struct Http2Client {
    socket: BufReader<TcpStream>,
    /// Of its last request.
    stream: u32,
}

const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const HEADERS: u8 = 1;
const DATA: u8 = 0;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// GET, http, `/`, and the authority `lab`, of HPACK's static table (RFC 7541, appendix A).
const BLOCK: &[u8] = b"\x82\x86\x84\x01\x03lab";

impl Http2Client {
    pub(crate) fn connect(address: &str) -> Http2Client {
        let socket = TcpStream::connect(address).expect("the server listens");
        // Or the kernel holds a request back until the server's kernel has acknowledged the settings.
        socket.set_nodelay(true).expect("it is open");
        let mut client = Http2Client { socket: BufReader::new(socket), stream: 0 };
        client.socket.get_mut().write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("the server reads");
        client.send(SETTINGS, 0, 0, &[]);
        // It takes as many bytes as there can be, and need not say so again.
        client.send(WINDOW_UPDATE, 0, 0, &((1_u32 << 31) - 65_536).to_be_bytes());
        client
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, content: &[u8]) {
        let length = u32::try_from(content.len()).expect("it is short").to_be_bytes();
        let frame = [&length[1..], &[kind, flags], &stream.to_be_bytes(), content].concat();
        self.socket.get_mut().write_all(&frame).expect("the server reads");
    }
}

impl Client for Http2Client {
    /// On a new stream.
    fn ask(&mut self) -> String {
        self.stream = if self.stream == 0 { 1 } else { self.stream + 2 };
        self.send(HEADERS, END_STREAM | END_HEADERS, self.stream, BLOCK);
        let mut body = String::new();
        loop {
            let mut head = [0; 9];
            self.socket.read_exact(&mut head).expect("the server answers");
            let [a, b, c, kind, flags, ..] = head;
            let mut content = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            self.socket.read_exact(&mut content).expect("the server answers");
            match kind {
                SETTINGS if flags & ACK == 0 => self.send(SETTINGS, ACK, 0, &[]),
                DATA => body += &String::from_utf8_lossy(&content),
                _ => {}
            }
            if kind <= HEADERS && flags & END_STREAM != 0 {
                return body;
            }
        }
    }
}
