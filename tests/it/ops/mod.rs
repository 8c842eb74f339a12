//! What an operator has: metrics, health, doctor, TLS to the database.

mod doctor;
mod health;
pub mod metrics;
mod tls;
