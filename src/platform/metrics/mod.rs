//! What the process counts about itself, in the text format of Prometheus.
//!
//! [`names`] is the one list of metrics: what is not declared there cannot be counted, because only the handles of that
//! list reach the library. Labels have few values: nothing that a client or a tenant can choose becomes one, except
//! where the caller bounds it. The recorder is one for the process; without [`install`] counting does nothing.

mod handles;
pub mod names;
mod process;

use std::{sync::OnceLock, time::Duration};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

use super::tasks::every;

pub use handles::{Counter, Description, Gauge, Held, Histogram, Kind};

/// Upper bounds of all histograms, in seconds: from a statement to a long answer.
const BUCKETS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];

/// Observations wait in memory for the next upkeep; under full load this is a few megabytes.
const UPKEEP: Duration = Duration::from_secs(5);

static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Begins counting. Repeating it changes nothing.
pub fn install() {
    handle();
}

/// Everything counted so far. Empty when another library has taken the place of the recorder.
pub fn render() -> String {
    process::sample();
    handle().map(PrometheusHandle::render).unwrap_or_default()
}

/// Sorts what was observed into the buckets until `stop` is cancelled, also when nobody reads.
pub async fn keep_up(stop: CancellationToken) {
    let mut ticks = every(UPKEEP);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        if let Some(handle) = handle() {
            handle.run_upkeep();
        }
    }
}

fn handle() -> Option<&'static PrometheusHandle> {
    let handle = HANDLE.get_or_init(|| {
        let recorder = PrometheusBuilder::new().set_buckets(&BUCKETS).ok()?.build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).ok()?;
        names::ALL.iter().for_each(Description::announce);
        process::start();
        Some(handle)
    });
    handle.as_ref()
}
