//! The lists of pages that may call and of proxies that are believed.

use super::{dev, fault, loaded};

fn allowed(list: &str) -> Vec<String> {
    loaded(dev(), &format!("[server]\nallowed_origins = {list}"), &[]).server.allowed_origins
}

fn trusted(list: &str) -> Vec<String> {
    let networks = loaded(dev(), &format!("[server]\ntrusted_proxies = {list}"), &[]).server.trusted_proxies;
    networks.iter().map(ToString::to_string).collect()
}

#[test]
fn origins_are_taken_as_browsers_write_them() {
    let list = [
        "https://app.example.com",
        "http://localhost:5173",
        "http://[::1]:3000",
        "https://xn--bcher-kva.example",
    ];
    assert_eq!(allowed(&format!("{list:?}")), list);
    assert!(allowed("[]").is_empty());
    let config =
        loaded(dev(), "", &[("LOQUENT_SERVER__ALLOWED_ORIGINS", "https://a.test, https://b.test:8443")]);
    assert_eq!(config.server.allowed_origins, ["https://a.test", "https://b.test:8443"]);
}

#[test]
fn what_is_no_exact_origin_is_refused_and_the_fault_says_what_to_write() {
    for (origin, why) in [
        ("*", "wildcard"),
        ("https://*.example.com", "wildcard"),
        ("null", "null"),
        ("app.example.com", "no origin"),
        ("app.example.com:3000", "neither"),
        ("file:///page.html", "neither"),
        ("chrome-extension://abc", "neither"),
        ("https://user@app.example.com", "user name"),
        ("https://app.example.com/", "goes on"),
        ("https://app.example.com/chat", "goes on"),
        ("https://app.example.com?x", "goes on"),
        ("https://app.example.com#x", "goes on"),
        ("https://App.example.com", "browsers send"),
        ("HTTPS://app.example.com", "browsers send"),
        ("https://app.example.com:443", "browsers send"),
        ("http://app.example.com:80", "browsers send"),
        ("https://b\u{fc}cher.example", "browsers send"),
        ("http://127.1:3000", "browsers send"),
        ("", "no origin"),
    ] {
        let file = format!("[server]\nallowed_origins = [\"https://fine.example\", \"{origin}\"]");
        let fault = fault(dev(), &file, &[]);
        assert_eq!(fault.key, "server.allowed_origins", "{origin}");
        assert!(fault.why.starts_with("entry 2 ") && fault.why.contains(why), "{origin}: {}", fault.why);
        assert!(fault.fix.contains("https://app.example.com"), "{origin}: {}", fault.fix);
    }
}

#[test]
fn every_wrong_entry_of_a_list_is_named() {
    let file = "[server]\nallowed_origins = [\"*\", \"https://fine.example\", \"https://app.example.com/\"]";
    let why = fault(dev(), file, &[]).why;
    assert!(why.starts_with("entry 1 is a wildcard") && why.contains("; entry 3 goes on"), "{why}");
    let file = "[server]\ntrusted_proxies = [\"10.0.0.0/33\", \"::1\", \"localhost\"]";
    assert_eq!(
        fault(dev(), file, &[]).why,
        "entry 1 is no address and no network; entry 3 is no address and no network"
    );
}

#[test]
fn proxies_are_addresses_and_networks() {
    let list = "[\"10.1.2.3/8\", \"192.0.2.7\", \"::1\", \"2001:db8::/32\", \"::ffff:192.0.2.9\"]";
    let expected = ["10.0.0.0/8", "192.0.2.7/32", "::1/128", "2001:db8::/32", "192.0.2.9/32"];
    assert_eq!(trusted(list), expected);
    assert!(trusted("[]").is_empty());
}

#[test]
fn a_proxy_that_could_be_anybody_is_refused() {
    for (entry, why) in [
        ("0.0.0.0/0", "every address"),
        ("::/0", "every address"),
        ("proxy.internal", "no address"),
        ("10.0.0.0/33", "no address"),
        ("*", "no address"),
        ("", "no address"),
    ] {
        let fault = fault(dev(), &format!("[server]\ntrusted_proxies = [\"::1\", \"{entry}\"]"), &[]);
        assert_eq!(fault.key, "server.trusted_proxies", "{entry}");
        assert!(fault.why.starts_with("entry 2 ") && fault.why.contains(why), "{entry}: {}", fault.why);
    }
}
