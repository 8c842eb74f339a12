//! Signing up, in and out.

use async_graphql::{Context, Object, Result};

use super::{
    inputs::{RefreshSessionInput, SignInInput, SignOutInput, SignUpInput},
    types::{AuthPayload, Viewer},
};
use crate::{
    domains::accounts::{Accounts, NewUser, SignedIn},
    error::AppError,
    graphql::{
        ContextExt,
        access::{AccessLevel, Declared, access},
        errors::split,
        payloads::AckPayload,
    },
};

#[derive(Default)]
pub struct AccountsMutation;

#[Object(guard = "Declared")]
impl AccountsMutation {
    /// Creates a person with a personal account and signs in; a known address is refused with CONFLICT as long as no letter can verify it.
    #[graphql(directive = access::apply(AccessLevel::Public))]
    async fn sign_up(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Person who joins.")] input: SignUpInput,
    ) -> Result<AuthPayload> {
        let new = NewUser { email: input.email.0, password: input.password.into(), name: input.name };
        let origin = ctx.caller().origin.clone();
        signed_in(ctx, ctx.handle::<Accounts>().sign_up(new, origin).await)
    }

    /// Starts a session with a password.
    #[graphql(directive = access::apply(AccessLevel::Public))]
    async fn sign_in(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Credentials.")] input: SignInInput,
    ) -> Result<AuthPayload> {
        let origin = ctx.caller().origin.clone();
        let result = ctx.handle::<Accounts>().sign_in(&input.email.0, input.password.into(), origin).await;
        signed_in(ctx, result)
    }

    /// Trades a refresh token for new tokens; the same answer is given to a repeat within ten seconds.
    #[graphql(directive = access::apply(AccessLevel::Public))]
    async fn refresh_session(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Refresh token.")] input: RefreshSessionInput,
    ) -> Result<AuthPayload> {
        let result = match input.refresh_token {
            Some(token) => ctx.handle::<Accounts>().refresh_session(token, &ctx.caller().origin).await,
            None => Err(AppError::invalid("refreshToken", "A refresh token is needed.")),
        };
        signed_in(ctx, result)
    }

    /// Ends the current session and closes its sockets.
    #[graphql(directive = access::apply(AccessLevel::User))]
    async fn sign_out(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Extent.")] input: SignOutInput,
    ) -> Result<AckPayload> {
        let result = ctx.handle::<Accounts>().sign_out(ctx.viewer(), input.everywhere).await;
        Ok(match split(ctx, result)? {
            Ok(()) => AckPayload { is_accepted: true, user_errors: Vec::new() },
            Err(user_errors) => AckPayload { is_accepted: false, user_errors },
        })
    }
}

/// The payload; what it shows is read in the name of who has just signed in.
fn signed_in(ctx: &Context<'_>, result: Result<SignedIn, AppError>) -> Result<AuthPayload> {
    Ok(match split(ctx, result)? {
        Ok(signed_in) => {
            ctx.act_as(signed_in.viewer);
            AuthPayload {
                viewer: Some(Viewer(signed_in.viewer)),
                tokens: Some(signed_in.session.into()),
                user_errors: Vec::new(),
            }
        }
        Err(user_errors) => AuthPayload { viewer: None, tokens: None, user_errors },
    })
}
