//! What chapter 7's TLS costs: its program beside hyper under tokio-rustls, which has the same configuration of rustls, the same
//! handler, and hands nothing over.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use lab::server_binary::Built;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use rustls::version::TLS13;
use testkit::{CERTIFICATE, CERTIFICATE_AND_KEY, make_certificate};
use tokio_rustls::TlsAcceptor;

use crate::client::Client;
use crate::compared::Compared;
use crate::h2load::{self, H2load};
use crate::many_idle::ManyIdle;
use crate::measured::Measured;
use crate::roles::{ANYWHERE, Role};
use crate::servers::{Binaries, Server};
use crate::tls_client::{self, ask, config, connect};

/// One request after the other on each of eight connections.
const TURN: H2load = H2load { scheme: "https", requests: 16_000, arguments: &["-c", "8", "--h1"] };

pub(crate) fn measure(binaries: &Binaries) -> Measured {
    let directory = tempfile::tempdir().expect("there is a place for temporary files");
    if let Err(error) = make_certificate(Path::new("openssl"), directory.path()) {
        return Measured::all([]).without([format!("TLS: no certificate, as `openssl` says: {error}")]);
    }
    match Built::EVERY.build() {
        Ok(program) => of(binaries, &program, directory.path()),
        Err(error) => Measured::all([]).without([error.to_string()]),
    }
}

fn of(binaries: &Binaries, program: &Path, files: &Path) -> Measured {
    let both = files.join(CERTIFICATE_AND_KEY);
    let ours = || {
        let mut command = Command::new(program);
        command.args(["--listen", ANYWHERE, "--tls"]).arg(&both);
        command
    };
    let config = config(&files.join(CERTIFICATE));
    let connected = |address: &str| connect(address, &config);
    let idle = ManyIdle {
        key: "tls",
        count: 10_000,
        what: "TLS connections",
        start: &|| Server::start(&mut ours(), 1),
        connect: &connected,
    };
    let mut compared = Compared {
        key: "tls",
        one: "a request under TLS",
        many: "requests under TLS",
        names: ["ours", "tokio-rustls"],
        commands: [ours(), binaries.command(Role::PlainTls(both.clone()))],
    };
    h2load::throughput(&mut compared, &TURN)
        .and(compared.instructions(|address, requests| connected(address).ask_often(requests)))
        .and(idle.measure(|row| row.at_most(800.0)))
}

impl Client for tls_client::Client {
    fn ask(&mut self) -> String {
        ask(self)
    }
}

/// What [`Role::PlainTls`] accepts with.
pub(crate) fn acceptor(certificate_and_key: &Path) -> TlsAcceptor {
    let certificates = CertificateDer::pem_file_iter(certificate_and_key).expect("it was made for this");
    let certificates = certificates.collect::<Result<_, _>>().expect("they are certificates");
    let key = PrivateKeyDer::from_pem_file(certificate_and_key).expect("there is one");
    let config = ServerConfig::builder_with_provider(default_provider().into())
        .with_protocol_versions(&[&TLS13])
        .expect("it has TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .expect("they belong together");
    TlsAcceptor::from(Arc::new(config))
}
