//! Ids: a version 7 uuid (RFC 9562) with the type of what it names. Clients see the TypeID form,
//! `msg_01k9…`: a prefix and 26 characters of Crockford base32.

use std::{fmt, hash::Hash, marker::PhantomData};

use type_safe_id::{DynamicType, TypeSafeId};
use uuid::{ContextV7, Timestamp, Uuid};

use super::clock::Clock;

/// What an id names.
pub trait Entity: 'static {
    /// Unique prefix of the written form.
    const PREFIX: &'static str;
}

/// Id of one kind of thing.
pub struct Id<E>(pub Uuid, PhantomData<fn() -> E>);

impl<E> Id<E> {
    pub fn new(uuid: Uuid) -> Self {
        Self(uuid, PhantomData)
    }
}

impl<E: Entity> Id<E> {
    /// Reads the written form; `Err` says in a sentence what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parsed: Result<TypeSafeId<DynamicType>, _> = text.parse();
        match parsed {
            Ok(id) if id.type_prefix() == E::PREFIX => Ok(Self::new(id.uuid())),
            _ => Err(format!("Expected an id that begins with `{}_`, followed by 26 characters.", E::PREFIX)),
        }
    }
}

impl<E: Entity> fmt::Display for Id<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DynamicType::new(E::PREFIX) {
            Ok(prefix) => write!(f, "{}", TypeSafeId::from_type_and_uuid(prefix, self.0)),
            Err(_) => write!(f, "{}_{}", E::PREFIX, self.0),
        }
    }
}

impl<E> fmt::Debug for Id<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<E> Clone for Id<E> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<E> Copy for Id<E> {}
impl<E> PartialEq for Id<E> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<E> Eq for Id<E> {}
impl<E> Hash for Id<E> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<E> From<Uuid> for Id<E> {
    fn from(uuid: Uuid) -> Self {
        Self::new(uuid)
    }
}

/// Prefix and uuid of the written form of any id; `None` when it is not one.
pub fn parse_any(text: &str) -> Option<(String, Uuid)> {
    let id: TypeSafeId<DynamicType> = text.parse().ok()?;
    Some((id.type_prefix().to_owned(), id.uuid()))
}

static CONTEXT: std::sync::Mutex<ContextV7> = std::sync::Mutex::new(ContextV7::new());

/// A new id. Ids of one process grow strictly, also within a millisecond, so a child sorts after its parent.
pub fn new_uuid(clock: &Clock) -> Uuid {
    let now = clock.now();
    let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
    let context = CONTEXT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    Uuid::new_v7(Timestamp::from_unix(&*context, seconds, now.timestamp_subsec_nanos()))
}
