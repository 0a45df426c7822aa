//! rustls' own server after a handshake without chance and without cryptography that costs time: the same each time.

use std::io::Read as _;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use rustls::crypto::{
    ActiveKeyExchange, CryptoProvider, GetRandomFailed, SecureRandom, SharedSecret, SupportedKxGroup, aws_lc_rs,
};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::{CertifiedKey, Signer, SigningKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{
    ClientConfig, ClientConnection, Error, KeyLog, NamedGroup, ServerConfig, ServerConnection, SignatureAlgorithm,
    SignatureScheme,
};

use super::believer::Believer;

/// All of TLS 1.3.
const SUITES: [u16; 3] = [0x1301, 0x1302, 0x1303];

/// A handshake that was recorded.
pub(super) struct Recorded {
    pub(super) suite: u16,
    /// Of the client, and of the server.
    pub(super) secrets: [Vec<u8>; 2],
    config: Arc<ServerConfig>,
    client_says: Vec<u8>,
}

static RECORDED: LazyLock<[Recorded; 3]> = LazyLock::new(|| SUITES.map(Recorded::new));

impl Recorded {
    pub(super) fn with(number: u8) -> &'static Recorded {
        &RECORDED[usize::from(number) % SUITES.len()]
    }

    fn new(suite: u16) -> Recorded {
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites.retain(|known| u16::from(known.suite()) == suite);
        provider.kx_groups = vec![&Constant];
        provider.secure_random = &Constant;
        let (provider, log): (Arc<CryptoProvider>, _) = (Arc::new(provider), Arc::<Log>::default());
        let key = CertifiedKey::new(vec![CertificateDer::from(&b"believe me"[..])], Arc::new(Constant));
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .expect("the suite is one of TLS 1.3")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        config.key_log = Arc::clone(&log) as Arc<dyn KeyLog>;
        config.send_tls13_tickets = 0;
        let config = Arc::new(config);
        let trusting = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .expect("the suite is one of TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Believer))
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").expect("it is a name");
        let mut client = ClientConnection::new(Arc::new(trusting), name).expect("the configuration is fine");
        let mut server = ServerConnection::new(Arc::clone(&config)).expect("the configuration is fine");
        let mut client_says = Vec::new();
        while client.is_handshaking() || client.wants_write() {
            let mut said = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut said).expect("it is memory");
            }
            hear(&mut server, &said).expect("nothing is wrong");
            client_says.extend_from_slice(&said);
            let back = says(&mut server);
            client.read_tls(&mut &back[..]).expect("it is memory");
            client.process_new_packets().expect("nothing is wrong");
        }
        let secrets = std::mem::take(&mut *log.0.lock().unwrap_or_else(PoisonError::into_inner));
        Recorded { suite, secrets, config, client_says }
    }

    /// The server, to which the client has said what it did then.
    pub(super) fn server(&self) -> ServerConnection {
        let mut server = ServerConnection::new(Arc::clone(&self.config)).expect("the configuration is fine");
        hear(&mut server, &self.client_says).expect("nothing is wrong");
        assert!(!server.is_handshaking(), "it is the same each time");
        says(&mut server);
        server
    }
}

/// Lets rustls hear this, and returns the data in it, as far as nothing is wrong.
pub(super) fn hear(server: &mut ServerConnection, mut bytes: &[u8]) -> Result<Vec<u8>, (Vec<u8>, Error)> {
    let mut data = Vec::new();
    while !bytes.is_empty() {
        // `Err`: it has closed.
        if !server.read_tls(&mut bytes).is_ok_and(|read| read > 0) {
            break;
        }
        let processed = server.process_new_packets();
        // `Err`: no more for now.
        let _ = server.reader().read_to_end(&mut data);
        if let Err(error) = processed {
            return Err((data, error));
        }
    }
    Ok(data)
}

pub(super) fn says(server: &mut ServerConnection) -> Vec<u8> {
    let mut said = Vec::new();
    while server.wants_write() {
        server.write_tls(&mut said).expect("it is memory");
    }
    said
}

/// What the keys come from: of the client, and of the server.
#[derive(Debug, Default)]
struct Log(Mutex<[Vec<u8>; 2]>);

impl KeyLog for Log {
    fn log(&self, label: &str, _: &[u8], secret: &[u8]) {
        let number = ["CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"].iter().position(|name| *name == label);
        if let Some(number) = number {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)[number] = secret.to_vec();
        }
    }
}

/// Does what needs chance or time in a handshake, without either.
#[derive(Debug)]
struct Constant;

impl SecureRandom for Constant {
    fn fill(&self, buf: &mut [u8]) -> Result<(), GetRandomFailed> {
        buf.fill(7);
        Ok(())
    }
}

impl SupportedKxGroup for Constant {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        Ok(Box::new(Constant))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

impl ActiveKeyExchange for Constant {
    fn complete(self: Box<Self>, _: &[u8]) -> Result<SharedSecret, Error> {
        Ok(SharedSecret::from(&[7; 32][..]))
    }

    fn pub_key(&self) -> &[u8] {
        &[7; 32]
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

impl SigningKey for Constant {
    fn choose_scheme(&self, _: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        Some(Box::new(Constant))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for Constant {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(vec![7; 64])
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}
