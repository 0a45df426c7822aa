//! The protocol between generations, explored: every order of messages, crashes, signals and timeouts.

pub mod connection;
pub mod explore;
pub mod invariants;
pub mod model;
pub mod others;
pub mod queue;
pub mod replay;
pub mod rules;
pub mod search;
pub mod supervisor;
