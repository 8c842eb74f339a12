//! The migrations, up and down, alone and from several processes at once.

mod deletions;
mod tables;

use std::path::Path;

use loquent::platform::postgres::migrate;

use crate::support::db::TestDb;

#[tokio::test(flavor = "multi_thread")]
async fn they_go_up_and_down_and_up() {
    let db = TestDb::create_empty().await;
    let before = migrate::status(&db.url).await.expect("a status");
    assert!(before.applied.is_empty() && !before.pending.is_empty());
    let applied = migrate::up(&db.url).await.expect("up");
    assert_eq!(applied, before.pending);
    assert!(migrate::up(&db.url).await.expect("up again").is_empty());
    let after = migrate::status(&db.url).await.expect("a status");
    assert_eq!((after.applied, after.pending), (applied.clone(), Vec::new()));
    assert_eq!(migrate::down_all(&db.url).await.expect("down"), applied.len());
    assert_eq!(migrate::status(&db.url).await.expect("a status"), before);
    assert_eq!(migrate::up(&db.url).await.expect("up"), applied);
    db.close().await;
}

/// Two of one number are one version to Diesel, which then applies only one of them.
#[test]
fn they_are_numbered_one_after_the_other() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let names =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut numbers: Vec<usize> =
        names.filter_map(|name| name.get("2026-01-01-".len()..)?.split_once('_')?.0.parse().ok()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>());
    assert!(numbers.len() >= 10, "the migrations were not found");
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_may_start_at_once() {
    let db = TestDb::create_empty().await;
    let starts: Vec<_> = (0..4).map(|_| migrate::up(&db.url)).collect();
    let applied = futures_util::future::try_join_all(starts).await.expect("none of them fails");
    assert_eq!(applied.iter().filter(|names| !names.is_empty()).count(), 1, "{applied:?}");
    db.close().await;
}

#[tokio::test]
async fn they_need_no_particular_runtime() {
    let db = TestDb::create().await;
    assert!(migrate::status(&db.url).await.expect("a status").pending.is_empty(), "the template is migrated");
    db.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_database_is_an_error_without_its_password() {
    let error = migrate::up("postgres://someone:canary@127.0.0.1:1/x").await.expect_err("nobody is there");
    assert!(!format!("{error:#}{error:?}").contains("canary"), "{error:#}");
}
