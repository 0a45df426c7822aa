//! rustls' own client, over a socket.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use testkit::{CERTIFICATE, Generations};

use crate::server::Files;

pub(crate) type Client = StreamOwned<ClientConnection, TcpStream>;

/// rustls' own client, connected.
pub(crate) fn rustls(server: &Generations, files: &Files) -> Client {
    connect(server.address(), &config(files))
}

/// What it needs to know, and keeps in mind: tickets.
pub(crate) fn config(files: &Files) -> Arc<ClientConfig> {
    let mut trusted = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(files.path(CERTIFICATE)).expect("it was made for this");
    trusted.add(certificate).expect("it is a certificate");
    let config = ClientConfig::builder_with_provider(default_provider().into())
        .with_protocol_versions(&[&TLS13])
        .expect("it has TLS 1.3")
        .with_root_certificates(trusted)
        .with_no_client_auth();
    Arc::new(config)
}

pub(crate) fn connect(address: &str, config: &Arc<ClientConfig>) -> Client {
    let name = ServerName::try_from("localhost").expect("it is a name");
    let client = ClientConnection::new(Arc::clone(config), name).expect("the configuration is fine");
    let socket = TcpStream::connect(address).expect("it listens");
    socket.set_read_timeout(Some(testkit::TIMEOUT)).expect("it is long enough");
    StreamOwned::new(client, socket)
}

/// The body of the next answer.
pub(crate) fn answer(client: &mut Client) -> String {
    let mut reader = BufReader::with_capacity(1, client);
    let (mut line, mut length) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        assert_ne!(reader.read_line(&mut line).expect("an answer comes"), 0, "the connection was closed");
        if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
            length = value.trim().parse().expect("it is a number");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("it is as long as it says");
    String::from_utf8(body).expect("it is text")
}

/// Asks, and returns the body of the answer.
pub(crate) fn ask(client: &mut Client) -> String {
    ask_for(client, "/")
}

/// The same, of another path.
pub(crate) fn ask_for(client: &mut Client, path: &str) -> String {
    write!(client, "GET {path} HTTP/1.1\r\nHost: lab\r\n\r\n").expect("it is open");
    answer(client)
}
