//! The two lists of `[server]` about others: pages that may call, and proxies that are believed. Both are exact: what
//! would open the server to everybody is refused here, so that nothing behind this file has to ask.

use std::net::IpAddr;

use ipnet::IpNet;
use url::Url;

use super::faults::Refusal;

const WRITE_ORIGIN: &str = "write scheme, host and, unless it is the usual one, port, with nothing behind them: \
                            \"https://app.example.com\" or \"http://localhost:5173\"";

const WRITE_NETWORK: &str = "write an address or a network: \"10.0.0.0/8\", \"192.168.1.7\" or \"::1\"";

/// Reads a list of origins. Each is kept only if it is, byte for byte, what a browser sends.
pub(super) fn origins(text: &str) -> Result<Vec<String>, Refusal> {
    entries(text, WRITE_ORIGIN, |entry| match fault_of_origin(entry) {
        None => Ok(entry.to_owned()),
        Some(why) => Err(why),
    })
}

/// Reads a list of networks; an address alone is the network of one.
pub(super) fn networks(text: &str) -> Result<Vec<IpNet>, Refusal> {
    entries(text, WRITE_NETWORK, network)
}

/// Reads a list, which may be empty. A fault names the place of every wrong entry and never the entry.
fn entries<T>(
    text: &str,
    fix: &str,
    read: impl Fn(&str) -> Result<T, &'static str>,
) -> Result<Vec<T>, Refusal> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let (mut entries, mut faults) = (Vec::new(), Vec::new());
    for (position, entry) in text.split(',').enumerate() {
        match read(entry.trim()) {
            Ok(entry) => entries.push(entry),
            Err(why) => faults.push(format!("entry {} {why}", position + 1)),
        }
    }
    if faults.is_empty() { Ok(entries) } else { Err(Refusal::new(faults.join("; "), fix)) }
}

fn fault_of_origin(text: &str) -> Option<&'static str> {
    if text.contains('*') {
        return Some("is a wildcard: pages of any site could call");
    }
    if text.eq_ignore_ascii_case("null") {
        return Some("is null, which a page of any site can make itself");
    }
    let Ok(url) = Url::parse(text) else { return Some("is no origin of a web page") };
    if !matches!(url.scheme(), "http" | "https") {
        return Some("is neither http nor https");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Some("holds a user name or a password");
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() || text.ends_with('/') {
        return Some("goes on after the host: with a slash, a path or a query");
    }
    let is_as_sent = url.origin().ascii_serialization() == text;
    (!is_as_sent).then_some(
        "is not what browsers send: lower case, without the usual port, a name of other letters as xn--",
    )
}

fn network(text: &str) -> Result<IpNet, &'static str> {
    let address = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    let network = address.or_else(|_| text.parse::<IpNet>()).map_err(|_| "is no address and no network")?;
    if network.prefix_len() == 0 {
        return Err("is every address there is: any client could claim any other's");
    }
    Ok(network.trunc())
}
