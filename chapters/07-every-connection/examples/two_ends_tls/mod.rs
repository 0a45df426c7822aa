//! What all steps have in common: a client under TLS 1.3 that asks again on the same connection, and records by hand.
#![allow(dead_code, reason = "no step needs all of it")]

#[path = "../../src/tls/believer.rs"]
mod believer;
pub(crate) mod records;

use std::error::Error;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use rustls::{ClientConnection, KeyLog, ServerConnection};

/// `TLS_AES_128_GCM_SHA256`, the one that `records` knows.
const SUITE: u16 = 0x1301;

pub(crate) struct Client {
    rustls: ClientConnection,
    socket: UnixStream,
}

/// A connection on which the old process has answered a request.
pub(crate) struct Connection {
    pub(crate) client: Client,
    /// The old process's rustls, and its end of the socket.
    pub(crate) old: ServerConnection,
    pub(crate) socket: UnixStream,
    /// What the keys of the client's direction come from.
    pub(crate) client_secret: Vec<u8>,
}

pub(crate) fn after_one_request() -> Result<Connection, Box<dyn Error>> {
    let (theirs, mut socket) = UnixStream::pair()?;
    let secret = Arc::<Secret>::default();
    let mut old = server(Arc::clone(&secret) as Arc<dyn KeyLog>)?;
    let rustls = believer::rustls_client(SUITE);
    let mut client = Client { rustls, socket: theirs };
    while old.is_handshaking() {
        client.send()?;
        old.read_tls(&mut socket)?;
        old.process_new_packets()?;
        while old.wants_write() {
            old.write_tls(&mut socket)?;
        }
        if old.is_handshaking() {
            client.read()?;
        }
    }
    client.ask("first")?;
    serve(&mut old, &mut socket, "old")?;
    client.listens()?;
    let client_secret = secret.0.lock().expect("no panic").take().ok_or("rustls has not told the secret")?;
    Ok(Connection { client, old, socket, client_secret })
}

/// rustls, as a server.
pub(crate) fn server(key_log: Arc<dyn KeyLog>) -> Result<ServerConnection, Box<dyn Error>> {
    let mut config = believer::server_config(SUITE);
    config.enable_secret_extraction = true;
    config.key_log = key_log;
    Ok(ServerConnection::new(Arc::new(config))?)
}

/// Reads one request, and answers it.
pub(crate) fn serve(
    rustls: &mut ServerConnection,
    socket: &mut UnixStream,
    process: &str,
) -> Result<(), Box<dyn Error>> {
    rustls.read_tls(socket)?;
    let read = rustls.process_new_packets().map(|state| vec![0; state.plaintext_bytes_to_read()]);
    if let Ok(mut request) = read.clone() {
        rustls.reader().read_exact(&mut request)?;
        write!(rustls.writer(), "the {process} process answers {}", String::from_utf8_lossy(&request))?;
    }
    while rustls.wants_write() {
        rustls.write_tls(socket)?;
    }
    read?;
    Ok(())
}

impl Client {
    pub(crate) fn ask(&mut self, request: &str) -> io::Result<()> {
        self.rustls.writer().write_all(request.as_bytes())?;
        self.send()
    }

    /// Goes on to its next keys (a KeyUpdate).
    pub(crate) fn update(&mut self) -> Result<(), Box<dyn Error>> {
        self.rustls.refresh_traffic_keys()?;
        Ok(self.send()?)
    }

    fn send(&mut self) -> io::Result<()> {
        while self.rustls.wants_write() {
            self.rustls.write_tls(&mut self.socket)?;
        }
        Ok(())
    }

    fn read(&mut self) -> Result<usize, Box<dyn Error>> {
        self.rustls.read_tls(&mut self.socket)?;
        Ok(self.rustls.process_new_packets()?.plaintext_bytes_to_read())
    }

    /// Prints the next answer, or what is wrong with it.
    pub(crate) fn listens(&mut self) -> io::Result<()> {
        let length = loop {
            match self.read() {
                Ok(0) => {}
                Ok(length) => break length,
                Err(error) => {
                    println!("the client: {error}");
                    return Ok(());
                }
            }
        };
        let mut answer = vec![0; length];
        self.rustls.reader().read_exact(&mut answer)?;
        println!("{}", String::from_utf8_lossy(&answer));
        Ok(())
    }
}

// ANCHOR: log
/// The secret of the client's direction, which rustls tells a log that is meant for debugging.
#[derive(Debug, Default)]
struct Secret(Mutex<Option<Vec<u8>>>);

impl KeyLog for Secret {
    fn log(&self, label: &str, _: &[u8], secret: &[u8]) {
        if label == "CLIENT_TRAFFIC_SECRET_0" {
            *self.0.lock().expect("no panic") = Some(secret.to_vec());
        }
    }
}
// ANCHOR_END: log
