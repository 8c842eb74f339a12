//! What no client library sends: bytes on a raw connection. Each has one outcome, and nothing behind a fault is taken
//! for a request of its own.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::probe::Site;

/// An operation in 26 bytes.
const BODY: &str = r#"{"query":"{ __typename }"}"#;

/// Asked behind everything: it is answered only while the server still reads requests from the connection, and ends it.
const LAST: &str = "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

fn post(headers: &str, body: &str) -> String {
    format!("POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{headers}\r\n{body}")
}

fn sized() -> String {
    post(&format!("Content-Length: {}\r\n", BODY.len()), BODY)
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// Writes all of it and reads to the end of the connection.
async fn exchange(site: &Site, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(site.running.address).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let mut answer = Vec::new();
    let write = async {
        // A server that has refused already does not take the rest.
        let _ = writer.write_all(bytes).await;
    };
    let read = async {
        // The end may be a reset for the same reason; what came before it counts.
        let _ = reader.read_to_end(&mut answer).await;
    };
    let both = async { tokio::join!(write, read) };
    tokio::time::timeout(Duration::from_secs(20), both).await.expect("the end of the connection in time");
    String::from_utf8_lossy(&answer).into_owned()
}

/// The statuses of all answers.
fn statuses(answer: &str) -> Vec<u16> {
    let lines = answer.split("HTTP/1.").skip(1);
    lines.map(|line| line.get(2..5).and_then(|status| status.parse().ok()).unwrap_or_default()).collect()
}

/// The table: what is sent, the statuses that come back, and how often the engine is reached. A status 200 at the end
/// is that of [`LAST`], when it is there.
async fn check(cases: &[(&str, String, &[u16], u64)]) {
    let site = Site::start().await;
    let mut wrong = Vec::new();
    for (name, request, expected, executed) in cases {
        let before = site.probe.reached();
        let answer = exchange(&site, format!("{request}{LAST}").as_bytes()).await;
        let found = (statuses(&answer), site.probe.reached() - before);
        if found != (expected.to_vec(), *executed) {
            wrong.push(format!("{name}: {found:?} instead of {expected:?}, {executed}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn what_is_well_formed_is_answered_and_the_connection_goes_on() {
    check(&[
        ("sized", sized(), &[200, 200], 1),
        (
            "chunked",
            post("Transfer-Encoding: chunked\r\n", &format!("{}0\r\n\r\n", chunk(BODY))),
            &[200, 200],
            1,
        ),
        ("pipelined", sized() + &sized(), &[200, 200, 200], 2),
        ("the same length twice", post("Content-Length: 26\r\nContent-Length: 26\r\n", BODY), &[200, 200], 1),
        ("an error in GraphQL", post("Content-Length: 13\r\n", "{\"query\":\"{\"}"), &[200, 200], 0),
        ("absolute form", sized().replacen("/graphql", "http://x/graphql", 1), &[200, 200], 1),
        ("old version", "GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".into(), &[200, 200], 0),
        ("expectation", post("Expect: 100-continue\r\nContent-Length: 26\r\n", BODY), &[100, 200, 200], 1),
    ])
    .await;
}

#[tokio::test]
async fn a_body_has_one_length() {
    let hidden = format!("0\r\n\r\n{}", sized());
    let chunked = format!("{}0\r\n\r\n", chunk(BODY));
    let both = "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n";
    let reverse = "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n";
    check(&[
        // RFC 9112, 6.3: the chunks count, and the connection ends, so that nothing behind is read.
        ("both lengths", post(both, &chunked), &[200], 1),
        ("both lengths, reversed", post(reverse, &chunked), &[200], 1),
        ("both lengths, a request hidden behind the chunks", post(both, &hidden), &[400], 0),
        ("both lengths, reversed, a request hidden", post(reverse, &hidden), &[400], 0),
        ("two lengths", post("Content-Length: 26\r\nContent-Length: 4\r\n", BODY), &[400], 0),
        ("a list of lengths", post("Content-Length: 26, 4\r\n", BODY), &[400], 0),
        ("a signed length", post("Content-Length: +26\r\n", BODY), &[400], 0),
        ("a negative length", post("Content-Length: -1\r\n", BODY), &[400], 0),
        ("a length in hex", post("Content-Length: 0x1a\r\n", BODY), &[400], 0),
        ("a length beyond numbers", post("Content-Length: 99999999999999999999\r\n", BODY), &[400], 0),
        ("a length with a space", post("Content-Length : 26\r\n", BODY), &[400], 0),
        ("an unknown coding", post("Transfer-Encoding: xchunked\r\n", &chunked), &[400], 0),
        ("identity", post("Transfer-Encoding: identity\r\nContent-Length: 26\r\n", BODY), &[400], 0),
        ("chunked is not the last", post("Transfer-Encoding: chunked, gzip\r\n", &chunked), &[400], 0),
        (
            "chunked and then not",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", &chunked),
            &[400],
            0,
        ),
        (
            "chunks in the old version",
            post("Transfer-Encoding: chunked\r\n", &chunked).replacen("1.1", "1.0", 1),
            &[400],
            0,
        ),
        ("no length", post("", BODY), &[400, 400], 0),
    ])
    .await;
}

#[tokio::test]
async fn chunks_are_exact() {
    let with = |body: &str| post("Transfer-Encoding: chunked\r\n", body);
    check(&[
        ("no size", with(&format!("\r\n{BODY}\r\n0\r\n\r\n")), &[400], 0),
        ("no number", with(&format!("zz\r\n{BODY}\r\n0\r\n\r\n")), &[400], 0),
        ("a signed size", with(&format!("+1a\r\n{BODY}\r\n0\r\n\r\n")), &[400], 0),
        ("0x", with(&format!("0x1a\r\n{BODY}\r\n0\r\n\r\n")), &[400], 0),
        ("beyond numbers", with(&format!("fffffffffffffffff\r\n{BODY}\r\n0\r\n\r\n")), &[400], 0),
        ("too short", with(&format!("5\r\n{BODY}\r\n0\r\n\r\n")), &[400], 0),
        ("too long", with(&format!("1c\r\n{BODY}\r\n0\r\n\r\n")), &[400], 0),
        ("a bare line feed", with(&format!("1a\n{BODY}\n0\n\n")), &[400], 0),
        ("a line feed in an extension", with(&format!("1a;x\n{BODY}\r\n0\r\n\r\n")), &[400], 0),
        ("endless extension", with(&format!("1a;{}\r\n{BODY}\r\n0\r\n\r\n", "x".repeat(100_000))), &[400], 0),
        (
            "endless trailers",
            with(&format!("{}0\r\n{}\r\n", chunk(BODY), "a: b\r\n".repeat(20_000))),
            &[400],
            0,
        ),
        ("a trailer", with(&format!("{}0\r\nContent-Length: 3\r\n\r\n", chunk(BODY))), &[200, 200], 1),
    ])
    .await;
}

#[tokio::test]
async fn a_head_is_exact_and_bounded() {
    let get = |line: &str, headers: &str| format!("{line}\r\nHost: x\r\n{headers}\r\n");
    let livez = "GET /livez HTTP/1.1";
    check(&[
        ("a folded line", get(livez, "A: b\r\n c\r\n"), &[400], 0),
        ("a folded first line", format!("{livez}\r\n Host: x\r\n\r\n"), &[400], 0),
        ("a nul", get(livez, "A: b\0c\r\n"), &[400], 0),
        ("a carriage return", get(livez, "A: b\rc\r\n"), &[400], 0),
        ("a control character", get(livez, "A: b\x07\r\n"), &[400], 0),
        ("a space in a name", get(livez, "A b: c\r\n"), &[400], 0),
        ("no colon", get(livez, "Abc\r\n"), &[400], 0),
        ("no name", get(livez, ": c\r\n"), &[400], 0),
        ("bare line feeds", "GET /livez HTTP/1.1\nHost: x\n\n".into(), &[200, 200], 0),
        (
            "too many headers",
            get(livez, &(0..200).map(|n| format!("A{n}: b\r\n")).collect::<String>()),
            &[431],
            0,
        ),
        ("too large a head", get(livez, &format!("A: {}\r\n", "b".repeat(33 * 1024))), &[431], 0),
        ("too long a target", get(&format!("GET /{} HTTP/1.1", "a".repeat(33 * 1024)), ""), &[431], 0),
        ("no host", format!("{livez}\r\n\r\n"), &[400, 200], 0),
        ("two hosts", get(livez, "Host: x\r\n"), &[400, 200], 0),
        ("two different hosts", get(livez, "Host: y\r\n"), &[400, 200], 0),
        ("no host in an operation", sized().replace("Host: x\r\n", ""), &[400, 200], 0),
        ("another host in the target", get("GET http://evil.example/livez HTTP/1.1", ""), &[400, 200], 0),
        ("version 0.9", "GET /livez\r\n".into(), &[400], 0),
        ("version 1.2", get("GET /livez HTTP/1.2", ""), &[400], 0),
        ("version 2", get("GET /livez HTTP/2.0", ""), &[400], 0),
        ("preface of version 2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), &[], 0),
        ("a secured connection", "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03".into(), &[400], 0),
        ("two spaces", get("GET  /livez HTTP/1.1", ""), &[400], 0),
        ("no target", get("GET HTTP/1.1", ""), &[400], 0),
        ("a target without a slash", get("GET livez HTTP/1.1", ""), &[400, 200], 0),
        ("a nul in the target", get("GET /livez\0 HTTP/1.1", ""), &[400], 0),
        ("the server as target", get("OPTIONS * HTTP/1.1", ""), &[200, 200], 0),
        (
            "a tunnel",
            "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n".into(),
            &[404, 200],
            0,
        ),
        ("a tunnel to a route", "CONNECT /graphql HTTP/1.1\r\nHost: x\r\n\r\n".into(), &[405, 200], 0),
        ("an echo", get("TRACE /graphql HTTP/1.1", "Authorization: Bearer x\r\n"), &[405, 200], 0),
        ("an unknown method", get("BREW /graphql HTTP/1.1", ""), &[405, 200], 0),
        ("a method in small letters", sized().replacen("POST", "post", 1), &[405, 200], 0),
    ])
    .await;
}

#[tokio::test]
async fn a_body_that_was_refused_is_no_request() {
    let hidden = sized();
    let length = format!("Content-Length: {}\r\n", 2 * 1024 * 1024);
    check(&[
        ("too large a body", post(&length, &hidden), &[413], 0),
        ("an unread body", format!("PUT /graphql HTTP/1.1\r\nHost: x\r\n{length}\r\n{hidden}"), &[413], 0),
        (
            "a body of no route",
            format!("POST /no HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n{hidden}"),
            &[404],
            0,
        ),
        (
            "a body of the wrong method",
            format!("PUT /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n{hidden}"),
            &[405],
            0,
        ),
        (
            "a body that is whole",
            post(&format!("Content-Length: {}\r\n", hidden.len()), &hidden),
            &[400, 200],
            0,
        ),
    ])
    .await;
}

#[tokio::test]
async fn what_the_parser_refuses_has_no_body_and_names_no_program() {
    let site = Site::start().await;
    for request in
        ["GET  / HTTP/1.1\r\n\r\n", &format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "b".repeat(33 * 1024))]
    {
        let answer = exchange(&site, request.as_bytes()).await.to_lowercase();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            body.is_empty() && head.contains("content-length: 0") && !head.contains("server"),
            "{answer}"
        );
    }
}
