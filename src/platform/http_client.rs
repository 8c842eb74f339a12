//! The one place that builds a client for outgoing HTTP, so that no call leaves without limits.
//!
//! Every client of model calls:
//! - connects within a limit and keeps few idle connections. How long an answer may take is the limit of the call,
//!   not of the client, because a stream of tokens and a webhook differ by minutes;
//! - follows no redirect: a key must never travel to a host that an operator did not name;
//! - repeats nothing by itself: a model call that is sent twice is paid for twice;
//! - ignores `HTTP_PROXY` and its kin: only the configuration decides where we connect, and loopback stays loopback;
//! - asks for no compression, so that a small answer cannot unpack into a large one;
//! - verifies certificates against those of the operating system (rustls with aws-lc-rs), without a way around it.

use std::time::Duration;

/// Time to resolve a name, connect and finish the TLS handshake, unless the caller has a reason to differ.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Idle connections kept for each host.
const MAX_IDLE_PER_HOST: usize = 32;

/// After this long unused a connection is closed. Shorter than the 60 s after which common load balancers drop one
/// without saying so.
const IDLE_LIMIT: Duration = Duration::from_secs(50);

/// A client that gives up connecting after `connect_limit`. Clones of it share one pool of connections.
///
/// # Errors
/// When TLS cannot be set up, which in practice means that the system has no CA certificates.
pub fn build(connect_limit: Duration) -> Result<reqwest::Client, reqwest::Error> {
    usual(connect_limit).build()
}

fn usual(connect_limit: Duration) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("loquent/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(connect_limit)
        .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
        .pool_idle_timeout(IDLE_LIMIT)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .no_proxy()
}

/// A client whose requests may become sockets: as [`build`], and over HTTP/1.1, which alone has upgrades.
///
/// # Errors
/// As [`build`].
pub fn for_upgrades() -> Result<reqwest::Client, reqwest::Error> {
    usual(CONNECT_LIMIT).http1_only().build()
}

/// A client for one download of a large public file whose checksum is known: it may follow redirects and use the proxy
/// of the environment, and is patient as long as bytes arrive.
///
/// # Errors
/// As [`build`].
pub fn for_downloads() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .user_agent(concat!("loquent/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(10))
        .read_timeout(Duration::from_secs(30))
        .timeout(Duration::from_secs(15 * 60))
        .build()
}
