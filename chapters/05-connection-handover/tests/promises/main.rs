//! What chapter 5 promises, checked against the real program: no request lost, and no connection closed.
//!
//! A [`testkit::Wire`] is one socket and never connects again; so where it goes on being answered by one process after the
//! other, it is the same connection throughout.
//!
//! No test sleeps to let something happen. That a request is under way is known from the first part of its answer; that a
//! drain has begun, from the log line `draining`; that it is over, from the end of the process.

mod closing;
mod connections;
mod deadline;
mod faults;
mod half_closed;
mod http2;
mod idle;
mod load;
mod neighbours;
mod pipelining;
mod server;
mod services;
mod stays;
mod third_party;
mod timeouts;
mod under_way;
mod unsure;
mod upgraded;
