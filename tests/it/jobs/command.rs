//! `loquent jobs`.

use std::process::Output;

use loquent::{
    jobs::{Options, repo::JobRow},
    platform::ids::Id,
};

use super::stage::{Act, Stage};
use crate::support::{binary::command, rows::execute};

fn jobs(url: &str, words: &[&str]) -> (i32, String) {
    let home = tempfile::tempdir().unwrap();
    let Output { status, stdout, stderr } =
        command(home.path(), url).arg("jobs").args(words).output().unwrap();
    let said = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
    (status.code().unwrap(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_dead_letters_and_decide() {
    let stage = Stage::open().await;
    let url = stage.app.db.url.clone();
    let dead = stage.enqueue("dies", Act::Never, Options::default()).await.unwrap();
    stage.job_when(dead, "dead").await;
    let done = stage.enqueue("lives", Act::Return, Options::default()).await.unwrap();
    stage.job_when(done, "done").await;
    let (dead_id, done_id) = (Id::<JobRow>::new(dead).to_string(), Id::<JobRow>::new(done).to_string());

    let (code, said) = jobs(&url, &["list"]);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((code, lines.len()), (0, 4), "{said}");
    assert!(lines[0].starts_with(&format!("{dead_id}  dead")) && lines[0].contains("attempts 1/3"), "{said}");
    assert_eq!(
        lines[1..],
        [
            "    PROVIDER_UNAVAILABLE: The stage is broken.",
            &format!("    loquent jobs retry {dead_id}"),
            "jobs n=1"
        ]
    );
    let (code, said) = jobs(&url, &["list", "--state", "done", "--name", "tests.play", "--limit", "1"]);
    assert!(code == 0 && said.contains(&done_id), "{said}");
    assert_eq!(jobs(&url, &["list", "--name", "no.such"]), (0, "jobs n=0\n".to_owned()));

    // What cannot be done is said, and the rest is done.
    stage.is_quiet().await;
    while !stage.is_quiet().await {}
    let (code, said) = jobs(&url, &["retry", &done_id, &dead_id]);
    assert_eq!(
        (code, said),
        (1, format!("{done_id}  is done; nothing was changed\n{dead_id}  waits to run again\n"))
    );
    assert_eq!(stage.next().await.job_id, dead);
    stage.job_when(dead, "dead").await;
    assert_eq!(jobs(&url, &["discard", &dead_id]), (0, format!("{dead_id}  is discarded\n")));
    stage.job_when(dead, "canceled").await;
    let nobody = Id::<JobRow>::new(uuid::Uuid::now_v7()).to_string();
    assert_eq!(jobs(&url, &["discard", &nobody]), (1, format!("{nobody}  does not exist\n")));

    // A live job with the same key keeps it.
    execute(&url, &format!("UPDATE jobs SET unique_key = 'one' WHERE id = '{dead}'")).await;
    let key = Options { unique_key: Some("one".to_owned()), ..Options::default() };
    stage.enqueue("has the key", Act::Wait, key).await.unwrap();
    assert_eq!(
        jobs(&url, &["retry", &dead_id]),
        (1, format!("{dead_id}  stays: another live job has its unique key\n"))
    );
    stage.exits.add_permits(1);
    stage.close().await;
}
