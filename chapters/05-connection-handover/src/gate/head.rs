//! The heads of the messages in one direction: the few things in them that decide where each message ends.
//!
//! The invariant: a head that is read here has one meaning. One that parsers may read in different ways is [`Unsure`].

use std::borrow::Cow;
use std::mem::take;

use memchr::memchr;

use super::body::Body;

/// A longer head is not kept until its end arrives: what is kept goes to the successor with the socket.
const HEAD_LIMIT: usize = 32 * 1024;

/// Longer heads are not remembered: an idle connection should not cost much.
const MEMORY_LIMIT: usize = 1024;

/// The library may read these bytes differently.
#[derive(Debug)]
pub(super) struct Unsure;

/// The method of a request, as far as the end of its answer depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Method {
    Head,
    Connect,
    #[default]
    Other,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head {
    /// The first bytes of its first line: in an answer, the version and the status.
    pub(super) start: [u8; 12],
    /// Of a request.
    pub(super) method: Method,
    /// The body that follows, if the head tells.
    pub(super) body: Option<Body>,
    /// What it says about the connection.
    pub(super) close: bool,
    pub(super) keep_alive: bool,
}

#[derive(Debug, Default)]
pub(super) struct Heads {
    /// What was read of an incomplete head, with the empty lines before it.
    pub(super) unfinished: Vec<u8>,
    /// The last complete head.
    pub(super) last: Head,
    /// Its bytes, unless they are many. Usually the next head is the same, and need not be parsed.
    pub(super) last_bytes: Vec<u8>,
}

impl Heads {
    /// Reads on, to the end of a head at most, and returns how far; that head is then `last`. `None`: it is incomplete.
    #[inline]
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<Option<usize>, Unsure> {
        if self.repeats(bytes) { Ok(Some(self.last_bytes.len())) } else { self.read_anew(bytes) }
    }

    /// Whether the last head comes again.
    pub(super) fn repeats(&self, bytes: &[u8]) -> bool {
        !self.last_bytes.is_empty() && self.unfinished.is_empty() && bytes.starts_with(&self.last_bytes)
    }

    #[inline(never)]
    fn read_anew(&mut self, bytes: &[u8]) -> Result<Option<usize>, Unsure> {
        let unfinished = take(&mut self.unfinished);
        let all = if unfinished.is_empty() { Cow::Borrowed(bytes) } else { Cow::Owned([&unfinished, bytes].concat()) };
        let Some((length, head)) = Head::parse(&all)? else {
            self.unfinished = all.into_owned();
            return if self.unfinished.len() > HEAD_LIMIT { Err(Unsure) } else { Ok(None) };
        };
        self.last = head;
        self.last_bytes.clear();
        self.last_bytes.extend_from_slice(if length <= MEMORY_LIMIT { &all[..length] } else { &[] });
        Ok(Some(length - unfinished.len()))
    }
}

impl Head {
    /// The complete head at the beginning of these bytes, and its length. `None`: it is incomplete.
    fn parse(bytes: &[u8]) -> Result<Option<(usize, Head)>, Unsure> {
        let (mut at, mut head) = (0, Head::default());
        while let Some(end) = memchr(b'\n', &bytes[at..]) {
            // A bare LF ends a line for some parsers, and is an error for others.
            let line = bytes[at..at + end].strip_suffix(b"\r").ok_or(Unsure)?;
            at += end + 1;
            match line {
                // Empty lines may come before a request, and mean nothing (RFC 9112, section 2.2).
                [] if head.start[0] == 0 => {}
                [] => return Ok(Some((at, head))),
                _ if head.start[0] == 0 => {
                    head.start = *line.first_chunk().ok_or(Unsure)?;
                    head.method = match line.split(|byte| *byte == b' ').next() {
                        Some(b"HEAD") => Method::Head,
                        Some(b"CONNECT") => Method::Connect,
                        _ => Method::Other,
                    };
                }
                _ => head.read_field(line)?,
            }
        }
        Ok(None)
    }

    fn read_field(&mut self, line: &[u8]) -> Result<(), Unsure> {
        // The first letter rules out most names. A blank continues the line before, or is an error.
        let body = match line[0] {
            b' ' | b'\t' => return Err(Unsure),
            b'T' | b't' => match framing(line, b"transfer-encoding")? {
                Some(value) if value.eq_ignore_ascii_case(b"chunked") => Body::ChunkSize(None),
                Some(_) => return Err(Unsure),
                None => return Ok(()),
            },
            b'C' | b'c' => match framing(line, b"content-length")? {
                Some([b'+', ..]) => return Err(Unsure),
                Some(digits) => {
                    let length = str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
                    Body::Length(length.ok_or(Unsure)?)
                }
                None => {
                    for option in field(line, b"connection:").unwrap_or_default().split(|byte| *byte == b',') {
                        self.close |= option.trim_ascii().eq_ignore_ascii_case(b"close");
                        self.keep_alive |= option.trim_ascii().eq_ignore_ascii_case(b"keep-alive");
                    }
                    return Ok(());
                }
            },
            _ => return Ok(()),
        };
        // Two of them contradict each other, or one is too many.
        if self.body.replace(body).is_some() { Err(Unsure) } else { Ok(()) }
    }

    /// The head at the beginning of these bytes, with `Connection: close` in it, and its original length. `None` if it
    /// is incomplete, says so already, or is an interim answer.
    pub(super) fn closing(bytes: &[u8]) -> Option<(usize, Vec<u8>)> {
        let (length, head) = Head::parse(bytes).ok()??;
        if head.close || head.start[9] == b'1' {
            return None;
        }
        let mut closing = Vec::new();
        for line in bytes[..length].split_inclusive(|byte| *byte == b'\n') {
            match field(line, b"connection:") {
                // An HTTP/1.0 client would believe `keep-alive`.
                Some(value) if value.trim_ascii().eq_ignore_ascii_case(b"keep-alive") => continue,
                _ if line == b"\r\n" => closing.extend_from_slice(b"connection: close\r\n"),
                _ => {}
            }
            closing.extend_from_slice(line);
        }
        Some((length, closing))
    }
}

/// What follows this name, if the line begins with it.
fn field<'line>(line: &'line [u8], name: &[u8]) -> Option<&'line [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    // Usually it is in lower case, and a comparison that ignores case takes ten times as long.
    (start == name || start.eq_ignore_ascii_case(name)).then_some(value)
}

/// The value of a header that frames the message. Parsers differ about a blank before the colon, and about what they
/// trim from the value.
fn framing<'line>(line: &'line [u8], name: &[u8]) -> Result<Option<&'line [u8]>, Unsure> {
    let Some(rest) = field(line, name) else { return Ok(None) };
    let mut value = rest.strip_prefix(b":").ok_or(Unsure)?;
    while let [b' ' | b'\t', inner @ ..] | [inner @ .., b' ' | b'\t'] = value {
        value = inner;
    }
    Ok(Some(value))
}
