//! What random clients send: requests that tell their handler, in their path, what to do; some of them with what some parsers
//! take for framing.

pub(crate) fn pick<T: Copy>(rng: &mut fastrand::Rng, list: &[T]) -> T {
    list[rng.usize(..list.len())]
}

/// A request that tells its handler, in its path, what to do.
pub(crate) fn request(rng: &mut fastrand::Rng, number: usize, bytes: &mut Vec<u8>) {
    let odd = rng.u8(..) < 40;
    let methods = ["GET", "POST", "HEAD", "CONNECT", "HEADX", "head"];
    let method = pick(rng, if odd { &methods } else { &methods[..3] });
    let answer = pick::<u8>(rng, if odd { b"fecnmkuwi" } else { b"ffec4" });
    let reads: &[u8] = if rng.u8(..) < 60 { b"pnlh" } else { b"alh" };
    let reads = pick(rng, reads);
    let delay = if rng.bool() { 0 } else { rng.u8(..4) };
    let version = if rng.u8(..) < 20 { "HTTP/1.0" } else { "HTTP/1.1" };
    let end = if odd && rng.u8(..) < 20 { "\n" } else { "\r\n" };
    let path = format!("/{}/{}/{delay}/{number}", char::from(answer), char::from(reads));
    let target = if method == "CONNECT" {
        format!("{}{}{delay}{number}:1", char::from(answer), char::from(reads))
    } else {
        path
    };
    let mut head = format!("{method} {target} {version}{end}Host: a{end}");
    let mut add = |line: &str| {
        head.push_str(line);
        head.push_str(end);
    };
    if version == "HTTP/1.0" && rng.bool() {
        add("Connection: keep-alive");
    }
    if rng.u8(..) < 6 {
        add("connection: close");
    }
    if answer == b'u' || rng.u8(..) < 5 {
        add("Connection: upgrade");
        add("Upgrade: echo");
    }
    let length = if method == "POST" || rng.u8(..) < 20 { pick(rng, &[0, 1, 7, 60, 3000]) } else { 0 };
    let mut body: Vec<u8> = (0..length).map(|_| pick(rng, b"abc\r\n0GET / HTTP/1.1:;")).collect();
    if rng.u8(..) < 10 {
        // A body that looks like a request.
        body = b"GET /f/a/0/smuggled HTTP/1.1\r\n\r\n".to_vec();
    }
    let chunked = rng.u8(..) < 90 && (method == "POST" || rng.u8(..) < 10);
    if chunked {
        let name = pick(rng, &["Transfer-Encoding", "transfer-encoding", "TRANSFER-ENCODING"]);
        add(&format!("{name}:{}", pick(rng, &[" chunked", "chunked", "\t Chunked "])));
        body = chunks(rng, &body);
    } else if !body.is_empty() || method == "POST" {
        let name = pick(rng, &["Content-Length", "content-length"]);
        add(&format!("{name}: {}{}", pick(rng, &["", "0", " \t"]), body.len()));
    }
    if rng.u8(..) < 12 {
        add("Expect: 100-continue");
    }
    if rng.u8(..) < 12 {
        hostile(rng, &mut add, body.len());
    }
    head.push_str(end);
    bytes.extend_from_slice(head.as_bytes());
    bytes.append(&mut body);
}

/// A header that some parsers may take for framing.
fn hostile(rng: &mut fastrand::Rng, add: &mut impl FnMut(&str), length: usize) {
    let lines = [
        format!("Content-Length: {length}"),
        format!("Content-Length: {}", length + 1),
        format!("Content-Length : {length}"),
        format!("Content-Length\t: {length}"),
        format!(" Content-Length: {length}"),
        format!("Content-Length: +{length}"),
        format!("Content-Length: {length}, {length}"),
        "Content-Length:".to_owned(),
        "Content-Length: 99999999999999999999999999".to_owned(),
        "Content-Length: 18446744073709551615".to_owned(),
        "Content-Length: 0x5".to_owned(),
        "Content-Length: 5\u{b}".to_owned(),
        "Content-Length-X: 5".to_owned(),
        "Transfer-Encoding: chunked".to_owned(),
        "Transfer-Encoding: gzip, chunked".to_owned(),
        "Transfer-Encoding: chunked, identity".to_owned(),
        "Transfer-Encoding: identity".to_owned(),
        "Transfer-Encoding : chunked".to_owned(),
        "Transfer-Encoding: \u{b}chunked".to_owned(),
        "Transfer-Encoding: chunked;q=1".to_owned(),
        "Transfer-Encoding:".to_owned(),
        "X: folded\r\n Transfer-Encoding: chunked".to_owned(),
        "X: folded\r\n\tTransfer-Encoding: chunked".to_owned(),
        "X: a\rTransfer-Encoding: chunked".to_owned(),
        "X: a\nTransfer-Encoding: chunked".to_owned(),
        "X: a\n\nGET /f/a/0/inner HTTP/1.1".to_owned(),
        "X\0: 1".to_owned(),
        ": 1".to_owned(),
        "no colon".to_owned(),
        "Upgrade: h2c".to_owned(),
    ];
    add(&lines[rng.usize(..lines.len())]);
}

pub(crate) fn chunks(rng: &mut fastrand::Rng, mut body: &[u8]) -> Vec<u8> {
    let mut chunked = Vec::new();
    while !body.is_empty() {
        let (chunk, rest) = body.split_at(rng.usize(1..=body.len()));
        body = rest;
        let zeros = if rng.u8(..) < 20 { "000" } else { "" };
        chunked.extend_from_slice(format!("{zeros}{:x}", chunk.len()).as_bytes());
        extension(rng, &mut chunked);
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(pick(rng, &[&b"0"[..], b"0", b"00"]));
    extension(rng, &mut chunked);
    if rng.u8(..) < 40 {
        let odd = rng.u8(..) < 60;
        let trailers =
            [&b"X: 1\r\n"[..], b"Content-Length: 7\r\nA: b\r\n", b"bad trailer\r\n", b"X: 1\n\r\n", b"X: \r1\r\n"];
        chunked.extend_from_slice(pick(rng, if odd { &trailers } else { &trailers[..2] }));
    }
    chunked.extend_from_slice(b"\r\n");
    chunked
}

fn extension(rng: &mut fastrand::Rng, bytes: &mut Vec<u8>) {
    let extensions =
        [&b";a=b"[..], b";a=\"b;c\"", b" ", b" ;x", b"\t", b";", b"\n", b"\r", b";a\n", b";a\rb", b"g", b"-1"];
    let odd = rng.u8(..) < 30;
    if rng.u8(..) < 40 {
        bytes.extend_from_slice(pick(rng, if odd { &extensions } else { &extensions[..6] }));
    }
    bytes.extend_from_slice(b"\r\n");
}
