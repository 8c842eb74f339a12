use loquent::config::Flags;

use super::{dev, fault, faults, load};

#[test]
fn every_fault_is_named_in_one_message() {
    let file = "[server]\nhost = \"localhost\"\nprot = 1\n\n[limits]\nbody_bytes = -1\n\n[database]\nnotify = \"often\"\n";
    let env = [
        ("PORT", "70000"),
        ("LOQUENT_STREAMS__FLUSH_MS", "0"),
        ("LOQUENT_STREAM__LEASE_MS", "9000"),
        ("DATABASE_URL", "mysql://db"),
        ("RUST_LOG", "loquent=loud"),
    ];
    let message = load(Flags::default(), file, &env).expect_err("ten faults").to_string();
    let expected = "\
10 settings must be corrected:

  server.host (loquent.toml line 2): is not an IP address
    fix: set it to an address such as 127.0.0.1 or ::
  server.port (variable PORT): is not a whole number in its range
    fix: set it to a number from 0 to 65535
  database.url (variable DATABASE_URL): is not a PostgreSQL address
    fix: set it to postgres://user:password@host:5432/name, or remove it to use the bundled database
  database.notify (loquent.toml line 9): is neither on nor off
    fix: set it to true or false
  auth.signing_keys (not set): is missing: tokens could not be signed
    fix: set LOQUENT_AUTH__SIGNING_KEYS=\"main:$(openssl rand -base64 48 | tr -d '\\n')\", or add --dev to try Loquent on this machine
  streams.flush_ms (variable LOQUENT_STREAMS__FLUSH_MS): is not a whole number in its range
    fix: set it to a number from 1 to 100
  limits.body_bytes (loquent.toml line 6): is not a whole number in its range
    fix: set it to a number from 1024 to 67108864
  log.filter (variable RUST_LOG): is not a log filter
    fix: set it to directives such as loquent=info,warn
  server.prot (loquent.toml line 3): is no setting
    fix: did you mean server.port?
  LOQUENT_STREAM__LEASE_MS (variable LOQUENT_STREAM__LEASE_MS): is no setting
    fix: did you mean LOQUENT_STREAMS__LEASE_MS?";
    assert_eq!(message, expected);
}

#[test]
fn unknown_keys_of_the_file_get_a_suggestion() {
    let table = [
        ("port = 1", "server.port"),
        ("[servers]\nport = 1", "server.port"),
        ("[limits]\nsocket_per_user = 1", "limits.sockets_per_user"),
        ("[streams]\nlease_seconds = 1", "streams.lease_ms"),
        ("[server.port]\nnumber = 1", "server.port"),
        ("[server]\nallowed_origin = \"https://a.test\"", "server.allowed_origins"),
        ("[server]\ntrusted_proxy = \"::1\"", "server.trusted_proxies"),
        ("defaultmodel = \"echo\"", "default_model"),
    ];
    for (file, expected) in table {
        let fault = fault(dev(), file, &[]);
        assert_eq!(fault.why, "is no setting", "{file}");
        assert_eq!(fault.fix, format!("did you mean {expected}?"), "{file}");
    }
}

#[test]
fn unknown_variables_of_ours_get_a_suggestion_and_others_are_left_alone() {
    let table = [
        ("LOQUENT_SERVER_PORT", "LOQUENT_SERVER__PORT"),
        ("LOQUENT_PORT", "LOQUENT_SERVER__PORT"),
        ("LOQUENT_SERVER__PROT", "LOQUENT_SERVER__PORT"),
        ("LOQUENT_PG_BINS", "LOQUENT_PG_BIN"),
        ("LOQUENT_DATADIR", "LOQUENT_DATA_DIR"),
        ("LOQUENT_AUTH__SIGNING_KEY", "LOQUENT_AUTH__SIGNING_KEYS"),
    ];
    for (name, expected) in table {
        let fault = fault(dev(), "", &[(name, "1")]);
        assert_eq!((fault.key.as_str(), fault.why.as_str()), (name, "is no setting"));
        assert_eq!(fault.fix, format!("did you mean {expected}?"), "{name}");
    }
    assert!(load(dev(), "", &[("LOQUENTIAL", "1"), ("HOST", "x"), ("OPENAI_API_KEY", "sk")]).is_ok());
}

#[test]
fn unlike_anything_there_is_no_suggestion() {
    let fault = fault(dev(), "[zzz]\nqqq = 1", &[]);
    assert!(fault.fix.starts_with("remove it"), "{}", fault.fix);
}

#[test]
fn empty_sections_are_checked_too() {
    assert!(load(dev(), "[server]\n[providers]\n", &[]).is_ok());
    assert_eq!(fault(dev(), "[sever]\n", &[]).key, "sever");
}

#[test]
fn shapes_that_no_setting_has_are_refused() {
    for file in ["[server]\nport = [[1]]", "[server]\nport = [{ a = 1 }]", "[server]\nport = {}"] {
        let fault = fault(dev(), file, &[]);
        assert_eq!(
            (fault.key.as_str(), fault.why.as_str()),
            ("server.port", "is a section or a nested list")
        );
    }
}

#[test]
fn a_file_that_is_not_toml_names_every_bad_line_and_nothing_else() {
    let faults = faults(Flags::default(), "[server]\nport = = 1\n[log]\nfilter = \n", &[("PORT", "x")]);
    let lines: Vec<_> = faults.iter().filter_map(|fault| fault.origin.as_deref()).collect();
    assert!(lines.contains(&"line 2") && lines.contains(&"line 4"), "{faults:?}");
    assert!(faults.iter().all(|fault| fault.key == "loquent.toml"), "{faults:?}");
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    let table = [
        ("[limits]\nping_seconds = 60", "limits.ping_seconds"),
        ("[limits]\nidle_seconds = 20", "limits.ping_seconds"),
        ("[limits]\ndocument_bytes = 1048576\nbody_bytes = 1024", "limits.document_bytes"),
        ("[auth]\nrefresh_days = 31", "auth.refresh_days"),
    ];
    for (file, key) in table {
        assert_eq!(fault(dev(), file, &[]).key, key, "{file}");
    }
}

#[test]
fn parameters_of_the_database_address_are_checked_with_everything_else() {
    for (query, why) in [
        ("sslmode=requierd", "sslmode is one of"),
        ("sslmode=verify-ca", "needs sslrootcert"),
        ("sslmode=verify-full&sslrootcert=/nope.pem", "cannot read the certificates"),
        ("aplication_name=x", "aplication_name"),
        ("connect_timeout=soon", "connect_timeout"),
    ] {
        let url = format!("postgres://u:canary@h/d?{query}");
        let faults = faults(dev(), "[server]\nprot = 1", &[("DATABASE_URL", &url)]);
        assert_eq!(faults.len(), 2, "{query} {faults:?}");
        let fault = &faults[0];
        assert_eq!(
            (fault.key.as_str(), fault.origin.as_deref()),
            ("database.url", Some("variable DATABASE_URL"))
        );
        assert!(fault.why.contains(why) && !fault.why.contains("canary"), "{query}: {}", fault.why);
    }
    assert!(
        load(dev(), "", &[("DATABASE_URL", "postgres://u@h/d?application_name=x&sslmode=require")]).is_ok()
    );
}

#[test]
fn web_addresses_carry_nothing_else() {
    for url in [
        "acme.test",
        "ftp://acme.test",
        "https://u@acme.test",
        "https://:p@acme.test",
        "https://a.test/?k=v",
        "https://a.test/#f",
    ] {
        let file = format!("[server]\npublic_url = \"{url}\"");
        assert_eq!(fault(dev(), &file, &[]).key, "server.public_url", "{url}");
    }
}
