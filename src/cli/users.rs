//! `loquent users set-role`

use super::{
    Verdict,
    args::{Role, Users as Action},
    database::Database,
    say,
};
use crate::{
    config::Config,
    domains::accounts::{self, UserRole},
};

pub async fn run(config: &Config, action: Action) -> anyhow::Result<Verdict> {
    let database = Database::visit(config).await?;
    let result = set_role(&database, action).await;
    database.close().await;
    result
}

async fn set_role(database: &Database, action: Action) -> anyhow::Result<Verdict> {
    let Action::SetRole { email, role } = action;
    let role = match role {
        Role::Admin => UserRole::Admin,
        Role::User => UserRole::User,
    };
    let db = database.pool("users").await?;
    accounts::set_role(&mut *db.conn().await?, &email, role).await?;
    match role {
        UserRole::Admin => say(format_args!("{email} is an administrator")),
        UserRole::User => say(format_args!("{email} is not an administrator")),
    }
    Ok(Verdict::Passed)
}
