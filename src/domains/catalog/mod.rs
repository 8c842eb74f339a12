//! What is on offer: plans, models and their prices.
//!
//! The catalogue is data: it is given by the operator, stored with dates, and read into memory at the start. A
//! model without a price cannot be called. The code knows what a plan grants, never its name.

pub mod graphql;
mod limits;
mod model;
mod plan;
mod repo;
mod service;

pub use limits::{Anchor, Ceilings, Limit, Meter, Rollover, Scope, Window};
pub use model::{Model, ModelDefinition, PlanDefinition, PlanRow, PriceUnit, Prices};
pub use plan::{Interval, Plan, PlanContent, PlanPrice};
pub use service::Catalog;
