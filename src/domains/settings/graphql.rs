//! Settings in the API.

use async_graphql::{Context, Object, Result, SimpleObject};

use crate::{
    domains::settings::{self, Settings},
    graphql::{
        ContextExt,
        access::{AccessLevel, Declared, access},
        scalars::{DateTime, Json},
    },
};

/// Setting of the platform.
#[derive(SimpleObject)]
pub struct Setting {
    /// Name, such as `chat.default_model`.
    key: &'static str,
    /// Group it is shown in.
    category: &'static str,
    /// Value.
    value: Json,
    /// What it does.
    description: &'static str,
    /// True when everybody may read it.
    is_public: bool,
    /// Last change, or null for the built-in value.
    updated_at: Option<DateTime>,
}

impl From<settings::Setting> for Setting {
    fn from(setting: settings::Setting) -> Self {
        let settings::Setting { definition, value, updated_at } = setting;
        Self {
            key: definition.key,
            category: definition.category,
            value: Json(value),
            description: definition.description,
            is_public: definition.is_public,
            updated_at: updated_at.map(DateTime),
        }
    }
}

#[derive(Default)]
pub struct SettingsQuery;

#[Object(guard = "Declared")]
impl SettingsQuery {
    /// Settings everybody may read, by key.
    #[graphql(directive = access::apply(AccessLevel::Public))]
    async fn settings(&self, ctx: &Context<'_>) -> Result<Vec<Setting>> {
        Ok(ctx.handle::<Settings>().list_public().into_iter().map(Setting::from).collect())
    }
}
