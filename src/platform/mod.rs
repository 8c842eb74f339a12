//! What every feature stands on: time, ids, the database, tasks. No domain words here.

pub mod clock;
pub mod http_client;
pub mod ids;
pub mod metrics;
pub mod places;
pub mod postgres;
pub mod replica;
pub mod request;
pub mod tasks;
pub mod telemetry;
