use exercises::ch3_names::read;

#[test]
fn every_descriptor_gets_its_name_and_its_number() {
    let read = read("2", Some("web:admin")).unwrap();
    assert_eq!(
        read,
        [("web".to_owned(), 3), ("admin".to_owned(), 4)],
        "the first one is 3, after the standard streams"
    );
}

#[test]
fn a_parent_that_knows_no_names_is_understood() {
    let unnamed = [("unknown".to_owned(), 3), ("unknown".to_owned(), 4)];
    assert_eq!(read("2", None).unwrap(), unnamed, "LISTEN_FDNAMES is newer than LISTEN_FDS, and may be missing");
    assert_eq!(read("2", Some(":")).unwrap(), unnamed, "a name may be empty");
}

#[test]
fn a_count_that_is_none_is_refused() {
    for count in ["", "two", "-1", "4294967296"] {
        let read = read(count, None);
        assert!(read.is_err(), "LISTEN_FDS={count} became {read:?}: a typo in a unit file would go unnoticed");
    }
}

#[test]
fn names_that_do_not_fit_the_count_are_refused() {
    for (count, names) in [("1", "web:admin"), ("3", "web:admin")] {
        let read = read(count, Some(names));
        assert!(read.is_err(), "{count} descriptors called {names} became {read:?}: whose listener is the odd one?");
    }
}
