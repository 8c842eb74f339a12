use loquent::{
    config::{Flags, Jobs, Limits, Purpose, Streams},
    platform::telemetry::LogFormat,
};

use super::{KEY, dev, fault, loaded};

#[test]
fn development_needs_nothing() {
    let config = loaded(dev(), "", &[]);
    assert!(config.is_dev);
    let server = &config.server;
    assert_eq!((server.host, server.port), ([127, 0, 0, 1].into(), 3000));
    assert!(server.public_url.is_none() && server.metrics_token.is_none());
    assert!(server.allowed_origins.is_empty() && server.trusted_proxies.is_empty());
    assert!(!server.is_non_loopback_allowed_in_dev);
    assert_eq!((server.drain_seconds, server.ready_grace_seconds), (30, 0));
    let streams =
        Streams { flush_ms: 10, lease_ms: 8000, max_generation_seconds: 300, retention_minutes: 15 };
    assert_eq!(config.streams, streams);
    assert_eq!(config.jobs, Jobs { concurrency: 8, account_share: 4 });
    let limits = Limits {
        body_bytes: 1_048_576,
        body_bytes_in_flight: 67_108_864,
        document_bytes: 65_536,
        socket_message_bytes: 262_144,
        operation_cost: 2_000,
        operations_per_socket: 20,
        socket_messages_per_second: 20,
        sockets_per_user: 10,
        sockets_per_address: 100,
        connections: 10_000,
        connections_per_address: 1000,
        init_seconds: 10,
        ping_seconds: 20,
        idle_seconds: 60,
        write_stall_seconds: 10,
    };
    assert_eq!(config.limits, limits);
    assert_eq!(config.default_model, "echo");
    assert!(config.providers.is_empty() && config.auth.signing_keys.is_empty());
    let auth = &config.auth;
    let lives = (auth.access_minutes, auth.refresh_days, auth.session_days, auth.refresh_grace_seconds);
    assert_eq!(lives, (60, 7, 30, 10));
    let database = &config.database;
    assert!(database.url.is_none() && database.pg_bin.is_none() && database.npm_registry.is_none());
    assert!(database.is_download_allowed && database.is_notifying);
    assert_eq!((database.request_pool, database.background_pool, database.wait_ms), (16, 8, 2000));
    assert_eq!(database.data_dir.to_str(), Some("/data"));
    assert_eq!(database.cache_dir.to_str(), Some("/cache"));
    assert_eq!((config.log.format, config.log.filter.as_str()), (LogFormat::Text, "loquent=info,warn"));
}

#[test]
fn production_needs_signing_keys_and_logs_json() {
    let missing = fault(Flags::default(), "", &[]);
    assert_eq!((missing.key.as_str(), missing.origin), ("auth.signing_keys", None));
    assert!(
        missing.fix.contains("LOQUENT_AUTH__SIGNING_KEYS") && missing.fix.contains("--dev"),
        "{}",
        missing.fix
    );
    let keys = format!("main:{KEY}");
    let config = loaded(Flags::default(), "", &[("LOQUENT_AUTH__SIGNING_KEYS", &keys)]);
    assert_eq!(config.log.format, LogFormat::Json);
}

#[test]
fn commands_that_serve_nobody_need_no_keys() {
    let flags = Flags { purpose: Purpose::Maintain, ..Flags::default() };
    assert!(loaded(flags, "", &[]).auth.signing_keys.is_empty());
}

#[test]
fn a_runner_needs_a_database_of_others_and_no_keys() {
    let runner = || Flags { purpose: Purpose::Run, ..Flags::default() };
    let missing = fault(runner(), "", &[]);
    assert_eq!((missing.key.as_str(), missing.origin), ("database.url", None));
    assert!(missing.fix.contains("DATABASE_URL"), "{}", missing.fix);
    let config = loaded(runner(), "", &[("DATABASE_URL", "postgres://a@localhost/b")]);
    assert!(config.auth.signing_keys.is_empty() && config.database.url.is_some());
}

#[test]
fn without_a_home_the_directories_must_be_set() {
    let homeless = |env: &[(&str, &str)]| {
        loquent::config::Config::load(loquent::config::Sources {
            directories: None,
            ..super::sources(dev(), "", env)
        })
    };
    let faults = homeless(&[]).expect_err("no directories").0;
    let fixes: Vec<_> = faults.iter().map(|fault| fault.fix.as_str()).collect();
    assert_eq!(fixes, ["set LOQUENT_DATA_DIR", "set LOQUENT_CACHE_DIR"]);
    let config = homeless(&[("LOQUENT_DATA_DIR", "/d"), ("LOQUENT_CACHE_DIR", "/c")]).expect("set now");
    assert_eq!(config.database.data_dir.to_str(), Some("/d"));
}
