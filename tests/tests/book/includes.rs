//! What a page includes is there.
