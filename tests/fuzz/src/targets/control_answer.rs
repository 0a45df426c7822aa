//! What a service answers to the command `graceful`.

use graceful::control::Reply;

#[allow(dead_code, unreachable_pub)]
#[path = "../../../../chapters/06-in-production/src/bin/graceful/answers.rs"]
mod answers;

pub(crate) fn run(bytes: &[u8]) {
    let mut answers = answers::Answers(bytes);
    while let Ok(Some(reply)) = answers.next() {
        let again = serde_json::to_vec(&reply).expect("it can be written");
        assert_eq!(serde_json::from_slice::<Reply>(&again).ok(), Some(reply), "what is said can be read");
    }
}
