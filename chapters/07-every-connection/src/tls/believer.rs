//! A server without a certificate, and rustls' client, which believes it: names are not what the tests and the book's steps are about.

use std::sync::Arc;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs as library};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};

/// Of TLS 1.2.
pub(super) const OLDER_SUITE: u16 = 0xc02b;

fn provider(suite: u16) -> Arc<CryptoProvider> {
    let mut provider = library::default_provider();
    provider.cipher_suites.retain(|known| u16::from(known.suite()) == suite);
    Arc::new(provider)
}

fn version(suite: u16) -> &'static SupportedProtocolVersion {
    if suite == OLDER_SUITE { &TLS12 } else { &TLS13 }
}

/// A server whose certificate only a client without a doubt believes.
pub(super) fn server_config(suite: u16) -> ServerConfig {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("there is randomness");
    let key = key.to_pkcs8v1().expect("it can be written down");
    let key = PrivatePkcs8KeyDer::from(key.as_ref()).into();
    let key = library::sign::any_supported_type(&key).expect("it was just made");
    let key = CertifiedKey::new(vec![CertificateDer::from(&b"believe me"[..])], key);
    ServerConfig::builder_with_provider(provider(suite))
        .with_protocol_versions(&[version(suite)])
        .expect("the suite is one of this version")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
}

pub(super) fn rustls_client(suite: u16) -> ClientConnection {
    let config = ClientConfig::builder_with_provider(provider(suite))
        .with_protocol_versions(&[version(suite)])
        .expect("the suite is one of this version")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Believer))
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("it is a name");
    ClientConnection::new(Arc::new(config), name).expect("the configuration is fine")
}

#[derive(Debug)]
pub(super) struct Believer;

impl ServerCertVerifier for Believer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
