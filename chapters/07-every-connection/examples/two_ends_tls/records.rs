//! One direction of a connection, record by record (RFC 8446, section 5), with the cipher suite `TLS_AES_128_GCM_SHA256`.

use std::error::Error;
use std::io::{Read, Write};

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk};
use rustls::ConnectionTrafficSecrets;

// ANCHOR: direction
/// Keys, and the number of the next record.
pub(crate) struct Direction {
    key: LessSafeKey,
    iv: Vec<u8>,
    number: u64,
}

impl Direction {
    pub(crate) fn new(key: &[u8], iv: &[u8], number: u64) -> Result<Direction, Unspecified> {
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key)?);
        Ok(Direction { key, iv: iv.to_vec(), number })
    }

    /// What makes each record's encryption its own (section 5.3).
    fn nonce(&mut self) -> Result<Nonce, Unspecified> {
        let mut nonce = self.iv.clone();
        for (byte, number) in nonce[4..].iter_mut().zip(self.number.to_be_bytes()) {
            *byte ^= number;
        }
        self.number += 1;
        Nonce::try_assume_unique_for_key(&nonce)
    }

    /// The content of the next record. Its last byte says what it is: 23 for data, 22 for a message about the keys.
    pub(crate) fn open(&mut self, mut socket: impl Read) -> Result<Vec<u8>, Box<dyn Error>> {
        let mut head = [0; 5];
        socket.read_exact(&mut head)?;
        let mut record = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
        socket.read_exact(&mut record)?;
        let nonce = self.nonce()?;
        let opened = self.key.open_in_place(nonce, Aad::from(head), &mut record);
        Ok(opened.map_err(|_| "this record was not sealed with these keys")?.to_vec())
    }

    /// Sends a record of data.
    pub(crate) fn seal(&mut self, data: &str, mut socket: impl Write) -> Result<(), Box<dyn Error>> {
        let mut record = [data.as_bytes(), &[23]].concat();
        let [high, low] = u16::try_from(record.len() + AES_128_GCM.tag_len())?.to_be_bytes();
        let head = [23, 3, 3, high, low];
        let nonce = self.nonce()?;
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::from(head), &mut record)?;
        Ok(socket.write_all(&[&head, &record[..], tag.as_ref()].concat())?)
    }
}
// ANCHOR_END: direction

/// As rustls gives them out.
impl TryFrom<(u64, ConnectionTrafficSecrets)> for Direction {
    type Error = Unspecified;

    fn try_from((number, keys): (u64, ConnectionTrafficSecrets)) -> Result<Direction, Unspecified> {
        match keys {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => Direction::new(key.as_ref(), iv.as_ref(), number),
            _ => Err(Unspecified),
        }
    }
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-Expand-Label without a context (section 7.1).
pub(crate) fn expand(secret: &[u8], label: &str, length: u8) -> Result<Vec<u8>, Unspecified> {
    let label = format!("tls13 {label}");
    let info = [&[0, length, u8::try_from(label.len()).map_err(|_| Unspecified)?][..], label.as_bytes(), &[0]];
    let mut expanded = vec![0; length.into()];
    Prk::new_less_safe(HKDF_SHA256, secret).expand(&info, Length(length.into()))?.fill(&mut expanded)?;
    Ok(expanded)
}
