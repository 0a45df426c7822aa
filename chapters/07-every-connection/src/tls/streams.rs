//! Streams over pipes and sockets, and what a task sees that reads and writes them.

use std::future::poll_fn;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{TcpListener as StdListener, TcpStream as StdStream};
use std::task::Poll;
use std::thread;

use bytes::BytesMut;
use rustls::{ClientConnection, StreamOwned};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, duplex, split};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::believer::{OLDER_SUITE, rustls_client, server_config};
use super::ownership::Arrival;
use super::peers::{Client, SUITES, raw};
use super::record::{ALERT, HANDSHAKE, MOST};
use super::shell::{Tls, TlsStream};

const AES_128: u16 = 0x1301;

/// A client that keeps no rules, its end of a pipe with room for so much, and the stream at the other end.
fn piped(room: usize) -> (Client, DuplexStream, TlsStream<DuplexStream>) {
    let (client, machine) = raw(AES_128);
    let (ours, theirs) = duplex(room);
    let offer = machine.offer().unwrap_or_else(|_| panic!("nothing is under way"));
    let arrival = Arrival::read(&offer.message()).expect("it was just written");
    (client, theirs, TlsStream::taken(arrival, ours))
}

/// The next record that comes out of a pipe.
async fn next(client: &mut Client, pipe: &mut DuplexStream) -> Vec<u8> {
    let head = head(pipe).await;
    rest(client, pipe, head).await
}

async fn head(pipe: &mut DuplexStream) -> [u8; 5] {
    let mut head = [0; 5];
    let comes = timeout(testkit::TIMEOUT, pipe.read_exact(&mut head)).await;
    comes.expect("a record comes").expect("the pipe is open");
    head
}

async fn rest(client: &mut Client, pipe: &mut DuplexStream, head: [u8; 5]) -> Vec<u8> {
    let mut record = head.to_vec();
    record.resize(5 + usize::from(u16::from_be_bytes([head[3], head[4]])), 0);
    let comes = timeout(testkit::TIMEOUT, pipe.read_exact(&mut record[5..])).await;
    comes.expect("all of it comes").expect("the pipe is open");
    client.opens(&mut BytesMut::from(&record[..])).expect("it is whole")
}

#[tokio::test]
async fn an_idle_stream_answers_an_update() {
    let (mut client, mut pipe, mut stream) = piped(MOST);
    pipe.write_all(&client.seals(&[24, 0, 0, 1, 1, HANDSHAKE])).await.expect("there is room");
    let mut byte = [0];
    let answer = async { next(&mut client, &mut pipe).await };
    tokio::select! {
        read = stream.read(&mut byte) => panic!("there was nothing to read: {read:?}"),
        answer = answer => assert_eq!(answer, [24, 0, 0, 1, 0, HANDSHAKE]),
    }
}

#[tokio::test]
async fn only_a_close_that_is_sealed_is_an_end() {
    let (mut client, mut pipe, mut stream) = piped(MOST);
    pipe.write_all(&client.seals(&[1, 0, ALERT])).await.expect("there is room");
    assert_eq!(stream.read(&mut [0]).await.expect("it was closed in order"), 0);
    stream.shutdown().await.expect("there is room");
    assert_eq!(next(&mut client, &mut pipe).await, [1, 0, ALERT]);
    let error = stream.write(b"more").await.expect_err("it is closed");
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);

    let (_, pipe, mut stream) = piped(MOST);
    drop(pipe);
    for _ in 0..2 {
        let error = stream.read(&mut [0]).await.expect_err("anyone on the way could have cut it off");
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    }
}

#[tokio::test]
async fn a_client_that_breaks_a_rule_is_told_which() {
    let (mut client, mut pipe, mut stream) = piped(MOST);
    pipe.write_all(&client.seals(b"what is this\x63")).await.expect("there is room");
    for _ in 0..2 {
        let error = stream.read(&mut [0]).await.expect_err("it is over");
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
    assert_eq!(next(&mut client, &mut pipe).await, [2, 10, ALERT]);
}

#[tokio::test]
async fn what_was_opened_and_not_read_comes_with_the_offer() {
    let (mut client, mut pipe, mut stream) = piped(MOST);
    let (first, second) = (client.seals(b"first\x17"), client.seals(b"second\x17"));
    pipe.write_all(&[&first[..], &second[..3]].concat()).await.expect("there is room");
    assert_eq!(stream.read(&mut [0; 2]).await.expect("it was sent"), 2);
    let Ok((socket, offer, plain)) = stream.offer() else { panic!("nothing is under way") };
    assert_eq!(plain, b"rst"[..]);
    let mut stream = TlsStream::declined(offer, socket);
    pipe.write_all(&second[3..]).await.expect("there is room");
    let mut data = [0; 6];
    stream.read_exact(&mut data).await.expect("it was sent");
    assert_eq!(&data, b"second");
}

#[tokio::test]
async fn what_the_client_has_not_taken_does_not_go() {
    let (mut client, mut pipe, mut stream) = piped(10);
    assert_eq!(stream.write(b"more than ten").await.expect("it is kept"), 13);
    let Err(mut stream) = stream.offer() else { panic!("a part of a record is here") };
    let (flushed, data) = tokio::join!(stream.flush(), next(&mut client, &mut pipe));
    flushed.expect("it was read");
    assert_eq!(data, b"more than ten\x17");
    assert!(stream.offer().is_ok());
}

#[tokio::test]
async fn a_writer_that_waits_is_woken_although_another_task_reads() {
    let (mut client, mut pipe, stream) = piped(100);
    let (mut incoming, mut outgoing) = split(stream);
    let reader = tokio::spawn(async move {
        let mut data = Vec::new();
        incoming.read_to_end(&mut data).await.expect("it ends in order");
        data
    });
    let writer = tokio::spawn(async move {
        for _ in 0..3 {
            outgoing.write_all(&[7; 1_000]).await?;
            outgoing.flush().await?;
        }
        io::Result::Ok(())
    });
    // The writer waits for room. Meanwhile, the reader is asked for a KeyUpdate, again and again.
    let first = head(&mut pipe).await;
    for _ in 0..9 {
        pipe.write_all(&client.seals(&[24, 0, 0, 1, 1, HANDSHAKE])).await.expect("it is read");
        client.writes.update().expect("there is always a next secret");
    }
    let mut heard = rest(&mut client, &mut pipe, first).await;
    heard.pop();
    while heard.len() < 3_000 {
        let more = next(&mut client, &mut pipe).await;
        match more.split_last() {
            Some((23, data)) => heard.extend_from_slice(data),
            _ => client.follows(),
        }
    }
    writer.await.expect("no panic").expect("it is read");
    pipe.write_all(&client.seals(&[1, 0, ALERT])).await.expect("there is room");
    assert!(reader.await.expect("no panic").is_empty());
}

/// rustls' client and a stream, over TCP.
fn connected(suite: u16) -> (StreamOwned<ClientConnection, StdStream>, TlsStream<TcpStream>) {
    let listener = StdListener::bind("127.0.0.1:0").expect("there is a port");
    let client = StdStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
    let (socket, _) = listener.accept().expect("it has connected");
    socket.set_nonblocking(true).expect("it is a socket");
    let socket = TcpStream::from_std(socket).expect("the runtime waits on it");
    let client = StreamOwned::new(rustls_client(suite), client);
    (client, Tls::new(server_config(suite)).accept(socket))
}

/// Says more and more, and hears it again; then closes in order.
fn asks(mut client: StreamOwned<ClientConnection, StdStream>, updates: bool) -> io::Result<()> {
    for round in 0..60_u8 {
        if updates && round % 3 == 1 {
            client.conn.refresh_traffic_keys().expect("the handshake is over");
        }
        let data = vec![round; 1 + 700 * usize::from(round)];
        client.write_all(&data)?;
        let mut back = vec![0; data.len()];
        client.read_exact(&mut back)?;
        assert_eq!(back, data);
    }
    client.conn.send_close_notify();
    client.flush()?;
    assert_eq!(client.read(&mut [0])?, 0);
    Ok(())
}

/// Moves a stream on, if that is possible now.
fn moved<S>(stream: TlsStream<S>) -> (TlsStream<S>, bytes::Bytes)
where
    TlsStream<S>: AsyncRead + AsyncWrite,
{
    match stream.offer() {
        Ok((socket, offer, plain)) => {
            let message = offer.message();
            drop(offer);
            (TlsStream::taken(Arrival::read(&message).expect("it was just written"), socket), plain)
        }
        Err(stream) => (stream, bytes::Bytes::new()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_there_and_back_is_whole_in_stream_after_stream() {
    for suite in SUITES {
        let (client, mut stream) = connected(suite);
        let client = thread::spawn(move || asks(client, true));
        let mut moves = 0;
        let mut buffer = vec![0; 5_000];
        loop {
            let length = stream.read(&mut buffer).await.expect("it ends in order");
            if length == 0 {
                break;
            }
            stream.write_all(&buffer[..length]).await.expect("it is read");
            stream.flush().await.expect("it is read");
            let (next, plain) = moved(stream);
            stream = next;
            stream.write_all(&plain).await.expect("it is read");
            stream.flush().await.expect("it is read");
            moves += 1;
        }
        stream.shutdown().await.expect("it is read");
        client.join().expect("no panic").expect("nothing was lost");
        assert!(moves > 60);
    }
}

#[test]
fn sessions_resume_elsewhere_only_where_that_is_asked_for() {
    for (resuming, tickets) in [(false, false), (true, true)] {
        let tls = Tls::new(server_config(AES_128));
        let mut tls = if resuming { tls.resuming() } else { tls };
        tls.share_tickets("web", &[7; 32]);
        assert_eq!(tls.makes_tickets(), tickets);
    }
}

#[tokio::test]
async fn a_handshake_that_does_not_come_ends_with_an_error() {
    let tls = Tls::new(server_config(AES_128));
    for (said, kind) in [(&b"GET / HTTP/1.1\r\n\r\n"[..], ErrorKind::InvalidData), (b"", ErrorKind::UnexpectedEof)] {
        let (socket, mut pipe) = duplex(MOST);
        let mut stream = tls.accept(socket);
        pipe.write_all(said).await.expect("there is room");
        pipe.shutdown().await.expect("it is open");
        assert_eq!(stream.read(&mut [0]).await.expect_err("this is no handshake").kind(), kind);
        assert!(stream.write(b"data").await.is_err() && stream.read(&mut [0]).await.is_err());
        assert!(stream.offer().is_err());
    }
}

#[tokio::test]
async fn a_stream_in_its_handshake_does_not_go() {
    let (socket, pipe) = duplex(MOST);
    let mut stream = Tls::new(server_config(AES_128)).accept(socket);
    let pending = poll_fn(|cx| Poll::Ready(std::pin::pin!(stream.read_u8()).poll(cx).is_pending())).await;
    assert!(pending && stream.offer().is_err());
    drop(pipe);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_there_and_back_under_tls_1_2_is_whole_and_stays() {
    let (client, mut stream) = connected(OLDER_SUITE);
    let client = thread::spawn(move || asks(client, false));
    let mut buffer = vec![0; 5_000];
    loop {
        let length = stream.read(&mut buffer).await.expect("it ends in order");
        if length == 0 {
            break;
        }
        stream.write_all(&buffer[..length]).await.expect("it is read");
        stream.flush().await.expect("it is read");
        let Err(stays) = stream.offer() else { panic!("the next process would take it for TLS 1.3") };
        stream = stays;
    }
    stream.shutdown().await.expect("it is read");
    assert_eq!(stream.write(b"more").await.expect_err("it is closed").kind(), ErrorKind::BrokenPipe);
    client.join().expect("no panic").expect("nothing was lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_tls_1_2_that_breaks_a_rule_is_told_and_cut() {
    let (mut client, mut stream) = connected(OLDER_SUITE);
    let client = thread::spawn(move || {
        client.write_all(b"hello").expect("it is open");
        client.sock.write_all(&[23, 3, 3, 0, 40]).expect("it is open");
        client.sock.write_all(&[7; 40]).expect("it is open");
        client.read(&mut [0]).expect_err("it is an alert").to_string()
    });
    let mut data = [0; 5];
    stream.read_exact(&mut data).await.expect("it was sent");
    for _ in 0..2 {
        let error = stream.read(&mut data).await.expect_err("it is over");
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
    assert!(stream.write(b"more").await.is_err() && stream.offer().is_err());
    let told = client.join().expect("no panic");
    assert!(told.contains("BadRecordMac"), "{told}");
}
