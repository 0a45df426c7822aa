//! Wrong turn: the program does not handle the signal.
//!
//! What is wrong: SIGINT and SIGTERM end the process wherever it is, here with the card charged and the goods not sent.
//! No destructor runs either.

use std::time::Duration;
use std::{process, thread};

struct Order(u32);

impl Drop for Order {
    fn drop(&mut self) {
        println!("order {}: closed", self.0);
    }
}

fn main() {
    let order = Order(1);
    println!("order {}: card charged, pid {}", order.0, process::id());
    // Stands for work: long enough to press Ctrl-C.
    thread::sleep(Duration::from_secs(60));
    println!("order {}: goods sent", order.0);
}
