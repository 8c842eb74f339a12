//! Inputs of signing up, in and out.

use async_graphql::InputObject;

use crate::graphql::scalars::EmailAddress;

/// Person who joins with a password.
#[derive(InputObject)]
pub struct SignUpInput {
    /// Address that becomes the sign-in name.
    pub email: EmailAddress,
    /// 8 to 128 characters; common and leaked passwords are refused.
    #[graphql(secret)]
    pub password: String,
    /// Name shown to others; the part of the address before `@` when absent.
    pub name: Option<String>,
}

/// Sign-in with a password.
#[derive(InputObject)]
pub struct SignInInput {
    /// Address given at sign-up.
    pub email: EmailAddress,
    /// Password.
    #[graphql(secret)]
    pub password: String,
}

/// Renewal of the tokens of a session.
#[derive(InputObject)]
pub struct RefreshSessionInput {
    /// Refresh token; absent when it travels as a cookie.
    #[graphql(secret)]
    pub refresh_token: Option<String>,
}

/// End of the current session.
#[derive(InputObject)]
pub struct SignOutInput {
    /// True ends every session of the person.
    #[graphql(default = false)]
    pub everywhere: bool,
}
