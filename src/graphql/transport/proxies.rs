//! Where a client is when proxies stand before this server. The one header that is read is `X-Forwarded-For`, and only
//! as far as proxies that are trusted have written it: what stands further left, the client wrote itself.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// More proxies in a row than anybody has; a longer list is not walked to its end.
const MAX_STEPS: usize = 20;

/// The networks of the proxies that are believed; none by default.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    /// Somebody else has spoken like a proxy; clones know it together.
    has_met_stranger: Arc<AtomicBool>,
}

impl TrustedProxies {
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self { networks, ..Self::default() }
    }

    /// The address of the client behind `peer`, the other end of the connection: the first that is no trusted proxy,
    /// walking from `peer` through the header from its right. Where the header ends or makes no sense, the last address
    /// that did.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let lines = headers.get_all(FORWARDED_FOR).iter().rev();
        // Bytes that are no text hide what was between them: nothing behind them is believed.
        let entries = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
        for entry in entries.take(MAX_STEPS) {
            if !self.has(client) {
                break;
            }
            let Some(address) = address(entry.trim()) else { break };
            client = address;
        }
        client
    }

    /// True once in a process: when somebody speaks like a proxy and is none that is trusted. It may well be one that
    /// was forgotten, and then all its clients are one.
    pub fn is_first_stranger(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        let is_stranger = headers.contains_key(FORWARDED_FOR) && !self.has(peer);
        is_stranger && !self.has_met_stranger.swap(true, Ordering::Relaxed)
    }

    /// True for the address of a trusted proxy, which speaks for many clients.
    pub fn has(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address.to_canonical()))
    }
}

/// An address; some proxies add the port, and brackets to version 6.
fn address(entry: &str) -> Option<IpAddr> {
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    let address = bare.parse().or_else(|_| entry.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn client(peer: &str, lines: &[&str]) -> String {
        let networks = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
        let headers = lines.iter().map(|line| (FORWARDED_FOR, line.parse().unwrap())).collect();
        TrustedProxies::new(networks.to_vec()).client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn the_client_is_the_right_most_address_that_is_no_trusted_proxy() {
        for (peer, lines, expected) in [
            (PROXY, &[][..], PROXY),
            (PROXY, &["203.0.113.7"], "203.0.113.7"),
            ("::ffff:10.0.0.1", &["203.0.113.7"], "203.0.113.7"),
            ("fd00::1", &["2001:db8::7"], "2001:db8::7"),
            (PROXY, &["203.0.113.7, 10.0.0.2,10.0.0.3"], "203.0.113.7"),
            (PROXY, &["203.0.113.7", "10.0.0.2"], "203.0.113.7"),
            (PROXY, &["10.0.0.9, 10.0.0.2"], "10.0.0.9"),
            (PROXY, &["203.0.113.7:4711"], "203.0.113.7"),
            (PROXY, &["[2001:db8::7]:4711"], "2001:db8::7"),
            (PROXY, &["[2001:db8::7]"], "2001:db8::7"),
            (PROXY, &["::ffff:203.0.113.7"], "203.0.113.7"),
        ] {
            assert_eq!(client(peer, lines), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn nobody_can_claim_to_be_elsewhere() {
        for (peer, lines, expected) in [
            ("203.0.113.7", &["127.0.0.1"][..], "203.0.113.7"),
            ("203.0.113.7", &["127.0.0.1, 10.0.0.2"], "203.0.113.7"),
            ("192.0.2.1", &["10.0.0.1"], "192.0.2.1"),
            (PROXY, &["127.0.0.1, 203.0.113.7"], "203.0.113.7"),
            (PROXY, &["127.0.0.1", "203.0.113.7"], "203.0.113.7"),
            (PROXY, &["127.0.0.1, 203.0.113.7, 10.0.0.2"], "203.0.113.7"),
        ] {
            assert_eq!(client(peer, lines), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn what_makes_no_sense_ends_the_walk() {
        for line in [
            "unknown",
            "_hidden",
            "",
            "203.0.113.7;x",
            "203.0.113.256",
            "for=203.0.113.7",
            "203.0.113.7 203.0.113.8",
        ] {
            assert_eq!(client(PROXY, &[line]), PROXY, "{line}");
            assert_eq!(client(PROXY, &[&format!("203.0.113.7, {line}, 10.0.0.2")]), "10.0.0.2", "{line}");
            assert_eq!(client(PROXY, &["203.0.113.7", line, "10.0.0.2"]), "10.0.0.2", "{line}");
        }
        assert_eq!(client(PROXY, &["203.0.113.7, \u{e9}, 10.0.0.2"]), PROXY);
    }

    #[test]
    fn a_long_list_is_not_walked_to_its_end() {
        let list = |proxies: usize| format!("203.0.113.7{}", ", 10.0.0.2".repeat(proxies));
        assert_eq!(client(PROXY, &[&list(MAX_STEPS - 1)]), "203.0.113.7");
        assert_eq!(client(PROXY, &[&list(MAX_STEPS)]), "10.0.0.2");
        assert_eq!(client(PROXY, &[&list(2000)]), "10.0.0.2");
    }

    #[test]
    fn only_the_first_stranger_is_news() {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let forwarded = [(FORWARDED_FOR, "203.0.113.7".parse().unwrap())].into_iter().collect();
        let (proxy, stranger) = (PROXY.parse().unwrap(), "192.0.2.1".parse().unwrap());
        assert!(!proxies.is_first_stranger(proxy, &forwarded));
        assert!(!proxies.is_first_stranger(stranger, &HeaderMap::new()));
        assert!(proxies.clone().is_first_stranger(stranger, &forwarded));
        assert!(!proxies.is_first_stranger(stranger, &forwarded));
    }

    #[test]
    fn by_default_nobody_is_believed() {
        let headers = [(FORWARDED_FOR, "203.0.113.7".parse().unwrap())].into_iter().collect();
        let peer = [127, 0, 0, 1].into();
        assert_eq!(TrustedProxies::default().client(peer, &headers), peer);
    }
}
