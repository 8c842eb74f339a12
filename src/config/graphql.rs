//! `[graphql]`: what the API shows of itself.

use super::{faults::Refusal, reader::Reader};

/// `[graphql]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graphql {
    /// Who may read the schema from the server; everyone under `--dev`, else signed-in callers.
    pub introspection: Introspection,
}

/// Who may read the schema from the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Introspection {
    Public,
    Authenticated,
    Off,
}

impl Graphql {
    pub(super) fn read(reader: &mut Reader, is_dev: bool) -> Self {
        let usual = if is_dev { Introspection::Public } else { Introspection::Authenticated };
        let mut section = reader.section(&["graphql"]);
        Self { introspection: section.parsed("introspection", introspection).unwrap_or(usual) }
    }
}

fn introspection(text: &str) -> Result<Introspection, Refusal> {
    match text {
        "public" => Ok(Introspection::Public),
        "authenticated" => Ok(Introspection::Authenticated),
        "off" => Ok(Introspection::Off),
        _ => Err(Refusal::new(
            "does not say who may read the schema",
            "set it to \"public\", \"authenticated\" or \"off\"",
        )),
    }
}
