//! One direction of a connection: its secret, the key that comes from it, and the number of the next record.
//!
//! The invariant: no two records are sealed with one number under one key. A number is used up before its record is sealed, and
//! only a new key begins at 0 again.

use aws_lc_rs::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce, Tag, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{KeyType, Prk};
use zeroize::Zeroizing;

use super::record::HEAD;
use super::suite::Suite;

/// A traffic secret, wiped when it is dropped. On the heap: whatever is moved leaves a copy behind.
pub(super) type Secret = Zeroizing<Vec<u8>>;

pub(super) struct Keys {
    pub(super) suite: &'static Suite,
    pub(super) secret: Secret,
    /// Of the next record.
    pub(super) sequence: u64,
    key: LessSafeKey,
    iv: Zeroizing<[u8; NONCE_LEN]>,
}

impl Keys {
    /// # Errors
    /// If the secret does not have the suite's length.
    pub(super) fn new(suite: &'static Suite, secret: Secret, sequence: u64) -> Result<Keys, Unspecified> {
        if secret.len() != suite.secret {
            return Err(Unspecified);
        }
        let key = expand(suite, &secret, "key", suite.aead.key_len())?;
        let mut iv = Zeroizing::new([0; NONCE_LEN]);
        iv.copy_from_slice(&expand(suite, &secret, "iv", NONCE_LEN)?);
        let key = LessSafeKey::new(UnboundKey::new(suite.aead, &key)?);
        Ok(Keys { suite, secret, sequence, key, iv })
    }

    /// Whether these come from the secret that this was derived from, too.
    pub(super) fn have_iv(&self, iv: &[u8]) -> bool {
        iv == &self.iv[..]
    }

    /// Goes on to the next secret (RFC 8446, section 7.2).
    pub(super) fn update(&mut self) -> Result<(), Unspecified> {
        *self = Keys::new(self.suite, expand(self.suite, &self.secret, "traffic upd", self.suite.secret)?, 0)?;
        Ok(())
    }

    /// Whether a KeyUpdate is due.
    pub(super) fn are_worn_out(&self) -> bool {
        self.sequence >= self.suite.most
    }

    /// Seals the payload of a record in place.
    pub(super) fn seal(&mut self, head: [u8; HEAD], payload: &mut [u8]) -> Result<Tag, Unspecified> {
        let nonce = self.nonce()?;
        self.key.seal_in_place_separate_tag(nonce, Aad::from(head), payload)
    }

    /// Opens a whole record in place, and returns its plaintext.
    pub(super) fn open<'record>(&mut self, record: &'record mut [u8]) -> Result<&'record mut [u8], Unspecified> {
        let (head, payload) = record.split_first_chunk_mut::<HEAD>().ok_or(Unspecified)?;
        let nonce = self.nonce()?;
        self.key.open_in_place(nonce, Aad::from(*head), payload)
    }

    /// Of the next record (section 5.3).
    fn nonce(&mut self) -> Result<Nonce, Unspecified> {
        let sequence = self.sequence.to_be_bytes();
        self.sequence = self.sequence.checked_add(1).ok_or(Unspecified)?;
        let mut nonce = *self.iv;
        for (byte, number) in nonce.iter_mut().rev().zip(sequence.iter().rev()) {
            *byte ^= number;
        }
        Ok(Nonce::assume_unique_for_key(nonce))
    }
}

/// Before each label.
const PREFIX: &[u8] = b"tls13 ";

/// HKDF-Expand-Label without a context (section 7.1).
fn expand(suite: &Suite, secret: &[u8], label: &str, length: usize) -> Result<Secret, Unspecified> {
    let mut expanded = Secret::new(vec![0; length]);
    let byte = |length: usize| u8::try_from(length).map_err(|_| Unspecified);
    let info = [&[0, byte(length)?, byte(PREFIX.len() + label.len())?][..], PREFIX, label.as_bytes(), &[0]];
    Prk::new_less_safe(suite.hkdf, secret).expand(&info, Length(length))?.fill(&mut expanded)?;
    Ok(expanded)
}

pub(super) struct Length(pub(super) usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}
