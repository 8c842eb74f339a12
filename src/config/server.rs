//! `[server]` and `[log]`: where the process listens and what it writes about itself.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use secrecy::SecretString;
use url::Url;

use super::{
    faults::Refusal,
    peers,
    reader::{Reader, filled},
    secrets::is_example,
};
use crate::platform::telemetry::{self, LogFormat};

/// Shortest token of operators.
const MIN_TOKEN_BYTES: usize = 16;

/// `[server]`
#[derive(Debug, Clone)]
pub struct Server {
    /// Address to listen on.
    pub host: IpAddr,
    /// Port to listen on; 0 lets the system choose.
    pub port: u16,
    /// Address by which clients reach this server, for links and origin checks; never taken from a request.
    pub public_url: Option<Url>,
    /// Origins whose pages may call besides the server's own, as browsers write them: scheme, host, and port unless it
    /// is the usual one.
    pub allowed_origins: Vec<String>,
    /// Networks of the proxies whose word on the address of a client is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// `allow_remote_dev`: lets `--dev` listen beyond this machine.
    pub is_non_loopback_allowed_in_dev: bool,
    /// How long running work may go on after the signal to stop; the process ends within 45 s in any case.
    pub drain_seconds: u64,
    /// How long the process, after that signal, says that it is not ready and still takes requests, so that balancers
    /// look elsewhere before connections are refused. Part of `drain_seconds`.
    pub ready_grace_seconds: u64,
    /// Lets its holder read metrics and the details of health; without it nobody can, outside development.
    pub metrics_token: Option<SecretString>,
}

impl Server {
    pub(super) fn read(reader: &mut Reader, is_dev: bool) -> Self {
        let mut section = reader.section(&["server"]);
        let server = Self {
            host: section.parsed("host", address).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            port: section.whole("port", 3000, 0..=u16::MAX),
            public_url: section.parsed("public_url", web_url),
            allowed_origins: section.parsed("allowed_origins", peers::origins).unwrap_or_default(),
            trusted_proxies: section.parsed("trusted_proxies", peers::networks).unwrap_or_default(),
            is_non_loopback_allowed_in_dev: section.switch("allow_remote_dev", false),
            drain_seconds: section.whole("drain_seconds", 30, 0..=30),
            ready_grace_seconds: section.whole("ready_grace_seconds", if is_dev { 0 } else { 3 }, 0..=20),
            metrics_token: section.parsed("metrics_token", metrics_token),
        };
        if is_dev && !server.host.is_loopback() && !server.is_non_loopback_allowed_in_dev {
            section.refuse(
                "host",
                Refusal::new(
                    "would open --dev, which accepts weak secrets, to other machines",
                    "listen on 127.0.0.1, or add --allow-remote-dev if that is what you want",
                ),
            );
        }
        server
    }
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub format: LogFormat,
    /// `color`: whether text on a terminal may be coloured.
    pub is_colored: bool,
    /// Directives of `tracing_subscriber::EnvFilter`.
    pub filter: String,
}

impl Log {
    pub(super) fn read(reader: &mut Reader, is_dev: bool) -> Self {
        let mut section = reader.section(&["log"]);
        let usual = if is_dev { LogFormat::Text } else { LogFormat::Json };
        Self {
            format: section.parsed("format", format).unwrap_or(usual),
            is_colored: section.switch("color", true),
            filter: section.parsed("filter", filter).unwrap_or_else(|| telemetry::QUIET.to_owned()),
        }
    }
}

/// Long enough that nobody guesses it, and no copy of an example.
fn metrics_token(text: &str) -> Result<SecretString, Refusal> {
    let refuse = |why| Err(Refusal::new(why, "set it to the output of: openssl rand -hex 24"));
    match text {
        _ if text.len() < MIN_TOKEN_BYTES => refuse("is shorter than 16 characters"),
        _ if !text.bytes().all(|byte| byte.is_ascii_graphic()) => refuse("cannot be sent in a header"),
        _ if is_example(text) => refuse("is a known example"),
        _ => Ok(SecretString::from(text)),
    }
}

fn address(text: &str) -> Result<IpAddr, Refusal> {
    text.parse()
        .map_err(|_| Refusal::new("is not an IP address", "set it to an address such as 127.0.0.1 or ::"))
}

fn format(text: &str) -> Result<LogFormat, Refusal> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(Refusal::new("is not a log format", "set it to \"text\" or \"json\"")),
    }
}

fn filter(text: &str) -> Result<String, Refusal> {
    let text = filled(text)?;
    if telemetry::is_filter(&text) {
        Ok(text)
    } else {
        Err(Refusal::new("is not a log filter", format!("set it to directives such as {}", telemetry::QUIET)))
    }
}

/// A web address that carries nothing else: no credentials, which would show wherever the address does.
pub(super) fn web_url(text: &str) -> Result<Url, Refusal> {
    let refuse = |why| Refusal::new(why, "set it to an address such as https://example.org/path");
    let url = Url::parse(text).map_err(|_| refuse("is not a web address"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse("is neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("holds a user name or a password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("holds a query or a fragment"));
    }
    Ok(url)
}
