//! Any bytes are a document, and any bytes are variables: the guard neither panics nor works more than its promise of
//! 50 steps for each byte, and the engine reads what passes as the guard has read it.
#![no_main]

#[path = "../../src/graphql/guard/mod.rs"]
#[allow(dead_code, unused_imports)]
mod guard;

use async_graphql_parser::types::{DocumentOperations, OperationType};
use guard::{Limits, OperationKind, check, check_variables};
use libfuzzer_sys::fuzz_target;

const STEPS_PER_BYTE: u64 = 50;
const STEPS_FOR_NOTHING: u64 = 16;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    check_as_document(&text, &Limits::default());
    check_as_document(&text, &later_stages());
    if let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes) {
        let steps = check_variables(&value, 1, &Limits::default()).unwrap_or_else(|refusal| refusal.steps);
        // Each step is a value, and a value has a byte at least.
        assert!(steps <= bytes.len() as u64, "{steps} steps for variables of {} bytes", bytes.len());
    }
});

/// Limits that let the later stages of the guard see more.
fn later_stages() -> Limits {
    Limits { aliases: 10_000, conflicts: u64::MAX, root_fields: 10_000, fragments: 5_000, ..Limits::default() }
}

fn check_as_document(text: &str, limits: &Limits) {
    let allowed = STEPS_PER_BYTE * text.len() as u64 + STEPS_FOR_NOTHING;
    match check(text, None, limits) {
        Err(refusal) => {
            assert!(refusal.steps <= allowed, "{} steps for {} bytes", refusal.steps, text.len());
            assert!(!refusal.message.is_empty() && refusal.measured.is_some() == refusal.maximum.is_some());
        }
        Ok(passed) => {
            assert!(passed.steps <= allowed, "{} steps for {} bytes", passed.steps, text.len());
            assert!(passed.root_fields.len() <= limits.root_fields);
            agree(text, passed.operation);
        }
    }
}

/// The engine may refuse more, but what it reads is the same operation.
fn agree(text: &str, kind: OperationKind) {
    let Ok(document) = async_graphql_parser::parse_query(text) else { return };
    let read = match &document.operations {
        DocumentOperations::Single(operation) => operation.node.ty,
        DocumentOperations::Multiple(operations) => {
            assert_eq!(operations.len(), 1, "several operations, and no name");
            operations.values().next().map(|operation| operation.node.ty).unwrap()
        }
    };
    let expected = match kind {
        OperationKind::Query => OperationType::Query,
        OperationKind::Mutation => OperationType::Mutation,
        OperationKind::Subscription => OperationType::Subscription,
    };
    assert_eq!(read, expected);
}
