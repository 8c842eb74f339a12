//! The one way to connect to PostgreSQL: pools, migrations and commands come through here, so that `sslmode` means the
//! same for all of them.

use std::{net::IpAddr, sync::Arc, time::Duration};

use diesel::{ConnectionError, ConnectionResult};
use diesel_async::AsyncPgConnection;
use tokio_postgres::{Config, NoTls, config::Host};

use super::tls::{self, Tls};

/// Longest wait for each address of the server, unless the URL has a `connect_timeout`.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A connection that rests is asked after so long, and then so many times at this pace, whether the server is there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEPALIVE_RETRIES: u32 = 3;
/// Longest time for the network of the server to confirm that it has what was sent.
const UNACKNOWLEDGED_LIMIT: Duration = Duration::from_secs(10);

/// Where to connect and how to protect it, read from a URL once. Clones share it.
#[derive(Clone)]
pub struct Target {
    config: Arc<Config>,
    tls: Option<Tls>,
}

impl Target {
    /// Reads the URL. The parameters `sslmode` and `sslrootcert` are ours, all others those of the library.
    ///
    /// # Errors
    /// When it is no address of PostgreSQL, asks for something unknown, or the certificates cannot be read. No message
    /// holds the address, which has the password in it.
    pub fn parse(url: &str) -> anyhow::Result<Self> {
        let (address, wishes) = tls::Wishes::take_from(url)?;
        let mut config: Config =
            address.parse().map_err(|error: tokio_postgres::Error| describe(&error, None))?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_LIMIT);
        }
        if config.get_application_name().is_none() {
            config.application_name("loquent");
        }
        notice_silence(&mut config, &address);
        // A socket of this machine is not wrapped, as everywhere with PostgreSQL.
        let is_local = config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
        let tls = if is_local { None } else { Tls::new(wishes)? };
        config.ssl_mode(tls.as_ref().map_or(tokio_postgres::config::SslMode::Disable, Tls::library_mode));
        Ok(Self { config: Arc::new(config), tls })
    }

    /// True when nothing leaves this machine on the way.
    pub fn is_local(&self) -> bool {
        self.config.get_hosts().iter().all(|host| match host {
            Host::Unix(_) => true,
            Host::Tcp(name) => {
                name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
            }
        })
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// With a message that says which side refused what, and without the address.
    pub async fn connect(&self) -> ConnectionResult<AsyncPgConnection> {
        let bad = |error: tokio_postgres::Error| {
            ConnectionError::BadConnection(format!("{:#}", describe(&error, self.tls.as_ref())))
        };
        match &self.tls {
            None => {
                let (client, connection) = self.config.connect(NoTls).await.map_err(bad)?;
                AsyncPgConnection::try_from_client_and_connection(client, connection).await
            }
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.connector()).await.map_err(bad)?;
                AsyncPgConnection::try_from_client_and_connection(client, connection).await
            }
        }
    }
}

/// A network that goes without a word is noticed after about ten seconds, where the URL does not say otherwise. The
/// system alone would wait for hours on a connection that rests, and for a quarter of an hour on one that does not.
fn notice_silence(config: &mut Config, address: &str) {
    // The library cannot tell its default from the same value in the URL.
    if !address.contains("keepalives_idle=") {
        config.keepalives_idle(KEEPALIVE_IDLE);
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_interval(KEEPALIVE_INTERVAL);
    }
    if config.get_keepalives_retries().is_none() {
        config.keepalives_retries(KEEPALIVE_RETRIES);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(UNACKNOWLEDGED_LIMIT);
    }
}

/// Reads the URL and opens one connection.
///
/// # Errors
/// Those of [`Target::parse`] and [`Target::connect`].
pub async fn connect(url: &str) -> anyhow::Result<AsyncPgConnection> {
    Ok(Target::parse(url)?.connect().await?)
}

/// The error with its causes, and what to do where TLS is the cause.
fn describe(error: &tokio_postgres::Error, tls: Option<&Tls>) -> anyhow::Error {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_words = cause.to_string();
        if !words.contains(&cause_words) {
            words = format!("{words}: {cause_words}");
        }
        source = cause.source();
    }
    match tls.and_then(|tls| tls.advice(error, &words)) {
        Some(advice) => anyhow::anyhow!("{words} ({advice})"),
        None => anyhow::anyhow!(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> Arc<Config> {
        Target::parse(url).unwrap().config
    }

    #[test]
    fn silence_of_the_network_is_noticed_where_the_url_says_nothing() {
        let config = config("postgres://somebody@host/name?sslmode=disable");
        assert!(config.get_keepalives());
        assert_eq!(config.get_keepalives_idle(), KEEPALIVE_IDLE);
        assert_eq!(config.get_keepalives_interval(), Some(KEEPALIVE_INTERVAL));
        assert_eq!(config.get_keepalives_retries(), Some(KEEPALIVE_RETRIES));
        assert_eq!(config.get_tcp_user_timeout(), Some(&UNACKNOWLEDGED_LIMIT));
    }

    #[test]
    fn what_the_url_says_of_silence_counts() {
        let config = config(
            "postgres://host/name?keepalives_idle=7200&keepalives_interval=1&keepalives_retries=9&tcp_user_timeout=60",
        );
        assert_eq!(config.get_keepalives_idle(), Duration::from_secs(7200));
        assert_eq!(config.get_keepalives_interval(), Some(Duration::from_secs(1)));
        assert_eq!(config.get_keepalives_retries(), Some(9));
        assert_eq!(config.get_tcp_user_timeout(), Some(&Duration::from_secs(60)));
    }
}
