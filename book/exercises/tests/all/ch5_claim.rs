use std::cell::Cell;
use std::io::Read as _;
use std::os::unix::net::UnixStream;

use exercises::ch5_claim::{OURS, take};

#[test]
fn a_connection_is_served_when_the_old_process_could_hear_that_it_is_ours() {
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    let served = Cell::new(false);
    let mut heard = [0];

    let taken = take(&mut ours, || {
        let said = theirs.read_exact(&mut heard);
        assert!(
            said.is_ok(),
            "you serve it, and the old process, which has heard nothing, serves it as well: {said:?}"
        );
        served.set(true);
    });

    assert!(taken.is_ok(), "the old process was there to hear it, and you say {taken:?}");
    assert!(served.get(), "the old process has let go of it, and you do not serve it");
    assert_eq!(heard, OURS);
}

#[test]
fn a_connection_that_we_cannot_claim_is_not_served() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    drop(theirs);
    let served = Cell::new(false);

    let taken = take(&mut ours, || served.set(true));

    assert!(
        !served.get(),
        "the channel was broken, so the old process serves the connection. Now two read from it, and each gets a part of \
         every request"
    );
    assert!(taken.is_err(), "the old process cannot know that it is ours, and you say {taken:?}");
}
