//! The handshake, which is rustls' work, up to the moment when the keys change hands.
//!
//! The invariant: rustls is given no byte behind the record that ends the handshake. So nothing is inside it when it goes. (If it
//! stays, because the client speaks TLS 1.2, that does no harm.)

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{BufMut as _, BytesMut};
use rustls::server::ProducesTickets;
use rustls::{ConnectionTrafficSecrets, Error, KeyLog, ProtocolVersion, ServerConfig, ServerConnection};

use super::keys::{Keys, Secret};
use super::machine::Machine;
use super::older::Older;
use super::phase::Phase;
use super::record::{HEAD, length};
use super::suite::Suite;

pub(super) struct Handshake {
    pub(super) rustls: ServerConnection,
    secrets: Arc<Secrets>,
    pub(super) received: BytesMut,
    pub(super) to_client: BytesMut,
    /// How much of the record that rustls reads it was not given.
    missing: usize,
}

impl Handshake {
    /// # Errors
    /// If the configuration is of no use.
    pub(super) fn new(config: &ServerConfig) -> Result<Handshake, Error> {
        let secrets = Arc::new(Secrets { known: Mutex::default(), ticketer: Arc::clone(&config.ticketer) });
        // A clone for each connection: the log would name it by a random number that its client chooses.
        let mut config = config.clone();
        config.key_log = Arc::clone(&secrets) as Arc<dyn KeyLog>;
        config.ticketer = Arc::clone(&secrets) as Arc<dyn ProducesTickets>;
        config.enable_secret_extraction = true;
        let rustls = ServerConnection::new(Arc::new(config))?;
        Ok(Handshake { rustls, secrets, received: BytesMut::new(), to_client: BytesMut::new(), missing: 0 })
    }

    /// Takes in what was received, at most to the end of the handshake, or of the next record behind it. Whether that was reached.
    ///
    /// # Errors
    /// What is wrong. What the client has to be told about that is in `to_client`.
    pub(super) fn advance(&mut self) -> Result<bool, Error> {
        loop {
            if self.missing == 0 {
                let Some(length) = length(&self.received) else { return Ok(false) };
                self.missing = HEAD + length;
            }
            let part = self.received.split_to(self.missing.min(self.received.len()));
            if part.is_empty() {
                return Ok(false);
            }
            self.missing -= part.len();
            let read = self.read(&part);
            self.take_out()?;
            read?;
            if !self.rustls.is_handshaking() {
                return Ok(true);
            }
        }
    }

    fn read(&mut self, mut part: &[u8]) -> Result<(), Error> {
        while !part.is_empty() {
            self.rustls.read_tls(&mut part).map_err(general)?;
            self.rustls.process_new_packets()?;
        }
        Ok(())
    }

    /// Moves what rustls has to say to `to_client`.
    pub(super) fn take_out(&mut self) -> Result<(), Error> {
        while self.rustls.wants_write() {
            self.rustls.write_tls(&mut (&mut self.to_client).writer()).map_err(general)?;
        }
        Ok(())
    }

    /// Goes on behind the handshake: without rustls, if that can be.
    ///
    /// # Errors
    /// If rustls has agreed to what this does not speak.
    pub(super) fn finish(self: Box<Self>) -> Result<Phase, Error> {
        match self.rustls.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => Ok(Phase::Open(self.machine()?)),
            _ => Ok(Phase::Older(Box::new(Older::new(self)))),
        }
    }

    /// Goes on without rustls.
    pub(super) fn machine(self) -> Result<Box<Machine>, Error> {
        let suite = self.rustls.negotiated_cipher_suite().and_then(|suite| Suite::find(suite.suite().into()));
        let extracted = self.rustls.dangerous_extract_secrets()?;
        let [writes, reads] = self.secrets.take();
        let keys = |secret: Option<Secret>, (sequence, keys)| {
            let keys_match = |derived: &Keys| iv(&keys).is_some_and(|iv| derived.have_iv(iv));
            Keys::new(suite?, secret?, sequence).ok().filter(keys_match)
        };
        match (keys(reads, extracted.rx), keys(writes, extracted.tx)) {
            (Some(reads), Some(writes)) => Ok(Machine::new(reads, writes, self.received, self.to_client)),
            _ => Err(Error::General("the keys are not those of TLS 1.3".to_owned())),
        }
    }
}

/// rustls reads from memory, and writes to it: nothing goes wrong there, but it could say so.
#[expect(clippy::needless_pass_by_value, reason = "as `map_err` has it")]
fn general(error: io::Error) -> Error {
    Error::General(error.to_string())
}

fn iv(keys: &ConnectionTrafficSecrets) -> Option<&[u8]> {
    use ConnectionTrafficSecrets::{Aes128Gcm, Aes256Gcm, Chacha20Poly1305};
    match keys {
        Aes128Gcm { iv, .. } | Aes256Gcm { iv, .. } | Chacha20Poly1305 { iv, .. } => Some(iv.as_ref()),
        _ => None,
    }
}

/// The two secrets that one connection's keys come from: ours, and the client's.
struct Secrets {
    known: Mutex<[Option<Secret>; 2]>,
    /// That of the configuration.
    ticketer: Arc<dyn ProducesTickets>,
}

/// What [`KeyLog`] calls them.
const NAMES: [&str; 2] = ["SERVER_TRAFFIC_SECRET_0", "CLIENT_TRAFFIC_SECRET_0"];

impl Secrets {
    fn known(&self) -> MutexGuard<'_, [Option<Secret>; 2]> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> [Option<Secret>; 2] {
        std::mem::take(&mut *self.known())
    }
}

/// Tickets for TLS 1.3 alone. A session of TLS 1.2 goes on with its old keys: what seals its tickets would open the records of
/// each, whenever they were recorded.
impl ProducesTickets for Secrets {
    fn enabled(&self) -> bool {
        self.ticketer.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.ticketer.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let is_tls13 = self.known().iter().all(Option::is_some);
        is_tls13.then(|| self.ticketer.encrypt(plain)).flatten()
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.ticketer.decrypt(ticket)
    }
}

impl KeyLog for Secrets {
    fn log(&self, label: &str, _: &[u8], secret: &[u8]) {
        if let Some(number) = NAMES.iter().position(|name| *name == label) {
            self.known()[number] = Some(Secret::new(secret.to_vec()));
        }
    }

    fn will_log(&self, label: &str) -> bool {
        NAMES.contains(&label)
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("Secrets")
    }
}

#[cfg(test)]
mod tests {
    use super::super::peers::{SUITES, shaken};

    #[test]
    fn secrets_that_the_keys_do_not_come_from_are_refused() {
        for suite in SUITES {
            let (_, handshake) = shaken(suite);
            handshake.secrets.known().swap(0, 1);
            assert!(handshake.machine().is_err());
        }
    }
}
