//! What `serve` says when it is ready: what to open and what to do next.

use std::{fmt, net::SocketAddr};

use crate::{graphql::graphiql::DemoUser, platform::postgres::embedded::Cluster};

pub struct Banner<'a> {
    pub address: SocketAddr,
    pub is_dev: bool,
    pub cluster: Option<&'a Cluster>,
    pub demo: Option<&'a DemoUser>,
}

impl fmt::Display for Banner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = format!("http://{}", self.address);
        writeln!(f, "Loquent {} is ready.", env!("CARGO_PKG_VERSION"))?;
        writeln!(f)?;
        if self.is_dev {
            writeln!(f, "  GraphiQL   {base}/graphiql")?;
        }
        writeln!(f, "  GraphQL    {base}/graphql   (POST, GET, server-sent events, WebSocket)")?;
        writeln!(f, "  Errors     {base}/docs/errors")?;
        if self.is_dev {
            writeln!(f, "  Metrics    {base}/metrics")?;
        }
        if let Some(demo) = self.demo {
            writeln!(f, "  Demo user  {}   password {}", demo.email, demo.password)?;
        }
        match self.cluster {
            Some(cluster) => {
                writeln!(
                    f,
                    "  Database   PostgreSQL {} in {}",
                    cluster.version().text,
                    cluster.data_dir().display()
                )?;
                writeln!(f, "             {}", cluster.psql_hint())?;
            }
            None => writeln!(f, "  Database   DATABASE_URL")?,
        }
        if self.is_dev {
            writeln!(f)?;
            write!(
                f,
                "Next: open GraphiQL, sign in as the demo user, and walk through the tabs. Ctrl-C stops."
            )?;
        }
        Ok(())
    }
}
