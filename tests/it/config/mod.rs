//! Settings as an operator gives them: files, variables and flags in, a configuration or a list of faults out.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "outside #[test] functions clippy does not know that this is a test"
)]

mod defaults;
mod dev_key;
mod faults;
mod peers;
mod precedence;
mod providers;
mod secrets;
mod telemetry;

use std::collections::BTreeMap;

use loquent::config::{Config, ConfigFaults, ConfigFile, Directories, Fault, Flags, Sources};

/// 43 random characters, made for these tests.
const KEY: &str = "q0Jx3TnVb7LrPz5KwHs8FyGd2McEu9AaXi6RtNoQ4Ck";

fn dev() -> Flags {
    Flags { is_dev: true, ..Flags::default() }
}

fn sources(flags: Flags, file: &str, env: &[(&str, &str)]) -> Sources {
    Sources {
        file: Some(ConfigFile { path: "loquent.toml".to_owned(), text: file.to_owned() }),
        env: env
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect::<BTreeMap<_, _>>(),
        flags,
        directories: Some(Directories { data: "/data".into(), cache: "/cache".into() }),
    }
}

fn load(flags: Flags, file: &str, env: &[(&str, &str)]) -> Result<Config, ConfigFaults> {
    Config::load(sources(flags, file, env))
}

fn loaded(flags: Flags, file: &str, env: &[(&str, &str)]) -> Config {
    load(flags, file, env).unwrap_or_else(|faults| panic!("{faults}"))
}

/// The faults of what must not load.
fn faults(flags: Flags, file: &str, env: &[(&str, &str)]) -> Vec<Fault> {
    load(flags, file, env).expect_err("these settings must be refused").0
}

/// The one fault of what must not load.
fn fault(flags: Flags, file: &str, env: &[(&str, &str)]) -> Fault {
    let mut faults = faults(flags, file, env);
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults.remove(0)
}
