//! The roots: one line a domain.

use async_graphql::{MergedObject, MergedSubscription, SchemaBuilder};

use super::{guard, node::NodeQuery};
use crate::domains::{accounts, catalog, conversations, credits, generations, settings, subscriptions};

/// Reads. Root fields run side by side and one that fails leaves the others intact.
#[derive(Default, MergedObject)]
pub struct Query(
    NodeQuery,
    accounts::graphql::AccountsQuery,
    catalog::graphql::CatalogQuery,
    conversations::graphql::ConversationsQuery,
    generations::graphql::GenerationsQuery,
    settings::graphql::SettingsQuery,
);

/// Writes. Root fields run one after the other, each whole or not at all.
#[derive(Default, MergedObject)]
pub struct Mutation(
    accounts::graphql::AccountsMutation,
    credits::graphql::CreditsMutation,
    subscriptions::graphql::SubscriptionsMutation,
    conversations::graphql::ConversationsMutation,
    generations::graphql::GenerationsMutation,
);

/// Streams, over `graphql-transport-ws` or server-sent events; never a side effect, so a lost one is simply opened again.
#[derive(Default, MergedSubscription)]
pub struct Subscription(
    credits::graphql::CreditsSubscription,
    conversations::graphql::ConversationsSubscription,
    generations::graphql::GenerationsSubscription,
);

pub type Schema = async_graphql::Schema<Query, Mutation, Subscription>;

/// The schema without [`Rules`](super::extension::Rules) and the handles of a running process: enough to print it.
pub fn schema_builder() -> SchemaBuilder<Query, Mutation, Subscription> {
    // Depth and size are the document guard's. This limit cannot be left out, and the engine's own default is below the
    // guard's: the same number, so that the guard refuses first.
    async_graphql::Schema::build(Query::default(), Mutation::default(), Subscription::default())
        .register_output_type::<credits::graphql::PaidPayload>()
        .limit_recursive_depth(guard::Limits::default().nesting)
        .disable_suggestions()
}

/// The schema in its definition language, as `schema.graphql` has it.
pub fn sdl() -> String {
    let options = async_graphql::SDLExportOptions::new()
        .include_specified_by()
        .prefer_single_line_descriptions()
        .use_space_ident();
    let sdl = schema_builder().finish().sdl_with_options(options);
    format!("{}\n", sdl.trim_end())
}
