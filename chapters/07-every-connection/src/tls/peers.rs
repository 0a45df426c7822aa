//! What the tests do with clients: with rustls' own, and with one that seals whatever it is told to.

use std::io::{Read as _, Write as _};

use bytes::{Buf as _, BytesMut};
use rustls::{ClientConnection, Error};

use super::believer::{rustls_client, server_config};
use super::handshake::Handshake;
use super::keys::{Keys, Secret};
use super::machine::Machine;
use super::record::{HEAD, head, length};

/// All of TLS 1.3.
pub(super) const SUITES: [u16; 3] = [0x1301, 0x1302, 0x1303];

/// What the client has to say.
pub(super) fn says(client: &mut ClientConnection) -> BytesMut {
    let mut said = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut said).expect("it is memory");
    }
    said[..].into()
}

/// Lets the client hear this, and returns the data in it.
pub(super) fn hears(client: &mut ClientConnection, mut bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let mut data = Vec::new();
    while !bytes.is_empty() {
        client.read_tls(&mut bytes).expect("it is memory");
        client.process_new_packets()?;
        // `Err`: no more for now.
        let _ = client.reader().read_to_end(&mut data);
    }
    Ok(data)
}

/// A handshake that is over.
pub(super) fn shaken(suite: u16) -> (ClientConnection, Box<Handshake>) {
    let (mut client, mut server) = (rustls_client(suite), Handshake::new(&server_config(suite)).expect("it is fine"));
    loop {
        server.received.extend_from_slice(&says(&mut client));
        if server.advance().expect("the client says nothing wrong") {
            return (client, Box::new(server));
        }
        hears(&mut client, &server.to_client.split()).expect("the server says nothing wrong");
    }
}

/// A connection after its handshake, which goes in pieces of this size; the client has sent `early` behind it.
pub(super) fn connected(suite: u16, piece: usize, early: &[u8]) -> (ClientConnection, Box<Machine>) {
    let (mut client, mut server) = (rustls_client(suite), Handshake::new(&server_config(suite)).expect("it is fine"));
    let mut wrote = false;
    loop {
        let mut said = says(&mut client);
        if !client.is_handshaking() && !wrote {
            client.writer().write_all(early).expect("it is memory");
            said.extend_from_slice(&says(&mut client));
            wrote = true;
        }
        while said.has_remaining() {
            server.received.extend_from_slice(&said.split_to(piece.min(said.len())));
            if server.advance().expect("the client says nothing wrong") {
                let mut server = server.machine().expect("both are the keys of TLS 1.3");
                server.received.extend_from_slice(&said);
                return (client, server);
            }
        }
        for part in server.to_client.split().chunks(piece) {
            hears(&mut client, part).expect("the server says nothing wrong");
        }
    }
}

/// A client that keeps no rules.
pub(super) struct Client {
    reads: Keys,
    pub(super) writes: Keys,
}

/// Such a client, and a server that it talks to.
pub(super) fn raw(suite: u16) -> (Client, Box<Machine>) {
    let suite = super::suite::Suite::find(suite).expect("it is one of TLS 1.3");
    let keys = |byte| Keys::new(suite, Secret::new(vec![byte; suite.secret]), 0).expect("it is that long");
    let machine = Machine::new(keys(1), keys(2), BytesMut::new(), BytesMut::new());
    (Client { reads: keys(2), writes: keys(1) }, machine)
}

impl Client {
    /// A record with this plaintext: content, its type, and padding.
    pub(super) fn seals(&mut self, plain: &[u8]) -> Vec<u8> {
        let (head, mut payload) = (head(plain.len() + 16), plain.to_vec());
        let tag = self.writes.seal(head, &mut payload).expect("there are numbers left");
        [&head[..], &payload, tag.as_ref()].concat()
    }

    /// The next record, with its type last.
    pub(super) fn opens(&mut self, from: &mut BytesMut) -> Option<Vec<u8>> {
        let mut record = from.split_to(HEAD + length(from)?);
        Some(self.reads.open(&mut record).expect("it was sealed with the client's key and number").to_vec())
    }

    /// Has opened as many records.
    pub(super) fn skips_to(&mut self, sequence: u64) {
        self.reads.sequence = sequence;
    }

    /// Goes on to the server's next key.
    pub(super) fn follows(&mut self) {
        self.reads.update().expect("there is always a next secret");
    }
}
