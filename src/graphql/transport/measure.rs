//! What is counted of an operation. Its name is chosen by the client, so only so many names become labels.

use std::{
    collections::HashSet,
    sync::{PoisonError, RwLock},
};

use async_graphql::{Response, Value};
use tokio::time::Instant;

use crate::{
    error::ErrorCode,
    graphql::guard::OperationKind,
    platform::metrics::{Held, names},
};

/// Different names that are counted apart; what comes later is `other`.
const MAX_NAMES: usize = 200;
const MAX_NAME_BYTES: usize = 64;

/// The names that are labels in this process: the first ones that came.
#[derive(Default)]
pub struct OperationNames(RwLock<HashSet<String>>);

impl OperationNames {
    /// The label of a name.
    pub fn label(&self, name: Option<&str>) -> String {
        let Some(name) = name else { return "anonymous".to_owned() };
        if !is_name(name) {
            return "other".to_owned();
        }
        if self.0.read().unwrap_or_else(PoisonError::into_inner).contains(name) {
            return name.to_owned();
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_NAMES && !known.contains(name) {
            return "other".to_owned();
        }
        known.insert(name.to_owned());
        name.to_owned()
    }
}

/// A name of GraphQL that is not too long.
fn is_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.len() <= MAX_NAME_BYTES
        && name.bytes().all(is_part)
        && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

/// Counts an operation that was refused before anything of it was admitted: its name and kind are not known.
pub fn count_refusal(code: ErrorCode) {
    names::OPERATIONS.add(["unknown".into(), "unknown".into(), code.as_str().into()], 1);
}

/// An admitted operation. It is counted once, when this is dropped: as canceled unless an outcome was noted.
pub struct Measured {
    name: String,
    kind: OperationKind,
    started: Instant,
    code: Option<String>,
    _subscription: Option<Held>,
}

impl Measured {
    /// Begins the time of an operation; `name` is its label.
    pub fn begin(name: String, kind: OperationKind) -> Self {
        let is_subscription = kind == OperationKind::Subscription;
        let subscription = is_subscription.then(|| names::SUBSCRIPTIONS.hold([]));
        Self { name, kind, started: Instant::now(), code: None, _subscription: subscription }
    }

    /// Notes an answer of the engine; the first error of all answers counts.
    pub fn note(&mut self, response: &Response) {
        let error = response.errors.first().map(|error| {
            let code = error.extensions.as_ref().and_then(|extensions| extensions.get("code"));
            match code {
                Some(Value::String(code)) => code.clone(),
                _ => ErrorCode::Internal.as_str().to_owned(),
            }
        });
        if let Some(code) = error {
            self.note_code(code);
        }
    }

    /// Notes a failure.
    pub fn fail(&mut self, code: ErrorCode) {
        self.note_code(code.as_str().to_owned());
    }

    /// Notes that it came to its end: without an error before, it went well.
    pub fn complete(&mut self) {
        self.note_code("OK".to_owned());
    }

    fn note_code(&mut self, code: String) {
        self.code.get_or_insert(code);
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        let code = self.code.take().unwrap_or_else(|| "CANCELED".to_owned());
        let kind = self.kind.as_str();
        names::OPERATIONS.add([std::mem::take(&mut self.name).into(), kind.into(), code.into()], 1);
        names::OPERATION_SECONDS.observe([kind.into()], self.started.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_clients_are_labels_only_up_to_a_bound() {
        let names = OperationNames::default();
        assert_eq!(names.label(None), "anonymous");
        for wrong in ["", "1a", "a b", "a\"b", "ä", &"a".repeat(65)] {
            assert_eq!(names.label(Some(wrong)), "other", "{wrong}");
        }
        for n in 0..300 {
            let name = format!("Op{n}");
            let label = names.label(Some(&name));
            assert_eq!(label, if n < MAX_NAMES { name.as_str() } else { "other" });
        }
        assert_eq!(names.label(Some("Op0")), "Op0");
    }
}
