use loquent::config::{Config, Flags};
use secrecy::ExposeSecret;

use super::{KEY, dev, fault, faults, load, loaded};

const CANARY: &str = "canary7Hq2xVw9Zk4LmTp8RsNd3";

fn keys(text: &str) -> Result<Config, loquent::config::ConfigFaults> {
    load(Flags::default(), "", &[("LOQUENT_AUTH__SIGNING_KEYS", text)])
}

#[test]
fn secrets_show_in_no_debug_output() {
    let key = format!("main:{CANARY}{KEY}");
    let url = format!("postgres://loquent:{CANARY}@db/loquent");
    let file = "[providers.openai]\n";
    let env =
        [("LOQUENT_AUTH__SIGNING_KEYS", key.as_str()), ("DATABASE_URL", &url), ("OPENAI_API_KEY", CANARY)];
    let config = loaded(Flags::default(), file, &env);
    let exposed = config.providers["openai"].api_key.as_ref().map(|secret| secret.expose_secret().to_owned());
    assert_eq!(exposed.as_deref(), Some(CANARY), "the canary is in there");
    for shown in [format!("{config:?}"), format!("{config:#?}")] {
        assert!(!shown.contains(CANARY), "{shown}");
        assert!(shown.to_lowercase().contains("[redacted]"), "{shown}");
    }
}

#[test]
fn no_value_shows_in_a_fault_whichever_key_held_it() {
    let keys = "host port public_url allowed_origins trusted_proxies drain_seconds allow_remote_dev";
    let mut file = String::from("unknown = \"CANARY\"\ndefault_model = \"CANARY\"\n[server]\n");
    for key in keys.split(' ') {
        file += &format!("{key} = \"CANARY\"\n");
    }
    file += "[database]\nurl = \"CANARY\"\ndownload = \"CANARY\"\nnpm_registry = \"https://u:CANARY@npm.test/\"\n";
    file += "[auth]\nsigning_keys = [\"CANARY\"]\naccess_minutes = \"CANARY\"\n";
    file += "[log]\nformat = \"CANARY\"\nfilter = \"loquent=CANARY\"\n";
    file +=
        "[providers.a]\nkind = \"CANARY\"\nbase_url = \"https://h.test/?CANARY\"\napi_key_env = \"CANARY\"\n";
    file += "[plan]\ncredits = \"CANARY\"\n[providers.a.models.m]\nprices.input = \"CANARY\"\n";
    let file = file.replace("CANARY", CANARY);
    let env = [("LOQUENT_UNKNOWN", CANARY), ("LOQUENT_STREAMS__FLUSH_MS", CANARY)];
    let found = load(Flags::default(), &file, &env).expect_err("all of it is wrong");
    assert_eq!(found.0.len(), 21, "{found}");
    assert!(!format!("{found} {found:?} {found:#?}").contains(CANARY), "{found}");
}

#[test]
fn no_line_of_a_broken_file_is_quoted() {
    for line in [
        "url = \"CANARY",
        "url = CANARY",
        "url = 'CANARY' CANARY",
        "url = \"\\CANARY\"",
        "url = 1CANARY",
        "url = \"a\nCANARY\"",
        "CANARY",
        "[CANARY",
        "a = \"CANARY\"\na = \"CANARY\"",
        "a = [\"CANARY\"",
        "a = { b = \"CANARY\" c",
    ] {
        let line = line.replace("CANARY", CANARY);
        let found = load(dev(), &format!("[database]\n{line}\n"), &[]).expect_err(&line);
        assert!(!format!("{found} {found:?}").contains(CANARY), "{found}");
    }
}

#[test]
fn weak_signing_keys_stop_production_and_not_development() {
    let table = [
        ("a:short", "key 1 is shorter than 32 bytes"),
        ("a:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "key 1 repeats a few characters"),
        ("a:changeme-changeme-changeme-changeme", "key 1 is a known example"),
        ("a:replace-me-with-the-output-of-openssl-rand-base64-48", "key 1 is a known example"),
    ];
    for (keys, why) in table {
        let env = [("LOQUENT_AUTH__SIGNING_KEYS", keys)];
        let found = fault(Flags::default(), "", &env);
        assert_eq!((found.key.as_str(), found.why.as_str()), ("auth.signing_keys", why));
        loaded(dev(), "", &env);
    }
    let second = format!("a:{KEY},b:short");
    assert!(keys(&second).expect_err("a weak second key").0[0].why.starts_with("key 2"));
}

#[test]
fn the_first_key_signs_and_the_order_is_kept() {
    let text = format!(" new:{KEY} , old:{KEY}x:y\n");
    let ring = keys(&text).expect("a good ring").auth.signing_keys;
    let ring: Vec<_> =
        ring.iter().map(|key| (key.kid.as_str(), key.secret.expose_secret().to_owned())).collect();
    assert_eq!(ring, [("new", KEY.to_owned()), ("old", format!("{KEY}x:y"))]);
    let list = format!("[auth]\nsigning_keys = [\"new:{KEY}\", \"old:{KEY}\"]");
    assert_eq!(loaded(Flags::default(), &list, &[]).auth.signing_keys.len(), 2);
}

#[test]
fn malformed_key_rings_are_refused_everywhere() {
    for text in [KEY, ":x", "kid:", "k d:x", "a:x,,b:y", "a:x,", "a:x,a:y"] {
        assert_eq!(
            fault(dev(), "", &[("LOQUENT_AUTH__SIGNING_KEYS", text)]).key,
            "auth.signing_keys",
            "{text}"
        );
    }
    assert_eq!(faults(dev(), "[auth]\nsigning_keys = []", &[]).len(), 1);
}
