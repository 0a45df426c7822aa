//! How long a client is waited for that does not come to the point, by a clock that jumps to whatever is due next.

use std::time::Duration;

use graceful_shutdown::{Outcome, Server};
use lab::Wire;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::library::{bind, hello};

const AN_HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn half_a_head_does_not_hold_a_drain_for_longer_than_it_may_take_at_other_times() {
    let (listener, address) = bind();
    let server = Server::new();
    server.serve(listener, hello()).expect("the runtime waits on it");
    let mut client = Wire::connect(&address);
    client.send("GET / HT");
    let began = Instant::now();
    assert_eq!(server.shutdown(AN_HOUR).await, Outcome { finished: 0, cut: 1 });
    assert!(began.elapsed() < Duration::from_secs(40), "it took {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_http2_client_that_is_gone_without_a_word_does_not_keep_its_connection() {
    let (listener, address) = bind();
    let server = Server::new();
    server.serve(listener, hello()).expect("the runtime waits on it");
    let mut client = TcpStream::connect(&address).await.expect("it listens");
    // The preface and empty SETTINGS (RFC 9113, section 3.4), and no more.
    client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("it is read");
    let began = Instant::now();
    let _ = client.read_to_end(&mut Vec::new()).await;
    assert!(began.elapsed() < Duration::from_secs(60), "it took {:?}", began.elapsed());
}
