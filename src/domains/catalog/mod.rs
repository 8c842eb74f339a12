//! What is on offer: plans, features, models and their prices, and the bounds of all of it.
//!
//! The catalogue is data: an operator writes it as TOML ([`read`]) and applies it ([`apply`]); it is stored with versions
//! and dates and read into memory, and every process follows a change within two seconds. A model without a price cannot
//! be called. The code knows meters, windows and features, never the name of a plan.
//!
//! - A version of a plan is one row that never changes. Who has it keeps it; an unchanged plan keeps its row.
//! - A price that has been in force stays in the book; another one begins beside it, now or on its date.
//! - All faults of a file are named at once, and a file with a fault changes nothing.

mod apply;
mod book;
mod content;
mod currency;
mod diff;
mod echo;
mod file;
pub mod graphql;
mod limits;
mod model;
mod plan;
mod presets;
mod prices;
mod repo;
mod service;
mod snapshot;
mod upgrades;

pub use apply::{Applied, Mode, apply};
pub use content::{CatalogContent, Feature, FeatureContent, ModelContent};
pub use diff::{Change, Kind, diff};
use echo::echo;
pub use file::{FileFaults, Source, read};
pub use limits::{Anchor, Ceilings, Limit, Meter, Rates, Rollover, Scope, Window};
pub use model::{CatalogRow, Model, Version};
pub use plan::{Interval, Plan, PlanContent, PlanPrice};
pub use presets::Preset;
pub use prices::{PriceList, PriceUnit, Prices, UnitPrice};
pub use repo::{find_newest, list_versions};
pub use service::{Catalog, served_models};
