//! What is counted of an operation. Its name is chosen by the client, so only so many names become labels, and only
//! those that somebody signed in has used with success: strangers cannot fill the places.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock},
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

/// Code of an operation that went well.
const OK: &str = "OK";

/// The names that are labels in this process: the first ones that earned it.
#[derive(Default)]
pub struct OperationNames(RwLock<HashSet<String>>);

impl OperationNames {
    /// The name of an operation of somebody signed in: it becomes a label if the operation goes well.
    pub fn of_viewer(self: &Arc<Self>, name: Option<&str>) -> Name {
        match self.of_stranger(name) {
            Name::Other => match name.filter(|name| is_name(name)) {
                Some(name) => Name::Candidate(name.to_owned(), Arc::clone(self)),
                None => Name::Other,
            },
            label => label,
        }
    }

    /// The name of an operation of anybody else, which never becomes a label.
    pub fn of_stranger(&self, name: Option<&str>) -> Name {
        match name {
            None => Name::Anonymous,
            Some(name) if self.0.read().unwrap_or_else(PoisonError::into_inner).contains(name) => {
                Name::Known(name.to_owned())
            }
            Some(_) => Name::Other,
        }
    }

    /// Makes a name a label, if there is room.
    fn learn(&self, name: String) -> bool {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_NAMES && !known.contains(&name) {
            return false;
        }
        known.insert(name);
        true
    }
}

/// The name of one operation, on its way to a label.
pub enum Name {
    /// The operation has none.
    Anonymous,
    /// It is a label already.
    Known(String),
    /// It becomes one if the operation goes well.
    Candidate(String, Arc<OperationNames>),
    /// It is none.
    Other,
}

impl Name {
    /// The label, now that it is known how the operation ended.
    fn label(self, code: &str) -> String {
        match self {
            Self::Anonymous => "anonymous".to_owned(),
            Self::Known(name) => name,
            Self::Candidate(name, names) if code == OK && names.learn(name.clone()) => name,
            Self::Candidate(..) | Self::Other => "other".to_owned(),
        }
    }
}

/// A name of GraphQL that is not too long.
fn is_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.len() <= MAX_NAME_BYTES
        && name.bytes().all(is_part)
        && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

/// Counts an operation that was refused before it began: its name and kind are not known.
pub fn count_refusal(code: ErrorCode) {
    names::OPERATIONS.add(["unknown".into(), "unknown".into(), code.as_str().into()], 1);
}

/// An admitted operation. It is counted once, when this is dropped: as canceled unless an outcome was noted.
pub struct Measured {
    name: Name,
    kind: OperationKind,
    started: Instant,
    code: Option<String>,
    _subscription: Option<Held>,
}

impl Measured {
    /// Begins the time of an operation.
    pub fn begin(name: Name, kind: OperationKind) -> Self {
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
        self.note_code(OK.to_owned());
    }

    fn note_code(&mut self, code: String) {
        self.code.get_or_insert(code);
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        let code = self.code.take().unwrap_or_else(|| "CANCELED".to_owned());
        let kind = self.kind.as_str();
        let name = std::mem::replace(&mut self.name, Name::Other).label(&code);
        names::OPERATIONS.add([name.into(), kind.into(), code.into()], 1);
        names::OPERATION_SECONDS.observe([kind.into()], self.started.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(names: &Arc<OperationNames>, name: &str, code: &str) -> String {
        names.of_viewer(Some(name)).label(code)
    }

    #[test]
    fn names_of_clients_are_labels_only_up_to_a_bound() {
        let names = Arc::new(OperationNames::default());
        assert_eq!(names.of_viewer(None).label(OK), "anonymous");
        for wrong in ["", "1a", "a b", "a\"b", "ä", &"a".repeat(65)] {
            assert_eq!(label(&names, wrong, OK), "other", "{wrong}");
        }
        for n in 0..300 {
            let name = format!("Op{n}");
            assert_eq!(label(&names, &name, OK), if n < MAX_NAMES { name.as_str() } else { "other" });
        }
        assert_eq!(label(&names, "Op0", "INTERNAL"), "Op0");
    }

    #[test]
    fn a_name_is_earned_by_somebody_signed_in_whose_operation_went_well() {
        let names = Arc::new(OperationNames::default());
        for n in 0..300 {
            let name = format!("Z{n}");
            assert_eq!(names.of_stranger(Some(&name)).label(OK), "other");
            assert_eq!(label(&names, &name, "GRAPHQL_VALIDATION_FAILED"), "other");
        }
        assert_eq!(label(&names, "Real", OK), "Real");
        assert_eq!(names.of_stranger(Some("Real")).label("UNAUTHENTICATED"), "Real");
    }
}
