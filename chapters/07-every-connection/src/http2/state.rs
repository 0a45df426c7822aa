//! What one process tells the next about a connection.
//!
//! The invariant: what is not understood is declined; nothing is guessed.

use bytes::{Buf, BufMut as _, Bytes, BytesMut};

use super::settings::Settings;

/// The first bytes. Another version of this message says so here.
const VERSION: &[u8] = b"h2/1";

/// A connection between two libraries: no stream is open.
#[derive(Debug, Default, PartialEq)]
pub(super) struct State {
    /// The last stream that the client has opened.
    pub(super) last: u32,
    /// How many bytes of bodies the client may still send to us, and we to the client.
    pub(super) receive_window: u32,
    pub(super) send_window: u32,
    /// What the client has said about itself.
    pub(super) theirs: Settings,
    /// What the client was told about us.
    pub(super) ours: Settings,
    /// What was read and given to no library, from the first byte of a frame on. It is the rest of the message.
    pub(super) unread: Bytes,
}

impl State {
    pub(super) fn write(&self) -> Bytes {
        let mut to = BytesMut::from(VERSION);
        for number in [self.last, self.receive_window, self.send_window] {
            to.put_u32(number);
        }
        for settings in [&self.theirs, &self.ours] {
            let mut payload = BytesMut::new();
            settings.put(&mut payload);
            to.put_u16(u16::try_from(payload.len()).unwrap_or(0));
            to.put(payload);
        }
        to.put(&self.unread[..]);
        to.freeze()
    }

    /// `None` if this is no such message.
    pub(super) fn read(mut message: Bytes) -> Option<State> {
        if !message.starts_with(VERSION) {
            return None;
        }
        message.advance(VERSION.len());
        let [last, receive_window, send_window] = [number(&mut message)?, number(&mut message)?, number(&mut message)?];
        let [theirs, ours] = [settings(&mut message)?, settings(&mut message)?];
        Some(State { last, receive_window, send_window, theirs, ours, unread: message })
    }
}

/// Stream numbers and windows have 31 bits.
fn number(message: &mut Bytes) -> Option<u32> {
    message.try_get_u32().ok().filter(|number| number >> 31 == 0)
}

fn settings(message: &mut Bytes) -> Option<Settings> {
    let length = usize::from(message.try_get_u16().ok()?);
    let mut settings = Settings::default();
    (length % 6 == 0 && length <= message.len()).then_some(())?;
    settings.merge(&message.split_to(length))?;
    Some(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let mut settings = Settings::default();
        settings.set(4, 1);
        State {
            last: 7,
            receive_window: 0,
            send_window: (1 << 31) - 1,
            theirs: Settings::default(),
            ours: settings,
            unread: Bytes::from_static(b"\0\0\x04"),
        }
    }

    #[test]
    fn what_is_written_is_read_and_what_comes_behind_is_unread() {
        assert_eq!(State::read(state().write()), Some(state()));
        let more = Bytes::from([&state().write()[..], b"more"].concat());
        assert_eq!(State::read(more).expect("it is longer").unread, b"\0\0\x04more"[..]);
    }

    #[test]
    fn what_is_not_understood_is_declined() {
        let whole = state().write();
        let least = whole.len() - state().unread.len();
        for length in 0..least {
            assert_eq!(State::read(whole.slice(..length)), None, "{length} of {least} bytes");
        }
        for (at, byte) in [(0, b'H'), (3, b'2'), (4, 0x80), (8, 0xff), (16, 1), (18, 9)] {
            let mut other = whole.to_vec();
            other[at] = byte;
            assert_eq!(State::read(other.into()), None, "byte {at} is {byte}");
        }
        let mut odd = whole.to_vec();
        odd.splice(16..18, [0, 1, 9]);
        assert_eq!(State::read(odd.into()), None, "the client's settings have one byte");
    }
}
