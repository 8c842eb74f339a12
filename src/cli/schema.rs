//! `loquent schema export [--check FILE]`, `loquent schema errors [--check FILE]` and `loquent schema check OLD [NEW]`

use std::path::Path;

use anyhow::Context;

use super::{Verdict, args::Schema, complain, say};
use crate::{
    error::reference,
    graphql::{
        compare::{self, Severity, Surface},
        roots::sdl,
    },
};

pub fn run(action: &Schema) -> anyhow::Result<Verdict> {
    match action {
        Schema::Export { check } => write("export", &sdl(), check.as_deref()),
        Schema::Errors { check } => write("errors", &reference::markdown(), check.as_deref()),
        Schema::Check { old, new } => Ok(report(old, new.as_deref()).unwrap_or_else(|error| {
            complain(&error);
            Verdict::NotJudged
        })),
    }
}

/// Writes what this program says, or compares a file with it.
fn write(command: &str, text: &str, file: Option<&Path>) -> anyhow::Result<Verdict> {
    let Some(file) = file else {
        say(text.trim_end());
        return Ok(Verdict::Passed);
    };
    let (written, file) = (read(file)?, file.display());
    if written == text {
        say(format_args!("schema {command} ok: {file} is what this program says"));
        return Ok(Verdict::Passed);
    }
    let place = written.lines().zip(text.lines()).take_while(|(a, b)| a == b).count() + 1;
    say(format_args!(
        "schema {command} failed: {file} differs from line {place} on; write it again with `loquent schema {command} > {file}`"
    ));
    Ok(Verdict::NotPassed)
}

/// Says what changes for clients of the old schema; fails when some of them break.
fn report(old: &Path, new: Option<&Path>) -> anyhow::Result<Verdict> {
    let new = match new {
        Some(file) => surface(file)?,
        None => Surface::parse(&sdl())?,
    };
    let changes = compare::compare(&surface(old)?, &new);
    for change in &changes {
        say(change);
    }
    let breaking = changes.iter().filter(|change| change.severity == Severity::Breaking).count();
    let dangerous = changes.len() - breaking;
    let verdict = if breaking == 0 { Verdict::Passed } else { Verdict::NotPassed };
    let word = if breaking == 0 { "ok" } else { "failed" };
    say(format_args!("schema check {word}: {breaking} breaking, {dangerous} dangerous"));
    Ok(verdict)
}

fn surface(file: &Path) -> anyhow::Result<Surface> {
    Surface::parse(&read(file)?).with_context(|| format!("{} is not a schema", file.display()))
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}
