//! The cipher suites of TLS 1.3 (RFC 8446, appendix B.4).
//!
//! The invariant: a suite that is not listed here is not negotiated, and its connections are not taken over.

use aws_lc_rs::{aead, hkdf};

#[derive(Debug)]
pub(super) struct Suite {
    pub(super) number: u16,
    pub(super) aead: &'static aead::Algorithm,
    pub(super) hkdf: hkdf::Algorithm,
    /// Bytes of a traffic secret.
    pub(super) secret: usize,
    /// How many records one key seals (section 5.5). What comes behind the last of them, a KeyUpdate or an alert, is within the
    /// limit, too.
    pub(super) most: u64,
}

/// AES-GCM is good for 2^24.5 records.
const MOST_WITH_GCM: u64 = 1 << 24;

static SUITES: [Suite; 3] = [
    Suite { number: 0x1301, aead: &aead::AES_128_GCM, hkdf: hkdf::HKDF_SHA256, secret: 32, most: MOST_WITH_GCM },
    Suite { number: 0x1302, aead: &aead::AES_256_GCM, hkdf: hkdf::HKDF_SHA384, secret: 48, most: MOST_WITH_GCM },
    Suite {
        number: 0x1303,
        aead: &aead::CHACHA20_POLY1305,
        hkdf: hkdf::HKDF_SHA256,
        secret: 32,
        // Records would run out of numbers first.
        most: u64::MAX >> 1,
    },
];

impl Suite {
    pub(super) fn find(number: u16) -> Option<&'static Suite> {
        SUITES.iter().find(|suite| suite.number == number)
    }
}
