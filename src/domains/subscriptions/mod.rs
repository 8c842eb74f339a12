//! Subscriptions: which plan an account has, which period it is in, and what each period grants.
//!
//! Every account has one from its first day, and keeps the version of its plan until the period ends. A period is a month
//! from the anchor of the subscription. Whoever looks at one that is due brings it up to date: what is over expires, a rest
//! is carried over as the plan says, the period is granted under its own key, and the newest version of the plan takes
//! over, in one transaction. So a refill shows on the first read, and a job that comes every hour does it for those at whom
//! nobody looks. Everything here may be repeated, by any number of processes at once; it happens once.
//!
//! The row of the subscription is locked first, then wallets by meter.

pub mod graphql;
mod included;
pub mod loaders;
mod model;
mod periods;
mod renewal;
mod repo;
mod service;

pub use model::{InForce, Payer, SubscriptionRow, When};
pub use periods::Period;
pub use service::{Parts, Request, Subscriptions};
