//! The body of one message: where it ends.
//!
//! The invariant: a body ends here where it ends for the library, or is [`Unsure`].

use super::head::Unsure;

/// The position in a message, with the bytes left of a body or a chunk. Chunked bodies: RFC 9112, section 7.1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Body {
    /// In no body: a head comes next, or goes on.
    #[default]
    None,
    Length(u64),
    /// The body ends with the connection.
    UntilClose,
    ChunkSize(Option<u64>),
    Extension(u64),
    SizeLf(u64),
    Chunk(u64),
    ChunkLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
}

impl Body {
    pub(super) fn is_over(self) -> bool {
        matches!(self, Body::None | Body::Length(0))
    }

    /// Moves over these bytes, to the end of the body at most, and returns how far it came.
    pub(super) fn skip(&mut self, bytes: &[u8]) -> Result<usize, Unsure> {
        let mut at = 0;
        while at < bytes.len() && !self.is_over() {
            match self {
                Body::UntilClose => at = bytes.len(),
                Body::Length(left) | Body::Chunk(left) if *left > 0 => {
                    let step = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len() - at);
                    *left -= step as u64;
                    at += step;
                }
                _ => {
                    *self = self.after(bytes[at])?;
                    at += 1;
                }
            }
        }
        Ok(at)
    }

    /// The position after one more byte of the chunks' framing. Libraries differ about what is missing here; at best
    /// they refuse it.
    fn after(self, byte: u8) -> Result<Body, Unsure> {
        use Body::{Chunk, ChunkLf, ChunkSize, EndLf, Extension, SizeLf, Trailer, TrailerLf, TrailerStart};
        Ok(match (self, byte) {
            (ChunkSize(Some(size)), b';') => Extension(size),
            (ChunkSize(Some(size)) | Extension(size), b'\r') => SizeLf(size),
            // One more hexadecimal digit must fit.
            (ChunkSize(size), _) if size.unwrap_or(0) < 1 << 56 => {
                let digit = char::from(byte).to_digit(16).ok_or(Unsure)?;
                ChunkSize(Some(size.unwrap_or(0) * 16 + u64::from(digit)))
            }
            (SizeLf(0) | TrailerLf, b'\n') => TrailerStart,
            (SizeLf(size), b'\n') => Chunk(size),
            (Chunk(0), b'\r') => ChunkLf,
            (ChunkLf, b'\n') => ChunkSize(None),
            (TrailerStart, b'\r') => EndLf,
            (EndLf, b'\n') => Body::None,
            (Trailer, b'\r') => TrailerLf,
            (Extension(_), byte) if byte != b'\n' => self,
            (TrailerStart | Trailer, byte) if byte != b'\n' => Trailer,
            _ => return Err(Unsure),
        })
    }
}
