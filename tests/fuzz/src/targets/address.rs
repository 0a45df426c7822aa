//! Addresses, as a command line or a variable gives them.

use std::ffi::{c_char, c_int, c_void};
use std::path::{Component, Path};

use graceful_shutdown::{Address, absolute_in};

pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let address = match text.parse::<Address>() {
        Ok(address) => address,
        Err(error) => {
            let sentence = error.to_string();
            assert!(!sentence.contains(char::is_control), "a sentence on one line: {sentence:?}");
            return;
        }
    };
    assert_eq!(address.to_string().parse::<Address>().ok(), Some(address.clone()), "what is shown can be read");
    if let Address::Unix(path) = address {
        let absolute = absolute_in("/srv/app".into(), &path);
        assert!(absolute.is_absolute(), "{}", absolute.display());
        let climbs = path.components().take_while(|part| matches!(part, Component::CurDir | Component::ParentDir));
        if path.is_relative() && climbs.count() == 0 {
            assert_eq!(absolute, Path::new("/srv/app").join(path));
        }
    }
}

/// Instead of the C library's: no name is known here, and no server on a network is asked for one.
// SAFETY: the name and the signature are those of getaddrinfo(3), which may fail with `EAI_NONAME` for any arguments.
#[unsafe(no_mangle)]
extern "C" fn getaddrinfo(_: *const c_char, _: *const c_char, _: *const c_void, _: *mut *mut c_void) -> c_int {
    -2
}
