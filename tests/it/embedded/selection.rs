use std::{fs, os::unix::fs::PermissionsExt};

use loquent::platform::postgres::embedded::{self, Options, Origin, StartError};

use super::owner::{options, scratch};

#[tokio::test(flavor = "multi_thread")]
async fn a_given_directory_without_programs_is_an_error_and_not_skipped() {
    let home = scratch();
    let options = Options { bin_dir: Some(home.path().join("bin")), ..options(home.path()) };
    let error = embedded::start(&options).await.expect_err("there is nothing");
    assert!(matches!(error, StartError::InvalidBinDir { .. }), "{error:?}");
    assert!(error.to_string().starts_with("LOQUENT_PG_BIN="), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_given_directory_is_used() {
    let home = scratch();
    let found = embedded::start(&options(home.path())).await.expect("it starts");
    let bin_dir = found.bin_dir().to_owned();
    found.stop().await;
    let options = Options { bin_dir: Some(bin_dir.clone()), ..options(home.path()) };
    let given = embedded::start(&options).await.expect("it starts");
    assert_eq!(given.origin(), Origin::Given);
    assert_eq!(given.bin_dir(), bin_dir);
    assert!(given.version().major >= 15);
    given.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_of_another_version_is_never_left_behind_silently() {
    let home = scratch();
    fs::create_dir(home.path().join("pg99")).expect("data");
    fs::write(home.path().join("pg99/PG_VERSION"), "99\n").expect("data");
    let options = Options { is_download_allowed: false, ..options(home.path()) };
    let error = embedded::start(&options).await.expect_err("nobody can read it");
    assert!(matches!(error, StartError::WrongVersion { data_major: 99, .. }), "{error:?}");
    assert!(error.to_string().contains("LOQUENT_DATA_DIR"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_the_server_may_not_enter_is_named() {
    if !rustix::process::geteuid().is_root() {
        return; // Only root hands over to another user.
    }
    let home = scratch();
    let closed = home.path().join("closed");
    fs::create_dir(&closed).expect("scratch");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).expect("scratch");
    let error = embedded::start(&options(&closed.join("data"))).await.expect_err("it is closed");
    match &error {
        StartError::Unreachable { blocked, .. } => assert_eq!(*blocked, closed),
        other => panic!("{other}"),
    }
}
