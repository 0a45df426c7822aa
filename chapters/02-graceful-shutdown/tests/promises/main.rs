//! What chapter 2 promises, checked against the real program: real sockets, real signals.
//!
//! No test sleeps to let something happen. That a request is under way is known from the first part of its answer; that a
//! drain has begun, from the log line `draining`; that it is over, from the end of the process. Durations appear only as
//! what a client or a deadline *is* (slow, short), never as a guess of how long something takes.
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
