//! People: joining, and proving to be somebody by a password.

use diesel_async::{AsyncConnection, AsyncPgConnection};
use email_address::EmailAddress;
use secrecy::SecretString;
use uuid::Uuid;

use super::{Accounts, Origin, SignedIn};
use crate::{
    domains::accounts::{
        model::{AccountRow, Membership, UserRole, UserRow},
        passwords::Passwords,
        repo,
    },
    error::{AppError, ErrorCode, Result},
    platform::ids::{Id, new_uuid},
};

/// What a person gives to join.
pub struct NewUser {
    pub email: String,
    pub password: SecretString,
    pub name: Option<String>,
}

impl Accounts {
    /// Creates a person with a personal account and signs in. `CONFLICT` for a known address: without verification by
    /// mail, signing up cannot hide that it exists. `FORBIDDEN` while the operator has closed the door.
    pub async fn sign_up(&self, new: NewUser, origin: Origin) -> Result<SignedIn> {
        if !self.settings.current().is_sign_up_open {
            return Err(AppError::new(
                ErrorCode::RoleForbids,
                "Nobody can join by themselves at the moment.",
            ));
        }
        self.attempts.sign_up(&origin).await?;
        let user_id = self.create_user(new).await?;
        let this = self.clone();
        self.tasks.run(async move { this.create_session(user_id, origin).await }).await
    }

    /// Creates a person with a personal account, without a session; returns the id.
    pub async fn create_user(&self, new: NewUser) -> Result<Uuid> {
        self.tasks.require_running()?;
        let email = normalize_email(&new.email)?;
        let name = match &new.name {
            Some(name) => require_name(name)?,
            None => email.split('@').next().unwrap_or_default().chars().take(80).collect(),
        };
        Passwords::require_strong(&new.password, &[&email, &name])?;
        let password_hash = self.passwords.hash(new.password).await?;
        let this = self.clone();
        self.tasks.run(async move { this.insert_user(email, name, password_hash).await }).await
    }

    async fn insert_user(&self, email: String, name: String, password_hash: String) -> Result<Uuid> {
        let now = self.clock.now();
        let id = new_uuid(&self.clock);
        let user = UserRow {
            id,
            email,
            name: name.clone(),
            password_hash,
            role: "user".to_owned(),
            status: "active".to_owned(),
            created_at: now,
        };
        let account = AccountRow { id, kind: "personal".to_owned(), name, created_at: now };
        let owner = Membership { account_id: id, user_id: id, role: "owner".to_owned() };
        let mut conn = self.db.conn().await?;
        conn.transaction(async |conn| {
            if !repo::insert_user(conn, &user).await? {
                return Err(AppError::new(
                    ErrorCode::Conflict,
                    "Somebody has already joined with this address.",
                )
                .at("email"));
            }
            repo::insert_account(conn, &account, &owner).await?;
            self.on_new_account.account_created_in_tx(conn, id, id).await
        })
        .await?;
        Ok(id)
    }

    /// Signs in with a password. `INVALID_CREDENTIALS` whether the address or the password is wrong.
    pub async fn sign_in(&self, email: &str, password: SecretString, origin: Origin) -> Result<SignedIn> {
        self.tasks.require_running()?;
        let attempt = self.attempts.sign_in(&origin, email).await?;
        let Some(user) = self.find_by_password(email, password).await? else {
            return Err(AppError::new(ErrorCode::InvalidCredentials, "E-mail or password is wrong."));
        };
        attempt.was_right().await;
        if user.status != "active" {
            return Err(AppError::new(
                ErrorCode::Suspended,
                "This person may not use the platform at the moment.",
            ));
        }
        let this = self.clone();
        self.tasks.run(async move { this.create_session(user.id, origin).await }).await
    }

    /// Takes as long for an unknown address as for a wrong password.
    async fn find_by_password(&self, email: &str, password: SecretString) -> Result<Option<UserRow>> {
        let user = match normalize_email(email) {
            Ok(email) => {
                let mut conn = self.db.conn().await?;
                repo::find_user_by_email_unscoped(&mut conn, &email).await?
            }
            Err(_) => None,
        };
        let hash = user.as_ref().map(|user| user.password_hash.clone());
        let fits = self.passwords.verify(password, hash).await?;
        Ok(user.filter(|_| fits))
    }

    /// True when somebody has this address and this password.
    pub async fn is_password_of(&self, email: &str, password: SecretString) -> Result<bool> {
        Ok(self.find_by_password(email, password).await?.is_some())
    }

    /// True when nobody has joined yet.
    pub async fn is_empty(&self) -> Result<bool> {
        let mut conn = self.db.conn().await?;
        Ok(repo::count_users_unscoped(&mut conn).await? == 0)
    }
}

/// The account that is meant by an id, or by the e-mail address of the owner of a personal one; for commands.
pub async fn find_account(conn: &mut AsyncPgConnection, words: &str) -> Result<Uuid> {
    let id = match Id::<AccountRow>::parse(words) {
        Ok(id) => repo::find_account_unscoped(conn, id.0).await?,
        Err(_) => {
            let user = repo::find_user_by_email_unscoped(conn, &normalize_email(words)?).await?;
            user.map(|user| user.id)
        }
    };
    id.ok_or_else(|| AppError::not_found("accountId", "account"))
}

/// Who owns an account; for commands, which read in the name of that person.
pub async fn find_owner(conn: &mut AsyncPgConnection, account_id: Uuid) -> Result<Uuid> {
    let owner = repo::find_owner_unscoped(conn, account_id).await?;
    owner.ok_or_else(|| AppError::not_found("accountId", "account"))
}

/// Gives a person other rights on the platform; for commands.
pub async fn set_role(conn: &mut AsyncPgConnection, email: &str, role: UserRole) -> Result<()> {
    let is_known = repo::update_role_unscoped(conn, &normalize_email(email)?, role).await?;
    is_known.then_some(()).ok_or_else(|| AppError::not_found("email", "person"))
}

/// Addresses are compared without regard to case (RFC 5321 allows a difference that no mail host makes).
fn normalize_email(email: &str) -> Result<String> {
    let email = email.trim().to_lowercase();
    let is_valid = EmailAddress::is_valid(&email) && email.len() <= 254 && !email.contains('\0');
    is_valid.then_some(email).ok_or_else(|| AppError::invalid("email", "This is not an e-mail address."))
}

fn require_name(name: &str) -> Result<String> {
    let name = name.trim();
    if !(1..=80).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(AppError::invalid("name", "A name has 1 to 80 characters on one line."));
    }
    Ok(name.to_owned())
}
