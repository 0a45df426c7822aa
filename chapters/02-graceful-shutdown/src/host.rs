//! The host that a request is for: one, and in the form that RFC 9110, section 7.2, gives it.
//!
//! The invariant: every request that a service gets names its host once. If a request named two, a cache in front of
//! the server and the server itself might choose different ones, and answer for different sites.

use std::net::Ipv6Addr;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, HOST, HeaderValue};
use hyper::{Request, Response, StatusCode, Version};

/// The answer to a request whose host is missing, given twice, or malformed (RFC 9112, section 3.2; RFC 9113, section
/// 8.3.1): 400, a sentence, and the end of an HTTP/1 connection. `None` for a good request.
pub fn refuse_bad_host<B>(request: &Request<B>) -> Option<Response<Full<Bytes>>> {
    let sentence = fault(request)?;
    let mut answer = Response::new(Full::from(format!("{sentence}\n")));
    *answer.status_mut() = StatusCode::BAD_REQUEST;
    if request.version() < Version::HTTP_2 {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Some(answer)
}

fn fault<B>(request: &Request<B>) -> Option<&'static str> {
    let mut hosts = request.headers().get_all(HOST).iter().map(HeaderValue::as_bytes);
    let (host, second) = (hosts.next(), hosts.next());
    // `:authority` in HTTP/2; in HTTP/1, some requests have it in the first line, beside the header.
    let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let named = match request.version() {
        Version::HTTP_09 | Version::HTTP_10 => true,
        Version::HTTP_11 => host.is_some(),
        _ => host.or(authority).is_some(),
    };
    if !named {
        return Some("The request does not say which host it is for: send one Host header.");
    }
    if second.is_some() {
        return Some("The request names its host more than once: send one Host header.");
    }
    if ![host, authority].into_iter().flatten().all(is_host) {
        return Some("The request's host is malformed: write NAME or NAME:PORT, without a user.");
    }
    let differ = host.zip(authority).is_some_and(|(host, authority)| !host.eq_ignore_ascii_case(authority));
    // The first line of an HTTP/1 request has precedence (RFC 9112, section 3.2.2).
    (differ && request.version() >= Version::HTTP_2)
        .then_some("The Host header and :authority name two hosts: send one of them.")
}

/// Whether this is a name or an address, with or without a port (RFC 3986, section 3.2). The name may be empty.
fn is_host(text: &[u8]) -> bool {
    let bracket = text.first().filter(|first| **first == b'[').and(text.iter().position(|byte| *byte == b']'));
    let end = bracket.map_or_else(|| text.iter().position(|byte| *byte == b':'), |end| Some(end + 1));
    let (name, port) = text.split_at(end.unwrap_or(text.len()));
    let is_named = if bracket.is_some() { is_ipv6(&name[1..name.len() - 1]) } else { is_name(name) };
    is_named && is_port(port)
}

fn is_ipv6(text: &[u8]) -> bool {
    str::from_utf8(text).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

fn is_name(mut name: &[u8]) -> bool {
    while let [first, rest @ ..] = name {
        name = match (first, rest) {
            (b'%', [high, low, rest @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => rest,
            (byte, rest) if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(byte) => rest,
            _ => return false,
        };
    }
    true
}

/// Nothing, a colon, or a colon and a number.
fn is_port(text: &[u8]) -> bool {
    match text {
        [] | b":" => true,
        [b':', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => {
            str::from_utf8(digits).is_ok_and(|digits| digits.parse::<u16>().is_ok())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        let good = "|a|a:|a:80|a:0080|a:65535|:80|a_b|A-b.c~|127.0.0.1|127.0.0.1:80|999.1|[::1]|[::1]:|[::1]:80|[::ffff:1.2.3.4]|\
                    %41.example|xn--bcher-kva.example|a!$&'()*+,;=b|a.";
        for host in good.split('|') {
            assert!(is_host(host.as_bytes()), "{host:?}");
        }
        let bad = "a, b|a b|u@a|a/b|a?|a#|a\\b|a:99x|a:99999|a:65536|a:+80|a:-1|a:80:80|a::|::1|[::zz]|[]|[::1|::1]|[::1]a|[::1]80|\
                   [::1%25eth0]|a[::1]|[[::1]]|[1.2.3.4]|%|%4|%zz|%4z|\"a\"|<a>|{a}|a^|a`|a|a\t|\u{e9}|a\u{7f}";
        for host in bad.split('|').filter(|host| *host != "a") {
            assert!(!is_host(host.as_bytes()), "{host:?}");
        }
        assert!(!is_host(b"\xe9"));
    }

    /// The sentence that refuses such a request; empty for a good one.
    fn said(version: Version, target: &str, hosts: &[&str]) -> &'static str {
        let mut request = Request::builder().version(version).uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        fault(&request.body(()).expect("the builder takes it")).unwrap_or_default()
    }

    #[test]
    fn a_request_names_its_host_once() {
        const MISSING: &str = "The request does not say";
        const TWO: &str = "The request names its host more";
        const BAD: &str = "The request's host is malformed";
        const OTHER: &str = "The Host header and :authority";
        let (http_10, http_11, http_2) = (Version::HTTP_10, Version::HTTP_11, Version::HTTP_2);
        let table: [(Version, &str, &[&str], &str); 24] = [
            (http_11, "/", &["a"], ""),
            (http_11, "/", &[""], ""),
            (http_11, "/", &[], MISSING),
            (http_11, "/", &["a", "b"], TWO),
            (http_11, "/", &["a", "a"], TWO),
            (http_11, "/", &["a, b"], BAD),
            (http_11, "http://a/", &[], MISSING),
            (http_11, "http://a/", &["b"], ""),
            (http_11, "http://a/", &["a/b"], BAD),
            (http_11, "http://u@a/", &["a"], BAD),
            (http_11, "a:80", &["a:80"], ""),
            (http_11, "*", &["a"], ""),
            (http_10, "/", &[], ""),
            (http_10, "/", &["a"], ""),
            (http_10, "/", &["a", "a"], TWO),
            (http_10, "/", &["a b"], BAD),
            (http_2, "http://a/", &[], ""),
            (http_2, "http://a/", &["A"], ""),
            (http_2, "/", &["a"], ""),
            (http_2, "/", &[], MISSING),
            (http_2, "http://a/", &["b"], OTHER),
            (http_2, "http://a/", &["a", "a"], TWO),
            (http_2, "http://a/", &["u@a"], BAD),
            (http_2, "http://u@a/", &[], BAD),
        ];
        for (version, target, hosts, sentence) in table {
            let said = said(version, target, hosts);
            assert!(
                said.starts_with(sentence) && said.is_empty() == sentence.is_empty(),
                "{version:?} {target} {hosts:?}: {said:?}"
            );
        }
    }

    #[test]
    fn only_http_1_is_told_that_the_connection_ends() {
        for (version, close) in [(Version::HTTP_10, true), (Version::HTTP_11, true), (Version::HTTP_2, false)] {
            let request =
                Request::builder().version(version).header(HOST, "a b").body(()).expect("the builder takes it");
            let answer = refuse_bad_host(&request).expect("it is refused");
            assert_eq!((answer.status().as_u16(), answer.headers().contains_key(CONNECTION)), (400, close));
        }
    }
}
