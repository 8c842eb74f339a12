//! Any object by its id, as the Relay specification of global object identification has it. An id that is malformed,
//! unknown or not for this caller reads as null, and all three look alike.

use async_graphql::{Context, ID, Object, PathSegment, Result};
use futures_util::future::join_all;

use super::{
    Account, ContextExt, Conversation, CreditAdjustment, CreditGrant, Generation, LedgerEntry, Message,
    Model, Plan, Session, User,
    access::{AccessLevel, Declared, access},
    errors::raise,
    pagination::bad_input,
    types::Node,
};
use crate::{
    domains::{
        accounts::{AccountRow, SessionRow, UserRow},
        catalog::{self, Catalog},
        conversations::{ConversationRow, MessageRow},
        credits::{CreditAdjustmentRow, GrantRow, LedgerEntryRow},
        generations::GenerationRow,
    },
    error::AppError,
    platform::ids::{Entity, parse_any},
};

const MAX_IDS: usize = 100;

#[derive(Default)]
pub struct NodeQuery;

#[Object(guard = "Declared")]
impl NodeQuery {
    /// Any object by its id, or null when unknown or not visible to the caller.
    #[graphql(directive = access::apply(AccessLevel::Public))]
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Id of any type.")] id: ID,
    ) -> Result<Option<Node>> {
        find(ctx, &id).await.map_err(raise)
    }

    /// Objects in the order of their ids, null where unknown or not visible.
    #[graphql(directive = access::apply(AccessLevel::Public))]
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Ids of any types, at most 100.")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Node>>> {
        if ids.len() > MAX_IDS {
            return Err(bad_input(format!("`ids` has at most {MAX_IDS} items.")));
        }
        // Side by side, so that ids of one type are one statement.
        let found = join_all(ids.iter().map(|id| find(ctx, id))).await;
        let nodes = found.into_iter().enumerate();
        Ok(nodes.map(|(at, node)| node.unwrap_or_else(|error| failed(ctx, at, error))).collect())
    }
}

/// Null with its error beside it: an object that fails leaves the others intact.
fn failed(ctx: &Context<'_>, at: usize, error: AppError) -> Option<Node> {
    let mut error = ctx.set_error_path(raise(error).into_server_error(ctx.item.pos));
    error.path.push(PathSegment::Index(at));
    ctx.add_error(error);
    None
}

async fn find(ctx: &Context<'_>, id: &str) -> Result<Option<Node>, AppError> {
    let Some((prefix, id)) = parse_any(id) else { return Ok(None) };
    let (loaders, catalog) = (ctx.loaders(), ctx.handle::<Catalog>());
    Ok(match prefix.as_str() {
        UserRow::PREFIX => loaders.users.load_one(id).await?.map(|row| User(row).into()),
        SessionRow::PREFIX => loaders.sessions.load_one(id).await?.map(|row| Session(row).into()),
        AccountRow::PREFIX => loaders.accounts.load_one(id).await?.map(|row| Account::from(row).into()),
        CreditAdjustmentRow::PREFIX => {
            loaders.adjustments.load_one(id).await?.map(|row| CreditAdjustment(row).into())
        }
        GrantRow::PREFIX => loaders.grants.load_one(id).await?.map(|row| CreditGrant(row).into()),
        LedgerEntryRow::PREFIX => {
            loaders.ledger_entries.load_one(id).await?.map(|row| LedgerEntry(row).into())
        }
        ConversationRow::PREFIX => {
            loaders.conversations.load_one(id).await?.map(|row| Conversation(row).into())
        }
        MessageRow::PREFIX => loaders.messages.load_one(id).await?.map(|row| Message::of_row(row).into()),
        GenerationRow::PREFIX => {
            loaders.generations.load_one(id).await?.map(|row| Generation::of_row(row).into())
        }
        catalog::Plan::PREFIX => catalog.plan(id).map(|plan| Plan(plan).into()),
        catalog::Model::PREFIX => {
            let model = catalog.models().into_iter().find(|model| model.id == id);
            model.map(|model| Model(model).into())
        }
        _ => None,
    })
}
