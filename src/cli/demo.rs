//! The demo user of `--dev`: one with a random password, only where nobody has joined yet. The password is kept in the
//! data directory, so that it is the same after a restart.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::Rng;

use crate::{
    domains::accounts::{Accounts, NewUser},
    error::ErrorCode,
    graphql::graphiql::DemoUser,
};

const EMAIL: &str = "demo@example.com";
const FILE: &str = "demo-user-password";

/// The demo user of this database; `None` when it has people of its own and none of them is the demo user.
pub async fn find_or_create(accounts: &Accounts, data_dir: &Path) -> anyhow::Result<Option<DemoUser>> {
    let path = data_dir.join(FILE);
    if accounts.is_empty().await? {
        let password = random_password();
        let new = NewUser {
            email: EMAIL.to_owned(),
            password: password.clone().into(),
            name: Some("Demo".to_owned()),
        };
        match accounts.create_user(new).await {
            Ok(_) => write_password(&path, &password)?,
            // Another process that begins over this database was faster, and has the password.
            Err(error) if error.code() == ErrorCode::Conflict => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        return Ok(Some(DemoUser { email: EMAIL.to_owned(), password }));
    }
    let Ok(password) = std::fs::read_to_string(&path) else { return Ok(None) };
    let password = password.trim().to_owned();
    // Another database than the one the file was made for has another user, or none.
    let is_known = accounts.is_password_of(EMAIL, password.clone().into()).await?;
    Ok(is_known.then(|| DemoUser { email: EMAIL.to_owned(), password }))
}

fn random_password() -> String {
    let mut bytes = [0_u8; 12];
    rand::rng().fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn write_password(path: &PathBuf, password: &str) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(password.as_bytes())?;
    file.sync_all()
}
