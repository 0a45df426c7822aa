//! Records (RFC 8446, section 5): where each begins and ends, and what it holds.
//!
//! The invariant: a record that is longer than any may be is refused by its head, before more of it is kept.

use super::alert::Alert;

/// The bytes before each payload: a type, a version, a length.
pub(super) const HEAD: usize = 5;

/// The most that a record holds.
pub(super) const MOST_CONTENT: usize = 1 << 14;

/// The most that it becomes, sealed.
const MOST_PAYLOAD: usize = MOST_CONTENT + 256;

/// The longest record.
pub(super) const MOST: usize = HEAD + MOST_PAYLOAD;

pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const DATA: u8 = 23;

/// The head of a sealed record, which says DATA whatever it holds (section 5.2).
pub(super) fn head(payload: usize) -> [u8; HEAD] {
    let [high, low] = u16::try_from(payload).unwrap_or(u16::MAX).to_be_bytes();
    [DATA, 3, 3, high, low]
}

/// The size of the sealed record that these bytes begin with. `None`: they do not say it yet.
pub(super) fn size(bytes: &[u8]) -> Result<Option<usize>, Alert> {
    if bytes.first().is_some_and(|kind| *kind != DATA) {
        return Err(Alert::UnexpectedMessage);
    }
    match length(bytes) {
        Some(length) if length > MOST_PAYLOAD => Err(Alert::RecordOverflow),
        length => Ok(length.map(|length| HEAD + length)),
    }
}

/// What the head at the beginning of these bytes says that the payload is long.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let [.., high, low] = *bytes.first_chunk::<HEAD>()?;
    Some(u16::from_be_bytes([high, low]).into())
}

/// What was in a record: the type, and how much of the plaintext is content. Behind the content comes its type, and then zeros
/// at will (section 5.4).
pub(super) fn unpad(plain: &[u8]) -> Result<(u8, usize), Alert> {
    if plain.len() > MOST_CONTENT + 1 {
        return Err(Alert::RecordOverflow);
    }
    let end = plain.iter().rposition(|byte| *byte != 0).ok_or(Alert::UnexpectedMessage)?;
    Ok((plain[end], end))
}
