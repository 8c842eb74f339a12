//! What the configuration says of the offer, in the words of the domains.

use crate::{config::Config, domains::settings::BuiltIn};

/// What settings are where nobody changed them; `models` are those that can be called.
pub fn built_in_settings(config: &Config, models: Vec<String>) -> BuiltIn {
    BuiltIn { default_model: config.default_model.clone(), models }
}
