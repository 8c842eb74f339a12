//! Connections: pages by cursor, as the Relay specification defines them. A cursor is opaque and bound to its list.

use std::{collections::HashMap, hash::Hash};

use async_graphql::{Error, SimpleObject};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

use super::errors;
use crate::error::{AppError, ErrorCode};

/// Items on a page when nothing is said, and at most.
pub const DEFAULT_PAGE: i32 = 25;
pub const MAX_PAGE: i32 = 100;

/// Place of one page in a list.
#[derive(Debug, Clone, Default, SimpleObject)]
pub struct PageInfo {
    /// True when items follow the last one of this page.
    pub has_next_page: bool,
    /// True when items precede the first one of this page.
    pub has_previous_page: bool,
    /// Cursor of the first item, or null on an empty page.
    pub start_cursor: Option<String>,
    /// Cursor of the last item, or null on an empty page.
    pub end_cursor: Option<String>,
}

/// A number of items, 1 to 100; 25 when absent.
pub fn page_size(argument: &str, size: Option<i32>) -> Result<usize, Error> {
    let size = size.unwrap_or(DEFAULT_PAGE);
    let size = (1..=MAX_PAGE).contains(&size).then(|| usize::try_from(size).ok()).flatten();
    size.ok_or_else(|| bad_input(format!("`{argument}` is between 1 and {MAX_PAGE}.")))
}

/// A page of the list that one object has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PageKey<P> {
    /// Id of the object.
    pub owner: Uuid,
    /// What the list is asked for; equal for all objects that one field is asked of.
    pub page: P,
}

/// What a loader of pages answers; an empty page may be missing.
pub type Pages<P, V> = Result<HashMap<PageKey<P>, V>, AppError>;

/// The objects that are asked for the same page: one statement each.
pub fn same_pages<P: Clone + Eq + Hash>(keys: &[PageKey<P>]) -> HashMap<P, Vec<Uuid>> {
    let mut owners: HashMap<P, Vec<Uuid>> = HashMap::new();
    for key in keys {
        owners.entry(key.page.clone()).or_default().push(key.owner);
    }
    owners
}

/// Rows that a page of this size asks for: one more than it shows tells whether there are more.
pub fn row_limit(size: usize) -> i64 {
    i64::try_from(size + 1).unwrap_or(i64::MAX)
}

/// Writes the place of an item in the list named `list`.
pub fn encode_cursor(list: &str, place: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{list}:{place}"))
}

/// Reads a cursor of this very list; any other is refused rather than misunderstood.
pub fn decode_cursor<T>(list: &str, cursor: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, Error> {
    let place = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    place
        .as_deref()
        .and_then(|text| text.strip_prefix(list)?.strip_prefix(':'))
        .and_then(read)
        .ok_or_else(|| bad_input("This cursor does not belong to this list.".to_owned()))
}

/// `BAD_USER_INPUT` with this sentence.
pub fn bad_input(message: String) -> Error {
    errors::top_level(&AppError::new(ErrorCode::BadUserInput, message))
}

/// Defines a connection and its edge.
macro_rules! connection {
    ($node:ty, $connection:ident, $edge:ident, $page_doc:literal, $edge_doc:literal, $node_doc:literal) => {
        #[doc = $page_doc]
        #[derive(async_graphql::SimpleObject)]
        pub struct $connection {
            /// Items with their cursors.
            pub edges: Vec<$edge>,
            /// Items alone.
            pub nodes: Vec<$node>,
            /// Place of this page.
            pub page_info: $crate::graphql::pagination::PageInfo,
        }

        #[doc = $edge_doc]
        #[derive(async_graphql::SimpleObject)]
        pub struct $edge {
            #[doc = $node_doc]
            pub node: $node,
            /// Cursor of this item.
            pub cursor: String,
        }

        impl $connection {
            /// A page of items with their cursors.
            pub fn new(items: Vec<($node, String)>, has_previous_page: bool, has_next_page: bool) -> Self {
                let cursor = |item: Option<&($node, String)>| item.map(|(_, cursor)| cursor.clone());
                let page_info = $crate::graphql::pagination::PageInfo {
                    has_next_page,
                    has_previous_page,
                    start_cursor: cursor(items.first()),
                    end_cursor: cursor(items.last()),
                };
                let nodes = items.iter().map(|(node, _)| node.clone()).collect();
                let edges = items.into_iter().map(|(node, cursor)| $edge { node, cursor }).collect();
                Self { edges, nodes, page_info }
            }
        }
    };
}
pub(crate) use connection;
