//! `loquent schema …`, as CI runs it.

use std::{path::Path, process::Command};

use loquent::graphql::roots::sdl;

/// Exit code and what was said.
fn schema(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_loquent")).arg("schema").args(arguments).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_check_fails_for_what_breaks_clients_and_for_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dir.path().join("old.graphql"), dir.path().join("new.graphql"));
    std::fs::write(&old, sdl()).unwrap();
    assert_eq!(schema(&["check", path(&old)]), (0, "schema check ok: 0 breaking, 0 dangerous\n".to_owned()));

    let wider = sdl().replace("enum AccountKind {", "enum AccountKind {\n  ROBOT");
    std::fs::write(&new, wider).unwrap();
    let (code, said) = schema(&["check", path(&old), path(&new)]);
    assert_eq!(
        (code, said.as_str()),
        (0, "dangerous AccountKind.ROBOT: was added\nschema check ok: 0 breaking, 1 dangerous\n")
    );
    let (code, said) = schema(&["check", path(&new)]);
    assert_eq!(
        (code, said.as_str()),
        (1, "breaking  AccountKind.ROBOT: was removed\nschema check failed: 1 breaking, 0 dangerous\n")
    );
    std::fs::write(&new, "no schema").unwrap();
    // What cannot be judged is no verdict.
    assert_eq!(schema(&["check", path(&old), path(&new)]), (2, String::new()));
    std::fs::remove_file(&new).unwrap();
    assert_eq!(schema(&["check", path(&old), path(&new)]), (2, String::new()));
}

#[test]
fn committed_files_are_compared_with_what_the_program_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (command, file) in [("export", "schema.graphql"), ("errors", "docs/ERRORS.md")] {
        let file = root.join(file);
        assert_eq!(schema(&[command, "--check", path(&file)]).0, 0);
        assert_eq!(schema(&[command]).1, std::fs::read_to_string(&file).unwrap());
        let other = tempfile::NamedTempFile::new().unwrap();
        let (code, said) = schema(&[command, "--check", path(other.path())]);
        assert!(code == 1 && said.contains("differs from line 1 on"), "{said}");
    }
}
