//! The book is true: its listings are compiled code, its transcripts are replayed, its links lead somewhere.
//!
//! What is generated is committed, and compared by every run. After a change on purpose, `book/bless` writes it anew.

mod exercises;
mod generated;
mod go;
mod golden;
mod includes;
mod measured;
mod transcripts;
mod website;
