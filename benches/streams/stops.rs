//! How long it takes from the wish to stop to the closed connection of the provider.

use std::time::{Duration, Instant};

use crate::{
    clients::Client,
    provider::{Order, Provider},
    server::Server,
};

/// Stops answers of `runner` by a socket of `asked`, half of them while the provider is silent. How long each took.
pub async fn measure(
    provider: &Provider,
    token: &str,
    (runner, asked): (&Server, &Server),
    ids: std::ops::Range<u64>,
) -> Vec<Duration> {
    let mut canceller = Client::connect(asked.address, token).await;
    let mut took = Vec::new();
    for id in ids {
        let order = match id % 2 {
            0 => Order { id, ..Order::paced(10_000, 50) },
            _ => Order { id, ..Order::silent() },
        };
        let closing = provider.closing(id);
        let mut watcher = Client::connect(runner.address, token).await;
        watcher.ask(order).await;
        while watcher.tokens().await.expect("it goes on").is_empty() {}
        let since = Instant::now();
        canceller.cancel(&watcher.generation).await;
        took.push(closing.await.unwrap() - since);
    }
    took
}
