//! rustls' own client, over a socket.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

pub(crate) type Client = StreamOwned<ClientConnection, TcpStream>;

/// What a client needs to know, and keeps in mind: the certificate that it trusts, and tickets.
pub(crate) fn config(certificate: &Path) -> Arc<ClientConfig> {
    let mut trusted = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(certificate).expect("it was made for this");
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
    // In one piece: the kernel holds a second small one back until the first is acknowledged.
    client.write_all(format!("GET {path} HTTP/1.1\r\nHost: lab\r\n\r\n").as_bytes()).expect("it is open");
    answer(client)
}
