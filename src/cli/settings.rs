//! `loquent settings`

use anyhow::bail;

use super::{Verdict, args::Settings as Action, database::Database, say};
use crate::{
    app,
    config::Config,
    domains::settings::{Setting, Settings},
    error::AppError,
    platform::postgres::{
        Db,
        listen::{self, Channel},
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
    let settings = Settings::new(db.clone(), app::built_in_settings(config));
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

/// Lets the processes look at once. Without it they look within a second.
async fn hint(config: &Config, db: &Db) {
    if !config.database.is_notifying {
        return;
    }
    let sent =
        async { Ok::<_, AppError>(listen::send_once(&mut *db.conn().await?, Channel::Control).await?) };
    if let Err(error) = sent.await {
        tracing::debug!(error = error.chain(), "no hint was sent");
    }
}

fn show(setting: &Setting) {
    let Setting { definition, value, updated_at } = setting;
    let since = match updated_at {
        Some(at) => format!("set {}", at.format("%Y-%m-%d %H:%M:%SZ")),
        None => "built in".to_owned(),
    };
    let reader = if definition.is_public { "public" } else { "private" };
    say(format_args!("{} = {value}  ({since}, {reader})\n    {}", definition.key, definition.description));
}
