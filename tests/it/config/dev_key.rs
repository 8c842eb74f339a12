use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, thread};

use loquent::config::dev_signing_key;
use secrecy::ExposeSecret;

fn directory(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()))
}

#[test]
fn the_development_key_is_made_once_and_readable_by_its_owner_only() {
    let directory = directory("dev-key");
    // Starts at the same instant must agree on one key.
    let starts: Vec<_> =
        (0..8).map(|_| directory.clone()).map(|at| thread::spawn(move || dev_signing_key(&at))).collect();
    let made: Vec<_> =
        starts.into_iter().map(|start| start.join().expect("no panic").expect("a key")).collect();
    let again = dev_signing_key(&directory).expect("the same key");
    assert!(made.iter().all(|key| key.secret.expose_secret() == again.secret.expose_secret()));
    assert_eq!(again.secret.expose_secret().len(), 43);
    let mode = fs::metadata(directory.join("dev-signing-key")).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let files = fs::read_dir(&directory).expect("the directory").count();
    assert_eq!(files, 1, "nothing is left aside");
    fs::remove_dir_all(&directory).expect("our own directory");
}

#[test]
fn a_file_without_a_key_is_refused_not_replaced() {
    let directory = directory("dev-key-broken");
    fs::create_dir_all(&directory).expect("a writable build directory");
    fs::write(directory.join("dev-signing-key"), "short").expect("a writable directory");
    let error = dev_signing_key(&directory).expect_err("no key");
    assert!(error.to_string().contains("remove it"), "{error}");
    assert_eq!(fs::read_to_string(directory.join("dev-signing-key")).expect("the file"), "short");
    fs::remove_dir_all(&directory).expect("our own directory");
}
