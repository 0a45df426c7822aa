//! What chapter 5 promises, checked against the real program: no request lost, and no connection closed.
//!
//! A [`testkit::Wire`] is one socket and never connects again; so if one process after the other answers on it, it is
//! the same connection throughout.
//!
//! No test sleeps to let something happen. The first part of an answer shows that its request is under way; the log
//! line `draining`, that a drain has begun; the end of the process, that it is over.

mod closing;
mod connections;
mod deadline;
mod faults;
mod half_closed;
mod http2;
mod idle;
mod listener;
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
