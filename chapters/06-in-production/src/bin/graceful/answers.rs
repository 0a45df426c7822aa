//! What the service answers, line by line.
//!
//! The invariant: whatever comes from the other end is an answer or a sentence about it, and takes no more memory than the
//! longest answer.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use graceful::control::{Reply, Request};

/// Far more than the counters of all generations take.
const LONGEST_ANSWER: u64 = 1 << 20;

/// Asks the service at this control socket.
pub(crate) fn ask(control: &Path, request: &Request) -> Result<Answers<BufReader<UnixStream>>, String> {
    let connected = UnixStream::connect(control);
    let mut stream = connected.map_err(|error| format!("no service answers at {}: {error}", control.display()))?;
    let line = serde_json::to_string(request).map_err(|error| error.to_string())?;
    writeln!(stream, "{line}").map_err(|error| format!("the service does not listen: {error}"))?;
    Ok(Answers(BufReader::new(stream)))
}

pub(crate) struct Answers<R>(pub(crate) R);

impl<R: BufRead> Answers<R> {
    /// `None`: the service has closed the connection.
    pub(crate) fn next(&mut self) -> Result<Option<Reply>, String> {
        let mut line = Vec::new();
        // `Err`: it was killed with our request unread.
        let read = self.0.by_ref().take(LONGEST_ANSWER).read_until(b'\n', &mut line);
        if read.map_err(|error| format!("the service is gone: {error}"))? == 0 {
            return Ok(None);
        }
        serde_json::from_slice(&line)
            .map(Some)
            .map_err(|error| format!("this is no answer: {error}: {}", String::from_utf8_lossy(&line)))
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn what_is_no_answer_is_shown() {
        for (said, shown) in [(&b"soon\n"[..], "soon"), (b"{\"done\":\"half", "half"), (b"\xff\xfe\n", "\u{fffd}")] {
            let sentence = Answers(said).next().expect_err("it is no answer");
            assert!(sentence.starts_with("this is no answer: ") && sentence.contains(shown), "{sentence:?}");
        }
        assert_eq!(Answers(&b""[..]).next(), Ok(None));
    }

    #[test]
    fn an_answer_without_an_end_is_not_read_for_ever() {
        let endless = BufReader::new(io::repeat(b' '));
        Answers(endless).next().expect_err("no answer is that long");
    }
}
