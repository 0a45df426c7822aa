//! What one side has told the other about itself (RFC 9113, section 6.5).
//!
//! The invariant: a later SETTINGS frame changes what it names, and nothing else.

use std::collections::BTreeMap;

use bytes::{Buf as _, BufMut as _, BytesMut};

use super::frame::{Head, SETTINGS};

pub(super) const HEADER_TABLE_SIZE: u16 = 1;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;
pub(super) const MAX_FRAME_SIZE: u16 = 5;
const MAX_HEADER_LIST_SIZE: u16 = 6;

/// A window that was told nothing else (section 6.9.2).
pub(super) const FIRST_WINDOW: u32 = 65_535;

/// The protocol has nine. A client that invents more than these is not remembered, and stays.
const MOST: usize = 32;

/// The settings that one side has named, by their numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Settings(BTreeMap<u16, u32>);

impl Settings {
    pub(super) fn get(&self, number: u16) -> u32 {
        self.0.get(&number).copied().unwrap_or(match number {
            HEADER_TABLE_SIZE => 4_096,
            MAX_CONCURRENT_STREAMS | MAX_HEADER_LIST_SIZE => u32::MAX,
            INITIAL_WINDOW_SIZE => FIRST_WINDOW,
            MAX_FRAME_SIZE => 1 << 14,
            _ => 0,
        })
    }

    pub(super) fn set(&mut self, number: u16, value: u32) {
        self.0.insert(number, value);
    }

    /// Takes in the payload of a SETTINGS frame. `None`: there is too much of it.
    pub(super) fn merge(&mut self, mut payload: &[u8]) -> Option<()> {
        while payload.len() >= 6 && self.0.len() <= MOST {
            let number = payload.get_u16();
            self.set(number, payload.get_u32());
        }
        (self.0.len() <= MOST).then_some(())
    }

    /// Takes in what the other says.
    pub(super) fn update(&mut self, by: &Settings) {
        self.0.extend(&by.0);
    }

    /// A SETTINGS frame that says all this.
    pub(super) fn put_frame(&self, to: &mut BytesMut) {
        let length = u32::try_from(self.0.len() * 6).unwrap_or(0);
        Head { length, kind: SETTINGS, flags: 0, stream: 0 }.put(to);
        self.put(to);
    }

    /// The payload of that frame.
    pub(super) fn put(&self, to: &mut BytesMut) {
        for (number, value) in &self.0 {
            to.put_u16(*number);
            to.put_u32(*value);
        }
    }

    /// Whether these grant a client all that it was `told`.
    ///
    /// # Errors
    /// Which setting is the obstacle.
    pub(super) fn cover(&self, told: &Settings) -> Result<(), String> {
        // What the client was not told is as unlimited as what is not named here.
        for number in told.0.keys().chain(self.0.keys()).filter(|number| **number != HEADER_TABLE_SIZE) {
            let (ours, theirs) = (self.get(*number), told.get(*number));
            if ours < theirs {
                return Err(format!("HTTP/2 setting {number} is {ours} here, and the client was told {theirs}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_remembered_than_a_client_has_reason_to_say() {
        let all: Vec<u8> = (0..2_000_u16).flat_map(|number| [&number.to_be_bytes()[..], &[0; 4]].concat()).collect();
        let mut settings = Settings::default();
        assert_eq!(settings.merge(&all[..6 * MOST]), Some(()));
        assert_eq!(settings.merge(&all), None);
        assert!(settings.0.len() <= MOST + 1, "{}", settings.0.len());
    }

    #[test]
    fn what_a_client_was_told_last_has_to_be_covered_but_for_the_table() {
        let told = |values: &[(u16, u32)]| Settings(values.iter().copied().collect());
        let mut ours = told(&[(INITIAL_WINDOW_SIZE, 9)]);
        ours.update(&told(&[(INITIAL_WINDOW_SIZE, 7)]));
        assert_eq!(ours, told(&[(INITIAL_WINDOW_SIZE, 7)]));
        // A library that names no limit of streams has none.
        for covered in [(INITIAL_WINDOW_SIZE, 6), (HEADER_TABLE_SIZE, 1 << 20), (MAX_CONCURRENT_STREAMS, u32::MAX)] {
            assert_eq!(ours.cover(&told(&[(INITIAL_WINDOW_SIZE, 7), covered])), Ok(()));
        }
        ours.cover(&told(&[(INITIAL_WINDOW_SIZE, 8)])).expect_err("it is more");
        ours.cover(&told(&[])).expect_err("a window is wider if nothing is said of it");
    }
}
