//! The document guard, from outside: what passes, what is refused, and that neither costs more than its bytes.

mod corpus;
mod engine;
mod engine_work;
mod everywhere;
mod generated;
mod grammar;
mod limits;
mod memory;
mod names_and_uses;
mod transports;
mod variables;
mod work;

use loquent::graphql::guard::{Limits, Passed, Refusal, check};

fn guard(document: &str) -> Result<Passed, Refusal> {
    check(document, None, &Limits::default())
}
