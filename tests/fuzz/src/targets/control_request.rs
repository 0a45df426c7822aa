//! What callers send to the control socket.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream as StdStream;

use graceful::control as protocol;
use graceful::control::{LONGEST, Reply, Request};
use tokio::net::UnixStream;

use crate::descriptors::on_runtime;

#[allow(dead_code, unreachable_pub)]
#[path = "../../../../chapters/06-in-production/src/control/caller.rs"]
mod caller;

pub(crate) fn run(bytes: &[u8]) {
    let (mut far, near) = StdStream::pair().expect("there are descriptors left");
    // It fits: the buffer of a unix socket has room for fifty of the longest requests.
    far.write_all(&bytes[..bytes.len().min(2 * LONGEST)]).expect("it is taken");
    far.shutdown(Shutdown::Write).expect("it is connected");
    near.set_nonblocking(true).expect("it is a socket");
    let line = bytes.iter().position(|byte| *byte == b'\n').map(|end| &bytes[..=end]);
    on_runtime(async {
        let mut caller = caller::Caller::new(UnixStream::from_std(near).expect("the runtime waits on it"));
        match caller.request().await {
            Ok(None) => assert!(bytes.is_empty(), "the caller has said something"),
            Ok(Some(request)) => {
                let line = line.filter(|line| line.len() <= LONGEST).expect("a request is a line");
                assert_eq!(serde_json::from_slice::<Request>(line).ok(), Some(request.clone()));
                let again = serde_json::to_vec(&request).expect("it can be written");
                assert_eq!(serde_json::from_slice::<Request>(&again).ok(), Some(request));
            }
            Err(sentence) => caller.say(&Reply::Failed(sentence)).await.expect("the caller reads"),
        }
    });
    let mut said = Vec::new();
    far.read_to_end(&mut said).expect("the other end is closed");
    if let [answer @ .., b'\n'] = &said[..] {
        assert!(!answer.contains(&b'\n'), "an answer is a line");
        assert!(matches!(serde_json::from_slice(answer), Ok(Reply::Failed(_))), "and the command understands it");
    }
}
