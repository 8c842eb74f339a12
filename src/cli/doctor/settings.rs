//! What the configuration says by itself. That it can be read at all was decided before: what cannot is named in full
//! and ends the command with 78.

use super::Finding;
use crate::config::Config;

pub(super) fn check(config: &Config) -> Vec<Finding> {
    vec![keys(config), public_url(config), metrics_token(config), mail()]
}

fn keys(config: &Config) -> Finding {
    let keys = &config.auth.signing_keys;
    match (keys.len(), config.is_dev) {
        (0, true) => Finding::ok("signing keys", "development makes its own"),
        (0, false) => Finding::fail(
            "signing keys",
            "auth.signing_keys is not set, so a server will not start",
            "set LOQUENT_AUTH__SIGNING_KEYS=\"main:$(openssl rand -base64 48 | tr -d '\\n')\", or try --dev",
        ),
        (count, true) => Finding::ok("signing keys", format!("{count} set; development accepts weak ones")),
        (count, false) => {
            Finding::ok("signing keys", format!("{count} of 32 bytes or more, none a known example"))
        }
    }
}

fn public_url(config: &Config) -> Finding {
    let what = "public address";
    match &config.server.public_url {
        _ if config.is_dev => Finding::ok(what, "not needed in development"),
        None => Finding::warn(
            what,
            "server.public_url is not set; behind a proxy that changes Host, browsers cannot open sockets",
            "set it to the address that clients use",
        ),
        Some(url) if url.scheme() != "https" => Finding::warn(
            what,
            format!("{url} is not encrypted: tokens and conversations can be read on the way"),
            "put a proxy with TLS before the server and name its https address",
        ),
        Some(url) if config.server.trusted_proxies.is_empty() => Finding::warn(
            what,
            format!(
                "{url} is encrypted by a proxy, and server.trusted_proxies is empty: all clients share its one \
                 address and the limits of it"
            ),
            "name the addresses of the proxy in server.trusted_proxies",
        ),
        Some(url) => Finding::ok(what, url.as_str()),
    }
}

fn metrics_token(config: &Config) -> Finding {
    let what = "metrics";
    match &config.server.metrics_token {
        _ if config.is_dev => Finding::ok(what, "open in development"),
        None => Finding::warn(
            what,
            "server.metrics_token is not set, so nobody can read /metrics and the details of /health",
            "set LOQUENT_SERVER__METRICS_TOKEN=\"$(openssl rand -hex 24)\"",
        ),
        Some(_) => Finding::ok(what, "for who has the token"),
    }
}

fn mail() -> Finding {
    Finding::warn(
        "mail",
        "e-mail addresses are not verified: this version sends no mail",
        "trust no address that a person has given",
    )
}
