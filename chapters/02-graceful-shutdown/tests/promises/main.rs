//! What chapter 2 promises, checked against the real program: real sockets, real signals.
//!
//! No test sleeps to let something happen. A request is under way when the first part of its answer is there, a drain
//! has begun when the log says `draining`, and it is over when the process has ended. Durations appear only as what a
//! client or a deadline *is* (slow, short), never as a guess of how long something takes.
//!
//! `blind` is about what a server of this size cannot see: it asserts what happens then.

mod bad_input;
mod bad_requests;
mod blind;
mod deadline;
mod idle;
mod library;
mod load;
mod log;
mod retire;
mod scarcity;
mod server;
mod under_way;
mod unix_socket;
