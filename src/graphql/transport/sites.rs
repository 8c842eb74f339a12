//! The names of this server, and whose pages may call it. One list decides over both ways in: what the CORS layer tells
//! a browser, and who may open a socket, for which a browser asks nobody.
//!
//! Origins are compared byte for byte with what browsers send; nothing is matched by its end, its beginning or a
//! pattern. `null` is nobody's.

use std::{collections::BTreeSet, net::IpAddr};

use axum::http::{HeaderMap, HeaderValue, header};
use url::{Host, Url};

use crate::config;

/// The names of this server, and of those that may call it from a browser.
#[derive(Debug, Clone, Default)]
pub struct Sites {
    /// True while only this machine is served: a request that means another name comes from a page that let its own name
    /// point here (DNS rebinding), and is refused.
    pub is_loopback_only: bool,
    /// True when browsers know this server by https only.
    pub is_https: bool,
    /// Whose pages may call.
    pub origins: Origins,
}

impl Sites {
    /// What the configuration says.
    pub fn of(config: &config::Config) -> Self {
        let server = &config.server;
        Self {
            is_loopback_only: config.is_dev && !server.is_non_loopback_allowed_in_dev,
            is_https: server.public_url.as_ref().is_some_and(|url| url.scheme() == "https"),
            origins: Origins::of(config),
        }
    }
}

/// The origins that are let in.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    /// As browsers write them.
    listed: BTreeSet<String>,
    /// Scheme by which browsers know this server, where the configuration says it.
    scheme: Option<String>,
    /// Whether pages that this machine itself serves are let in, on whichever port.
    is_loopback_allowed: bool,
}

impl Origins {
    /// Those of the configuration: its list, the public address, and under `--dev` every port of this machine, because
    /// there a frontend is developed on another port.
    pub fn of(config: &config::Config) -> Self {
        let server = &config.server;
        let own = server.public_url.iter().map(|url| url.origin().ascii_serialization());
        Self {
            listed: server.allowed_origins.iter().cloned().chain(own).collect(),
            scheme: server.public_url.as_ref().map(|url| url.scheme().to_owned()),
            is_loopback_allowed: config.is_dev,
        }
    }

    /// True for an origin that may read answers.
    pub fn has(&self, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else { return false };
        self.listed.contains(origin) || (self.is_loopback_allowed && is_loopback(origin))
    }

    /// True unless a page of a site that is not let in asks. A browser sends `Origin` with every socket and never forges
    /// it; callers without it are no browsers. A page of the very host that it calls is let in without a list.
    pub fn may_open_socket(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => true,
            (Some(origin), None) => self.has(origin) || self.is_of_host(origin, headers),
            (Some(_), Some(_)) => false,
        }
    }

    /// True for the host that is called, by the public scheme if that is known: a proxy may speak https for us.
    fn is_of_host(&self, origin: &HeaderValue, headers: &HeaderMap) -> bool {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        let (Some(host), Some((scheme, authority))) = (host, origin) else { return false };
        let is_scheme = match &self.scheme {
            Some(own) => scheme == own,
            None => matches!(scheme, "http" | "https"),
        };
        is_scheme && !host.is_empty() && authority.eq_ignore_ascii_case(host)
    }
}

/// True for a page from this machine, whichever port serves it.
fn is_loopback(origin: &str) -> bool {
    let Ok(url) = Url::parse(origin) else { return false };
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => is_loopback_domain(name),
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    };
    // Whatever the parser forgave or cut off, no browser sends.
    is_loopback && matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == origin
}

/// True when `Host` is a name of this machine alone, or missing.
pub fn is_loopback_name(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else { return true };
    let Ok(host) = host.to_str() else { return false };
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let is_address = name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    is_address || is_loopback_domain(&name.to_ascii_lowercase())
}

/// True for names that every system resolves to itself (RFC 6761), in lower case.
fn is_loopback_domain(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(listed: &[&str], scheme: Option<&str>, is_loopback_allowed: bool) -> Origins {
        Origins {
            listed: listed.iter().map(|origin| (*origin).to_owned()).collect(),
            scheme: scheme.map(str::to_owned),
            is_loopback_allowed,
        }
    }

    fn headers(host: &str, origin: &str) -> HeaderMap {
        [(header::HOST, host), (header::ORIGIN, origin)]
            .map(|(name, value)| (name, value.parse().unwrap()))
            .into_iter()
            .collect()
    }

    #[test]
    fn under_development_every_port_of_this_machine_is_let_in_and_no_other_machine() {
        let origins = origins(&[], None, true);
        let has = |origin: &str| origins.has(&origin.parse().unwrap());
        for origin in [
            "http://localhost:5173",
            "http://localhost",
            "https://localhost:3001",
            "http://127.0.0.1:8080",
            "http://127.9.9.9:1",
            "http://[::1]:5173",
            "http://app.localhost:5173",
        ] {
            assert!(has(origin), "{origin}");
        }
        for origin in [
            "null",
            "http://localhost.evil.example:5173",
            "http://127.0.0.1.evil.example",
            "http://evil.example",
            "http://10.0.0.1:5173",
            "http://192.168.1.7:5173",
            "http://[::2]:5173",
            "http://0.0.0.0:5173",
            "http://localhost:5173/",
            "http://localhost:5173@evil.example",
            "http://evil@localhost:5173",
            "http://LOCALHOST:5173",
            "http://127.1:5173",
            "file://localhost",
            "ws://localhost:5173",
        ] {
            assert!(!has(origin), "{origin}");
        }
    }

    #[test]
    fn a_socket_is_for_callers_without_origin_for_listed_pages_and_for_pages_of_the_same_host() {
        let host = "api.example.com:3000";
        let origins = origins(&["https://app.example.com"], None, false);
        let may = |origin: &str| origins.may_open_socket(&headers(host, origin));
        assert!(origins.may_open_socket(&HeaderMap::new()));
        for origin in
            ["https://app.example.com", "https://api.example.com:3000", "http://API.example.com:3000"]
        {
            assert!(may(origin), "{origin}");
        }
        for origin in [
            "",
            "null",
            "https://",
            "https://api.example.com",
            "https://evil.example",
            "https://api.example.com:3000.evil.example",
            "https://api.example.com:3000/",
            "file://api.example.com:3000",
        ] {
            assert!(!may(origin), "{origin}");
        }
        let mut twice = headers(host, "https://app.example.com");
        twice.append(header::ORIGIN, "https://app.example.com".parse().unwrap());
        assert!(!origins.may_open_socket(&twice));
        assert!(!origins.may_open_socket(&headers("", "https://")));
    }

    #[test]
    fn a_public_scheme_binds_the_pages_of_the_same_host() {
        let origins = origins(&["https://api.example.com"], Some("https"), false);
        let may = |origin: &str| origins.may_open_socket(&headers("api.example.com", origin));
        assert!(may("https://api.example.com"));
        assert!(!may("http://api.example.com"));
    }

    #[test]
    fn only_names_of_this_machine_are_loopback_names() {
        let is_loopback = |host: &'static str| {
            is_loopback_name(&[(header::HOST, host.parse().unwrap())].into_iter().collect())
        };
        for host in
            ["localhost:3000", "127.0.0.1:3000", "127.0.0.1", "[::1]:3000", "app.localhost:80", "LOCALHOST"]
        {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["evil.example:3000", "localhost.evil.example", "10.0.0.1", "127.0.0.1.evil.example", ""]
        {
            assert!(!is_loopback(host), "{host}");
        }
        assert!(is_loopback_name(&HeaderMap::new()));
    }
}
