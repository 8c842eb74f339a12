use std::{fs, os::unix::fs::PermissionsExt};

use super::*;

/// Makes a directory with programs that only know their version.
fn fake(dir: &Path, version: &str, programs: &[&str]) {
    fs::create_dir_all(dir).expect("scratch");
    for program in programs {
        let path = dir.join(program);
        fs::write(&path, format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")).expect("scratch");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("scratch");
    }
}

const BOTH: &[&str] = &["postgres", "initdb"];

fn pattern(home: &Path, rest: &str) -> String {
    home.join(rest).to_str().expect("scratch is UTF-8").to_owned()
}

fn versions(found: &Found) -> Vec<&str> {
    found.usable.iter().map(|programs| programs.version.text.as_str()).collect()
}

#[test]
fn versions_are_read_as_packages_write_them() {
    let major = |answer| Version::parse(answer).map(|version| version.major);
    assert_eq!(major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
    assert_eq!(major("postgres (PostgreSQL) 18beta1\n"), Some(18));
    assert_eq!(major("postgres (PostgreSQL) 9.6.24\n"), Some(9));
    assert_eq!(major("psql 15"), None);
    assert_eq!(major(""), None);
}

#[tokio::test]
async fn versioned_directories_come_first_newest_first_and_path_last() {
    let home = tempfile::tempdir().expect("scratch");
    fake(&home.path().join("lib/15/bin"), "15.18", BOTH);
    fake(&home.path().join("lib/17/bin"), "17.2", BOTH);
    fake(&home.path().join("opt/postgresql@16/bin"), "16.1", BOTH);
    fake(&home.path().join("bin"), "18.4", BOTH);
    let places = [pattern(home.path(), "lib/*/bin"), pattern(home.path(), "opt/postgresql@*/bin")];
    let places: Vec<_> = places.iter().map(String::as_str).collect();
    let found = installed(&places, Some(home.path().join("bin").as_os_str())).await;
    assert_eq!(versions(&found), ["17.2", "16.1", "15.18", "18.4"]);
}

#[tokio::test]
async fn what_is_too_old_or_incomplete_is_named_with_its_reason() {
    let home = tempfile::tempdir().expect("scratch");
    fake(&home.path().join("13/bin"), "13.16", BOTH);
    fake(&home.path().join("16/bin"), "16.1", &["postgres"]);
    fake(&home.path().join("17/bin"), "17.1", &["psql"]);
    let found = installed(&[&pattern(home.path(), "*/bin")], None).await;
    assert!(found.usable.is_empty());
    let mut reasons: Vec<_> = found.unusable.iter().map(|(_, reason)| reason.as_str()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["13.16, need 15", "there is no program initdb in it"]);
}

#[tokio::test]
async fn links_lead_to_the_real_directory_and_count_once() {
    let home = tempfile::tempdir().expect("scratch");
    let real = home.path().join("17/bin");
    fake(&real, "17.1", BOTH);
    let linked = home.path().join("bin");
    fs::create_dir(&linked).expect("scratch");
    std::os::unix::fs::symlink(real.join("postgres"), linked.join("postgres")).expect("scratch");
    let found = installed(&[&pattern(home.path(), "17/bin")], Some(linked.as_os_str())).await;
    assert_eq!(versions(&found), ["17.1"]);
    let alone = installed(&[], Some(linked.as_os_str())).await;
    assert_eq!(alone.usable[0].bin_dir, real.canonicalize().expect("scratch"));
}
