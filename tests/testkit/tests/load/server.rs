//! Servers that misbehave as they are told.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;

/// A full answer that keeps the connection.
pub(crate) const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-generation: 1\r\n\r\nhello";

/// Serves each connection on a thread of its own, and closes it when `behave` returns. Connections count from 0.
pub(crate) fn tcp(behave: impl Fn(usize, &mut TcpStream) + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    serve(move || listener.accept().unwrap().0, behave);
    address
}

pub(crate) fn unix(path: &Path, behave: impl Fn(usize, &mut std::os::unix::net::UnixStream) + Clone + Send + 'static) {
    let listener = UnixListener::bind(path).unwrap();
    serve(move || listener.accept().unwrap().0, behave);
}

fn serve<S: Send + 'static>(
    accept: impl Fn() -> S + Send + 'static,
    behave: impl Fn(usize, &mut S) + Clone + Send + 'static,
) {
    thread::spawn(move || {
        for number in 0.. {
            let (mut stream, behave) = (accept(), behave.clone());
            thread::spawn(move || behave(number, &mut stream));
        }
    });
}

/// Reads the head of a request. `false` if the client has left instead.
pub(crate) fn request(stream: &mut impl Read) -> bool {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            Ok(_) => return false,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return false,
            Err(error) => panic!("cannot read a request: {error}"),
        }
    }
    true
}

/// Gives the same answer until the client leaves.
pub(crate) fn answer_all(stream: &mut (impl Read + Write), answer: &str) {
    while request(stream) && stream.write_all(answer.as_bytes()).is_ok() {}
}

/// Gives an answer and closes the connection, both in one segment: a client that has the answer has seen the end.
pub(crate) fn answer_and_close(stream: &mut TcpStream, answer: &str) {
    socket2::SockRef::from(&*stream).set_tcp_cork(true).unwrap();
    stream.write_all(answer.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
}
