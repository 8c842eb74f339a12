//! The document guard, from outside: what passes, what is refused, and that neither costs more than its bytes.

mod engine;
mod generated;
mod grammar;
mod limits;
mod variables;
mod work;

use loquent::graphql::guard::{Limits, Passed, Refusal, check};

fn guard(document: &str) -> Result<Passed, Refusal> {
    check(document, None, &Limits::default())
}
