//! `loquent settings`

use anyhow::bail;

use super::{Verdict, args::Settings as Action, database::Database, hint, instant, say};
use crate::{
    app,
    config::Config,
    domains::{
        catalog,
        settings::{Setting, Settings},
    },
};

pub async fn run(config: &Config, action: Action) -> anyhow::Result<Verdict> {
    let database = Database::visit(config).await?;
    let result = work(config, &database, action).await;
    database.close().await;
    result
}

async fn work(config: &Config, database: &Database, action: Action) -> anyhow::Result<Verdict> {
    let db = database.pool("settings").await?;
    let models = catalog::served_models(&db, &config.providers.keys().cloned().collect()).await?;
    let settings = Settings::new(db.clone(), app::built_in_settings(config, models));
    settings.load().await?;
    match action {
        Action::List => settings.list().iter().for_each(show),
        Action::Get { key } => match settings.list().iter().find(|one| one.definition.key == key) {
            Some(setting) => say(&setting.value),
            None => bail!("there is no setting {key:?}; `loquent settings list` names them"),
        },
        Action::Set { key, value } => {
            settings.set(&key, &value).await?;
            hint(config, &db).await;
            say(format_args!("{key} is set; every process has it within two seconds"));
        }
        Action::Reset { key } => {
            settings.reset(&key).await?;
            hint(config, &db).await;
            say(format_args!("{key} is as built in; every process has it within two seconds"));
        }
    }
    Ok(Verdict::Passed)
}

fn show(setting: &Setting) {
    let Setting { definition, value, updated_at } = setting;
    let since = match updated_at {
        Some(at) => format!("set {}", instant(*at)),
        None => "built in".to_owned(),
    };
    let reader = if definition.is_public { "public" } else { "private" };
    say(format_args!("{} = {value}  ({since}, {reader})\n    {}", definition.key, definition.description));
}
