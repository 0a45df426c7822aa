//! Session tickets (RFC 8446, section 4.6.1) that every generation understands.
//!
//! The invariant: a ticket is good in the hour in which it was made and in the next one, for the listener that has given it. Each
//! hour's key comes from the hour and from the secret of all generations; so no process has to tell another.

use std::fmt::{self, Debug, Formatter};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk};
use rustls::server::ProducesTickets;
use zeroize::Zeroizing;

use super::keys::{Length, Secret};

const HOUR: u32 = 60 * 60;

/// Another version of these tickets says so here.
const LABEL: &[u8] = b"tickets/1 ";

pub(super) struct Tickets {
    listener: String,
    secret: Secret,
    /// What hour it is, counted from 1970.
    now: fn() -> u64,
}

impl Tickets {
    pub(super) fn new(listener: &str, secret: &[u8]) -> Tickets {
        Tickets { listener: listener.to_owned(), secret: Secret::new(secret.to_vec()), now: this_hour }
    }

    fn key(&self, hour: [u8; 8]) -> Option<RandomizedNonceKey> {
        let mut key = Zeroizing::new([0; 32]);
        let info = [LABEL, &hour, self.listener.as_bytes()];
        Prk::new_less_safe(HKDF_SHA256, &self.secret).expand(&info, Length(key.len())).ok()?.fill(&mut *key).ok()?;
        RandomizedNonceKey::new(&AES_256_GCM, &*key).ok()
    }
}

fn this_hour() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / u64::from(HOUR)
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    /// At least: one that is made at the beginning of an hour is good for two.
    fn lifetime(&self) -> u32 {
        HOUR
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let hour = (self.now)().to_be_bytes();
        // Sealed in place: nothing of it is left in plain, even if this grows.
        let mut sealed = Vec::with_capacity(plain.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(plain);
        let nonce = self.key(hour)?.seal_in_place_append_tag(Aad::empty(), &mut sealed).ok()?;
        Some([&hour[..], nonce.as_ref(), &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (hour, sealed) = ticket.split_first_chunk()?;
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let age = (self.now)().checked_sub(u64::from_be_bytes(*hour))?;
        if age > 1 {
            return None;
        }
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.key(*hour)?.open_in_place(nonce, Aad::empty(), &mut sealed).ok()?.len();
        sealed.truncate(length);
        Some(sealed)
    }
}

impl Debug for Tickets {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        to.write_str("Tickets")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In this hour.
    fn at(now: fn() -> u64) -> Tickets {
        Tickets { now, ..Tickets::new("web", &[7; 32]) }
    }

    #[test]
    fn a_ticket_is_good_in_its_hour_and_the_next_in_any_process() {
        let ticket = at(|| 10).encrypt(b"session").expect("there is randomness");
        let opened = [at(|| 9), at(|| 10), at(|| 11), at(|| 12)].map(|tickets| tickets.decrypt(&ticket));
        assert_eq!(opened, [None, Some(b"session".to_vec()), Some(b"session".to_vec()), None]);
        let mut renewed = ticket;
        renewed[7] += 2;
        assert_eq!(at(|| 12).decrypt(&renewed), None, "that is another hour's key");
    }

    #[test]
    fn a_ticket_is_good_for_its_listener_alone_and_only_whole() {
        let ticket = at(|| 10).encrypt(b"session").expect("there is randomness");
        let tickets = |listener, secret: &[u8]| Tickets { now: || 10, ..Tickets::new(listener, secret) };
        assert!(tickets("web", &[7; 32]).decrypt(&ticket).is_some());
        assert_eq!(tickets("admin", &[7; 32]).decrypt(&ticket), None);
        assert_eq!(tickets("web", &[8; 32]).decrypt(&ticket), None);
        for length in 0..ticket.len() {
            assert_eq!(at(|| 10).decrypt(&ticket[..length]), None, "{length} bytes of it");
        }
        for bit in 0..8 * ticket.len() {
            let mut other = ticket.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(at(|| 10).decrypt(&other), None, "bit {bit} is another");
        }
    }

    #[test]
    fn no_ticket_shows_what_is_in_it_and_no_two_are_the_same() {
        let [one, other] = [(); 2].map(|()| at(|| 10).encrypt(&[7; 48]).expect("there is randomness"));
        assert_ne!(one, other);
        assert!(!one.windows(8).any(|bytes| bytes == [7; 8]));
        assert_eq!(format!("{:?}", at(|| 10)), "Tickets");
    }
}
