//! The real binary, started again and again over the same data, and its command that checks the books.

use std::path::Path;

use super::binary::command;

/// A key that outlives the process, so that people stay signed in.
pub const SIGNING_KEY: &str =
    "[auth]\nsigning_keys = [\"main:q0Jx3TnVb7LrPz5KwHs8FyGd2McEu9AaXi6RtNoQ4Ck\"]\n";

/// Runs `loquent ledger check` and returns its verdict; it found nothing, and no hold is open.
pub fn check_ledger(database_url: &str) -> String {
    let home = tempfile::tempdir().unwrap();
    run_ledger_check(home.path(), Some(database_url))
}

/// The same over the bundled database of this home.
pub fn check_bundled_ledger(home: &Path) -> String {
    run_ledger_check(home, None)
}

fn run_ledger_check(home: &Path, database_url: Option<&str>) -> String {
    let mut command = command(home, database_url.unwrap_or_default());
    if database_url.is_none() {
        command.env_remove("DATABASE_URL");
    }
    let output = command.args(["ledger", "check"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}{errors}");
    let verdict = said.lines().last().unwrap_or_default().to_owned();
    assert!(verdict.starts_with("ledger check ok:") && verdict.contains("open n=0"), "{said}");
    verdict
}
