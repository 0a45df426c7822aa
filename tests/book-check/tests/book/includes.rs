//! What the sources of the book promise, checked without building it.
//!
//! The invariant: a listing on a page is text that is compiled, replayed or generated, under its own name; and nothing
//! that was made for a page is left over.

mod anchors;
mod directives;
mod fences;
mod files;
mod pictures;
mod summary;
mod targets;

use files::Files;

#[track_caller]
fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn every_include_finds_its_text() {
    assert_none(&directives::complaints(&Files::read()));
}

#[test]
fn every_anchor_is_on_a_page() {
    assert_none(&anchors::complaints(&Files::read()));
}

#[test]
fn every_listing_is_compiled_and_names_its_file() {
    let files = Files::read();
    let compiled = targets::compiled(&files, &targets::roots());
    assert_none(&fences::complaints(&files, &compiled));
}

#[test]
fn every_picture_is_on_a_page_and_says_what_it_shows() {
    assert_none(&pictures::complaints(&Files::read()));
}

#[test]
fn every_page_is_in_the_summary() {
    assert_none(&summary::complaints(&Files::read()));
}
