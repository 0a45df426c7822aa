//! The book is true: its listings are compiled code, its transcripts are replayed, its links lead somewhere.

mod exercises;
mod generated;
mod includes;
mod transcripts;
mod website;
