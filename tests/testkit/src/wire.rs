//! One HTTP/1 client on one socket, byte by byte.
//!
//! The invariant: it sends what it is told and nothing else, and hands out bytes in the order of their arrival: what
//! arrives beyond one answer is kept for the next.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::sys::socket::{Shutdown, setsockopt, shutdown, sockopt};
use nix::sys::time::{TimeVal, TimeValLike as _};

use crate::timeout::TIMEOUT;

/// A connection to a server.
///
/// ```no_run
/// # let address = "127.0.0.1:48567";
/// use testkit::{Ending, Wire};
///
/// let mut client = Wire::connect(address);
/// client.send("GET /stream?chunks=3&interval=1s HTTP/1.1\r\nHost: lab\r\n\r\n");
/// client.wait_for("line 1 of 3"); // … now the request is under way
/// assert!(client.reply().text().ends_with("line 3 of 3\n"));
/// assert_eq!(client.ending(), Ending::Eof);
/// ```
#[derive(Debug)]
pub struct Wire {
    socket: File,
    /// What came and was not handed out.
    received: Vec<u8>,
}

/// How the server's side of a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The server closed it in order.
    Eof,
    /// The server's kernel reset it: it was sent something that no process read, or the process was gone.
    Reset,
}

/// An answer, read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: String,
    /// The status code.
    pub status: u16,
    /// Names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    /// The body, without the framing of chunks.
    pub body: Vec<u8>,
}

impl Wire {
    /// Connects to `address`: `HOST:PORT` or `unix:PATH`, as in the server's line `listening`.
    ///
    /// # Panics
    /// If no process listens there.
    #[must_use]
    pub fn connect(address: &str) -> Wire {
        Wire::try_connect(address).unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"))
    }

    /// [`connect`](Wire::connect) without the panic.
    ///
    /// # Errors
    /// What connect(2) says.
    pub fn try_connect(address: &str) -> io::Result<Wire> {
        let socket: OwnedFd = if let Some(path) = address.strip_prefix("unix:") {
            UnixStream::connect(path)?.into()
        } else {
            let address: SocketAddr = address.parse().map_err(io::Error::other)?;
            let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
            // What is sent in two parts should arrive in two parts.
            stream.set_nodelay(true)?;
            stream.into()
        };
        let timeout = TimeVal::seconds(TIMEOUT.as_secs().cast_signed());
        setsockopt(&socket, sockopt::ReceiveTimeout, &timeout)?;
        setsockopt(&socket, sockopt::SendTimeout, &timeout)?;
        Ok(Wire { socket: socket.into(), received: Vec::new() })
    }

    /// Sends bytes.
    ///
    /// # Panics
    /// If the server has closed the connection or does not read.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap_or_else(|error| {
            panic!(
                "cannot send ({error}): did the server close a connection that it should have kept, or stop reading?"
            )
        });
    }

    /// [`send`](Wire::send) without the panic.
    ///
    /// # Errors
    /// What write(2) says.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.socket.write_all(bytes.as_ref())
    }

    /// A second handle to send with, for a thread of its own.
    ///
    /// # Panics
    /// If the process has no descriptor left.
    #[must_use]
    pub fn sender(&self) -> impl Write + Send + use<> {
        self.socket.try_clone().expect("a descriptor can be duplicated")
    }

    /// Says that nothing more will be sent, and can still read what comes.
    ///
    /// # Panics
    /// If the connection is gone.
    pub fn close_our_side(&self) {
        shutdown(self.socket.as_raw_fd(), Shutdown::Write).expect("the connection is there");
    }

    /// Sends `GET path`, and nothing more: the answer is still to be read.
    ///
    /// # Panics
    /// As [`send`](Wire::send).
    pub fn get(&mut self, path: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: lab\r\n\r\n"));
    }

    /// Sends `GET path` and reads the answer.
    ///
    /// # Panics
    /// As [`get`](Wire::get) and [`reply`](Wire::reply).
    pub fn ask(&mut self, path: &str) -> Reply {
        self.get(path);
        self.reply()
    }

    /// Reads exactly one answer. Of several that were pipelined, it is the next.
    ///
    /// # Panics
    /// If the connection ends before the answer does, or nothing comes.
    pub fn reply(&mut self) -> Reply {
        self.reply_or_ending().unwrap_or_else(|ending| {
            panic!("the connection ended ({ending:?}) before the answer did; so far: {:?}", self.so_far())
        })
    }

    /// [`reply`](Wire::reply), where the connection may end as well.
    ///
    /// # Errors
    /// How the connection ended.
    ///
    /// # Panics
    /// If nothing comes.
    pub fn reply_or_ending(&mut self) -> Result<Reply, Ending> {
        let mut ending = None;
        loop {
            if let Some((reply, length)) = Reply::parse(&self.received, ending.is_some()) {
                self.received.drain(..length);
                return Ok(reply);
            }
            if let Some(ending) = ending {
                return Err(ending);
            }
            ending = self.receive("an answer");
        }
    }

    /// Waits until `text` has come, and leaves it where it is, so that an answer under way can be read as a whole
    /// later.
    ///
    /// # Panics
    /// If the connection ends before, or nothing comes.
    pub fn wait_for(&mut self, text: &str) {
        while !contains(&self.received, text.as_bytes()) {
            let ending = self.receive(text);
            let so_far = self.so_far();
            assert!(ending.is_none(), "the connection ended ({ending:?}) before {text:?} came; so far: {so_far:?}");
        }
    }

    /// Takes the next `length` bytes, whatever they are.
    ///
    /// # Panics
    /// If the connection ends before, or nothing comes.
    pub fn take(&mut self, length: usize) -> Vec<u8> {
        while self.received.len() < length {
            let ending = self.receive("more bytes");
            let so_far = self.so_far();
            assert!(ending.is_none(), "the connection ended ({ending:?}) before {length} bytes came: {so_far:?}");
        }
        self.received.drain(..length).collect()
    }

    /// Waits for the end of the connection, and says which kind it was.
    ///
    /// # Panics
    /// If something else comes first, or nothing.
    pub fn ending(&mut self) -> Ending {
        let (rest, ending) = self.rest();
        assert!(rest.is_empty(), "the server should have had no more to say, but sent {rest:?}");
        ending
    }

    /// Takes all that comes until the connection ends, and says how it ended.
    ///
    /// # Panics
    /// If it does not end.
    pub fn rest(&mut self) -> (String, Ending) {
        loop {
            if let Some(ending) = self.receive("the end of the connection") {
                let rest = std::mem::take(&mut self.received);
                return (String::from_utf8_lossy(&rest).into_owned(), ending);
            }
        }
    }

    /// Waits for more bytes, or for the end.
    fn receive(&mut self, awaited: &str) -> Option<Ending> {
        let mut bytes = [0; 16 * 1024];
        match self.socket.read(&mut bytes) {
            Ok(0) => Some(Ending::Eof),
            Ok(length) => {
                self.received.extend_from_slice(&bytes[..length]);
                None
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Some(Ending::Reset),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => panic!(
                "the server said nothing for {TIMEOUT:?} while the client waited for {awaited:?}: was the connection \
                 forgotten, or does the server wait for something, too? So far: {:?}",
                self.so_far()
            ),
            Err(error) => panic!("cannot read from the connection: {error}"),
        }
    }

    fn so_far(&self) -> String {
        let (shown, more) = match self.received.get(..1000) {
            Some(start) => (start, "…"),
            None => (&self.received[..], ""),
        };
        format!("{}{more}", String::from_utf8_lossy(shown))
    }
}

impl Reply {
    /// The value of a header, if it is there exactly once.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        match self.all(name)[..] {
            [value] => Some(value),
            _ => None,
        }
    }

    /// All values of a header.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }

    /// Whether it says that it is the last one on its connection.
    #[must_use]
    pub fn says_close(&self) -> bool {
        self.all("connection") == ["close"]
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The first answer in `bytes` and its length, if it is there as a whole. One that says nothing about its length
    /// goes on to the end of the connection (RFC 9112, section 6.3).
    fn parse(bytes: &[u8], ended: bool) -> Option<(Reply, usize)> {
        let end = find(bytes, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..end]);
        let mut lines = head.split("\r\n");
        let mut status_line = lines.next()?.splitn(3, ' ');
        let version = status_line.next()?.to_owned();
        let status = status_line.next().and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("this is no answer: {head:?}"));
        let header =
            |line: &str| line.split_once(':').map(|(key, value)| (key.to_lowercase(), value.trim().to_owned()));
        let headers = lines.filter_map(header).collect();
        let mut reply = Reply { version, status, headers, body: Vec::new() };

        let start = end + 4;
        let length = if matches!(status, 100..=199 | 204 | 304) {
            0
        } else if reply.header("transfer-encoding") == Some("chunked") {
            let (body, length) = unchunk(&bytes[start..])?;
            reply.body = body;
            return Some((reply, start + length));
        } else if let Some(length) = reply.header("content-length") {
            length.parse().expect("a content-length is a number")
        } else {
            ended.then_some(bytes.len() - start)?
        };
        reply.body = Vec::from(bytes.get(start..start + length)?);
        Some((reply, start + length))
    }
}

/// The body that these chunks are (RFC 9112, section 7.1, without trailers), and their length with the framing.
fn unchunk(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let line = find(&bytes[at..], b"\r\n")?;
        let size = std::str::from_utf8(&bytes[at..at + line]).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
        let size = size.unwrap_or_else(|| panic!("this is no size of a chunk: {:?}", &bytes[at..at + line]));
        let start = at + line + 2;
        body.extend_from_slice(bytes.get(start..start + size)?);
        at = start + size + 2;
        if bytes.len() < at {
            return None;
        }
        if size == 0 {
            return Some((body, at));
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    find(bytes, wanted).is_some()
}

#[cfg(test)]
mod tests {
    use super::Reply;

    const FIXED: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n";
    const OPEN: &[u8] = b"HTTP/1.0 200 OK\r\n\r\nhi";

    #[test]
    fn an_answer_is_read_to_its_end_and_no_further() {
        for answer in [FIXED, CHUNKED] {
            let pipelined = [answer, FIXED].concat();
            let (reply, length) = Reply::parse(&pipelined, false).expect("the answer is there");
            assert_eq!((reply.text().as_str(), length), ("hi", answer.len()));
        }
    }

    #[test]
    fn half_an_answer_is_none() {
        for answer in [FIXED, CHUNKED] {
            for length in 0..answer.len() {
                assert_eq!(Reply::parse(&answer[..length], true), None, "{length} bytes");
            }
        }
    }

    #[test]
    fn an_answer_of_unsaid_length_ends_with_the_connection() {
        assert_eq!(Reply::parse(OPEN, false), None);
        let (reply, length) = Reply::parse(OPEN, true).expect("the answer is there");
        assert_eq!((reply.text().as_str(), length), ("hi", OPEN.len()));
    }
}
