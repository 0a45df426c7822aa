//! Step 1: hand the socket over at once, whatever is under way on it.
//!
//! What is wrong: the kernel has taken only the part of an answer that fitted; the rest is in the memory of the old
//! process. The new process writes its next answer right behind that part.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

/// More than a socket holds while its client does not read.
const LENGTH: usize = 64 << 20;

const NEXT: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (mut old, _) = listener.accept()?;
    old.set_nonblocking(true)?;

    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n").into_bytes();
    let answer = [&head[..], &vec![b'x'; LENGTH]].concat();
    let mut unwritten = &answer[..];
    loop {
        match old.write(unwritten) {
            Ok(written) => unwritten = &unwritten[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    // The new process gets a descriptor of the same socket, and nothing else.
    let mut new = old.try_clone()?;
    drop(old);

    // The client reads on; the new process answers the next request.
    let mut came = vec![0; answer.len() - unwritten.len()];
    client.read_exact(&mut came)?;
    new.set_nonblocking(false)?;
    new.write_all(NEXT)?;
    drop(new);
    client.read_to_end(&mut came)?;
    let of_it = came.len() - head.len() - NEXT.len();
    println!("promised={LENGTH} came={of_it} then={:?}", String::from_utf8_lossy(&came[came.len() - NEXT.len()..]));
    Ok(())
}
