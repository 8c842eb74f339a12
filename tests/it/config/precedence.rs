use std::{fs, path::PathBuf};

use loquent::{
    config::{Config, Flags, Sources},
    platform::telemetry::LogFormat,
};

use super::{dev, fault, load, loaded};

#[test]
fn flags_win_over_variables_over_the_file_over_defaults() {
    let port = |flags: Flags, file, env: &[(&str, &str)]| loaded(flags, file, env).server.port;
    let file = "[server]\nport = 1";
    let usual = ("PORT", "2");
    let own = ("LOQUENT_SERVER__PORT", "3");
    assert_eq!(port(dev(), "", &[]), 3000);
    assert_eq!(port(dev(), file, &[]), 1);
    assert_eq!(port(dev(), file, &[usual]), 2);
    assert_eq!(port(dev(), file, &[usual, own]), 3);
    assert_eq!(port(Flags { port: Some(4), ..dev() }, file, &[usual, own]), 4);
}

#[test]
fn usual_and_short_variables_reach_their_keys() {
    let config = loaded(
        dev(),
        "",
        &[
            ("DATABASE_URL", "postgres://a@b/c"),
            ("LOQUENT_DATA_DIR", "/d"),
            ("LOQUENT_CACHE_DIR", "/c"),
            ("LOQUENT_PG_BIN", "/bin"),
            ("LOQUENT_PG_DOWNLOAD", "off"),
            ("LOQUENT_NPM_REGISTRY", "https://npm.acme.test/"),
            ("RUST_LOG", "debug"),
            ("NO_COLOR", "1"),
            ("LOQUENT_LOG__FORMAT", "json"),
        ],
    );
    let database = &config.database;
    assert!(database.url.is_some() && !database.is_download_allowed);
    assert_eq!(database.data_dir.to_str(), Some("/d"));
    assert_eq!(database.cache_dir.to_str(), Some("/c"));
    assert_eq!(database.pg_bin.as_deref().and_then(|path| path.to_str()), Some("/bin"));
    assert_eq!(database.npm_registry.as_deref(), Some("https://npm.acme.test/"));
    assert_eq!((config.log.filter.as_str(), config.log.is_colored), ("debug", false));
    assert_eq!(config.log.format, LogFormat::Json);
}

#[test]
fn the_registry_of_npm_is_only_a_fallback() {
    let registry = |file, env: &[(&str, &str)]| loaded(dev(), file, env).database.npm_registry;
    let ambient = ("npm_config_registry", "https://ambient.test/");
    assert_eq!(registry("", &[ambient]).as_deref(), Some("https://ambient.test/"));
    let file = "[database]\nnpm_registry = \"https://file.test/\"";
    assert_eq!(registry(file, &[ambient]).as_deref(), Some("https://file.test/"));
}

#[test]
fn variables_set_to_nothing_count_as_unset() {
    let config =
        loaded(dev(), "[server]\nport = 1", &[("PORT", ""), ("LOQUENT_SERVER__PORT", " "), ("NO_COLOR", "")]);
    assert_eq!((config.server.port, config.log.is_colored), (1, true));
}

#[test]
fn development_stays_on_this_machine_unless_allowed() {
    let open = Flags { host: Some([0, 0, 0, 0].into()), ..dev() };
    let refused = fault(open.clone(), "", &[]);
    assert_eq!((refused.key.as_str(), refused.origin.as_deref()), ("server.host", Some("flag --host")));
    assert!(refused.fix.contains("--allow-remote-dev"));
    assert!(load(Flags { is_remote_dev_allowed: true, ..open }, "", &[]).is_ok());
    for loopback in ["127.0.0.1", "127.3.2.1", "::1"] {
        loaded(dev(), "", &[("LOQUENT_SERVER__HOST", loopback)]);
    }
}

/// A directory of its own under the build's, so that nothing outside is touched.
fn directory(name: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a writable build directory");
    directory
}

#[test]
fn the_file_is_found_by_flag_then_directory_then_variable() {
    let directory = directory("config-file");
    let write = |name: &str, port: u16| {
        let path = directory.join(name);
        fs::write(&path, format!("[server]\nport = {port}")).expect("a writable directory");
        path
    };
    let by_flag = write("flag.toml", 1);
    let by_variable = write("variable.toml", 3);
    let env = [("LOQUENT_CONFIG".to_owned(), by_variable.display().to_string())];
    let port = |flags: Flags| {
        let sources = Sources::collect(flags, env.clone(), &directory).expect("readable files");
        let directories = super::sources(dev(), "", &[]).directories;
        Config::load(Sources { directories, ..sources }).expect("valid files").server.port
    };
    assert_eq!(port(dev()), 3);
    write("loquent.toml", 2);
    assert_eq!(port(dev()), 2);
    assert_eq!(port(Flags { file: Some(by_flag), ..dev() }), 1);
    fs::remove_dir_all(&directory).expect("our own directory");
}

#[test]
fn a_named_file_that_cannot_be_read_is_a_fault() {
    let directory = directory("config-missing");
    let huge = directory.join("huge.toml");
    fs::write(&huge, "#".repeat((1 << 20) + 1)).expect("a writable directory");
    for (path, why) in [(directory.join("none.toml"), "cannot be read"), (huge, "larger than 1 MiB")] {
        let flags = Flags { file: Some(path.clone()), ..dev() };
        let faults = Sources::collect(flags, [], &directory).err().expect("unreadable").0;
        assert_eq!(faults.len(), 1);
        assert_eq!(
            (faults[0].key.as_str(), faults[0].origin.as_deref()),
            (path.to_str().unwrap(), Some("flag --config"))
        );
        assert!(faults[0].why.contains(why), "{}", faults[0].why);
    }
    fs::remove_dir_all(&directory).expect("our own directory");
}
