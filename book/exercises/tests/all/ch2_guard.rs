use std::future::{pending, ready};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use exercises::ch2_guard::InFlight;

#[test]
fn a_request_is_counted_while_it_is_answered() {
    let in_flight = InFlight::default();
    let mut cx = Context::from_waker(Waker::noop());
    {
        let mut slow = pin!(in_flight.answer(pending::<()>()));
        assert!(slow.as_mut().poll(&mut cx).is_pending());
        assert_eq!(in_flight.count(), 1, "it has begun and not ended");
    }
    assert!(pin!(in_flight.answer(ready(()))).poll(&mut cx).is_ready());
}

#[test]
fn a_request_whose_client_has_gone_is_not_waited_for() {
    let in_flight = InFlight::default();
    {
        let mut given_up = pin!(in_flight.answer(pending::<()>()));
        let _ = given_up.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
    assert_eq!(
        in_flight.count(),
        0,
        "hyper drops the handler's future when the client is gone: nothing after an .await is sure to run. What is?"
    );
}

#[tokio::test]
async fn a_handler_that_panics_is_not_waited_for() {
    let in_flight = Arc::new(InFlight::default());
    let counted = Arc::clone(&in_flight);
    let panicked = tokio::spawn(async move { counted.answer(async { panic!("a bug in the handler") }).await });
    assert!(panicked.await.is_err());
    assert_eq!(in_flight.count(), 0, "a bug in one handler would hold every drain until its deadline");
}
