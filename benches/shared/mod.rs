//! What the benchmarks share.

use std::path::Path;

use loquent::platform::postgres::{embedded, migrate};

/// A cluster of its own below `home`, as durable as one in use, with a migrated database named `bench`.
pub async fn database(home: &Path) -> embedded::Cluster {
    let options = embedded::Options {
        search_path: std::env::var_os("PATH"),
        data_dir: home.join("data"),
        cache_dir: home.join("cache"),
        is_download_allowed: true,
        ..embedded::Options::default()
    };
    let cluster = embedded::start(&options).await.unwrap();
    cluster.ensure_database("bench").await.unwrap();
    migrate::up(&cluster.url("bench")).await.unwrap();
    cluster
}
