//! A configuration from a file, for services that need no more.
//!
//! The invariant: it allows what rustls thinks safe, so TLS 1.2, too.

use std::error::Error;
use std::io;
use std::path::Path;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

use super::shell::Tls;

impl Tls {
    /// With the certificates and the key in this PEM file, no clients' certificates, and [sessions that resume](Tls::resuming).
    ///
    /// # Errors
    /// If the file cannot be read, lacks one of both, or they do not belong together.
    pub fn from_pem_file(file: impl AsRef<Path>) -> io::Result<Tls> {
        let file = file.as_ref();
        read(file)
            .map(|config| Tls::new(config).resuming())
            .map_err(|error| io::Error::other(format!("{}: {error}", file.display())))
    }
}

fn read(file: &Path) -> Result<ServerConfig, Box<dyn Error>> {
    let certificates = CertificateDer::pem_file_iter(file)?.collect::<Result<_, _>>()?;
    let config = ServerConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, PrivateKeyDer::from_pem_file(file)?)?;
    Ok(config)
}
