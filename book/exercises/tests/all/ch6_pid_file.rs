use std::fs::{File, read_dir, read_to_string};
use std::io::Read as _;

use exercises::ch6_pid_file::write;

#[test]
fn a_reader_that_has_opened_the_file_reads_a_whole_pid() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.pid");
    write(&path, 4001).unwrap();

    // A script opens the file, and before it reads it, the next generation writes its pid.
    let mut opened = File::open(&path).unwrap();
    write(&path, 42).unwrap();

    let mut read = String::new();
    opened.read_to_string(&mut read).unwrap();
    assert_eq!(
        read, "4001\n",
        "the file was changed under its reader: for a moment it is empty, and one day `kill $(cat server.pid)` will \
         meet that moment. Which system call replaces a file as a whole?"
    );
    assert_eq!(read_to_string(&path).unwrap(), "42\n", "a reader that opens it now should get the new pid");
    assert_eq!(read_dir(directory.path()).unwrap().count(), 1, "nothing else may be left in the directory");
}
