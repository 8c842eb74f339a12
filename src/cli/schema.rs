//! `loquent schema export [--check FILE]`

use std::path::Path;

use anyhow::Context;

use super::{Verdict, args::Schema, say};
use crate::graphql::roots::sdl;

pub fn run(action: &Schema) -> anyhow::Result<Verdict> {
    let Schema::Export { check } = action;
    match check {
        None => {
            say(sdl().trim_end());
            Ok(Verdict::Passed)
        }
        Some(file) => compare(file),
    }
}

fn compare(file: &Path) -> anyhow::Result<Verdict> {
    let written = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    if written == sdl() {
        say(format_args!("schema check ok: {} says what this program serves", file.display()));
        return Ok(Verdict::Passed);
    }
    let place = written.lines().zip(sdl().lines()).position(|(a, b)| a != b).map_or(0, |line| line + 1);
    say(format_args!(
        "schema check failed: {} differs from line {place} on; write it again with `loquent schema export > {}`",
        file.display(),
        file.display()
    ));
    Ok(Verdict::NotPassed)
}
