//! Automatic persisted queries: a client sends the hash of a document it has sent before, instead of the document.
//!
//! Owns the documents that this process remembers, at most [`CAPACITY`] bytes of them. It saves bytes and protects
//! nothing: a document that is found goes through the guard like one that was sent. Invariants:
//!
//! - a document is found under its own SHA-256 alone;
//! - only what the guard has passed and a signed-in caller has sent is kept, so that nobody without an account can fill
//!   the memory;
//! - what is forgotten costs its sender one more request, never an error that a person sees.

use std::{collections::hash_map::RandomState, sync::Arc};

use axum::http::StatusCode;
use moka::sync::Cache;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{answer::Refusal, request::malformed};
use crate::error::ErrorCode;

/// Bytes of documents, with what it costs to remember each.
const CAPACITY: u64 = 16 * 1024 * 1024;

/// What a short document weighs besides its text: its key, and its place in the cache.
const OVERHEAD: usize = 256;

/// The version of the protocol; there is no other.
const VERSION: u64 = 1;

/// SHA-256 of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DocumentHash([u8; 32]);

impl DocumentHash {
    fn of(document: &str) -> Self {
        Self(Sha256::digest(document).into())
    }

    /// 64 hexadecimal digits.
    fn parse(text: &str) -> Option<Self> {
        let mut hash = [0; 32];
        if text.len() != 2 * hash.len() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for (place, byte) in hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
        }
        Some(Self(hash))
    }
}

/// The documents that this process remembers.
pub struct Documents(Cache<DocumentHash, Arc<str>, RandomState>);

impl Default for Documents {
    fn default() -> Self {
        Self::bounded(CAPACITY)
    }
}

impl Documents {
    fn bounded(bytes: u64) -> Self {
        let weigh = |_: &DocumentHash, document: &Arc<str>| {
            u32::try_from(document.len() + OVERHEAD).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(bytes).weigher(weigh).build())
    }

    /// The document that a request means: the one it brings, which must have the hash that it names, or else the one that
    /// is remembered. With the hash, if one is named, for [`Self::keep`].
    pub fn resolve(
        &self,
        query: Option<String>,
        extensions: &Map<String, Value>,
    ) -> Result<(String, Option<DocumentHash>), Refusal> {
        match (query, named_hash(extensions)?) {
            (Some(query), None) => Ok((query, None)),
            (Some(query), Some(hash)) if DocumentHash::of(&query) == hash => Ok((query, Some(hash))),
            (Some(_), Some(_)) => {
                Err(malformed("`query` does not have the hash in `extensions.persistedQuery`."))
            }
            (None, Some(hash)) => Ok((self.0.get(&hash).ok_or_else(not_found)?.to_string(), None)),
            (None, None) => Err(malformed("`query` must be a string with the document.")),
        }
    }

    /// Remembers a document; the caller has resolved its hash, had it guarded, and knows who sent it.
    pub fn keep(&self, hash: DocumentHash, document: &str) {
        if !self.0.contains_key(&hash) {
            self.0.insert(hash, document.into());
        }
    }
}

/// The hash in `extensions.persistedQuery`.
fn named_hash(extensions: &Map<String, Value>) -> Result<Option<DocumentHash>, Refusal> {
    let persisted = match extensions.get("persistedQuery") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(persisted)) => persisted,
        Some(_) => return Err(malformed("`extensions.persistedQuery` must be an object.")),
    };
    if persisted.get("version").and_then(Value::as_u64) != Some(VERSION) {
        return Err(malformed("Persisted queries are understood in version 1 only."));
    }
    let hash = persisted.get("sha256Hash").and_then(Value::as_str).and_then(DocumentHash::parse);
    hash.map(Some)
        .ok_or_else(|| malformed("`extensions.persistedQuery.sha256Hash` must be 64 hexadecimal digits."))
}

/// The message is part of the protocol: some clients know this answer by its code, others by this word.
fn not_found() -> Refusal {
    let code = ErrorCode::PersistedQueryNotFound;
    Refusal::new(StatusCode::BAD_REQUEST, code, "PersistedQueryNotFound").by_graphql()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn extensions(hash: &DocumentHash) -> Map<String, Value> {
        let hash: String = hash.0.iter().map(|byte| format!("{byte:02x}")).collect();
        let extensions = json!({ "persistedQuery": { "version": 1, "sha256Hash": hash } });
        extensions.as_object().cloned().unwrap()
    }

    #[test]
    fn a_hash_is_64_hexadecimal_digits_in_any_case() {
        let digits = "0123456789abcdefABCDEF0123456789abcdef0123456789abcdef0123456789";
        assert_eq!(DocumentHash::parse(digits).unwrap().0[..6], [0x01, 0x23, 0x45, 0x67, 0x89, 0xab]);
        for wrong in ["", &digits[1..], &format!("{digits}0"), &"+f".repeat(32), &"é".repeat(32)] {
            assert!(DocumentHash::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_document_is_found_after_it_was_kept_and_not_before() {
        let documents = Documents::default();
        let hash = DocumentHash::of("{a}");
        let extensions = extensions(&hash);
        let refusal = documents.resolve(None, &extensions).unwrap_err();
        assert_eq!(refusal.code(), ErrorCode::PersistedQueryNotFound);
        let brought = documents.resolve(Some("{a}".to_owned()), &extensions).unwrap();
        assert_eq!(brought, ("{a}".to_owned(), Some(hash)));
        assert!(documents.resolve(None, &extensions).is_err(), "resolving alone keeps nothing");
        documents.keep(hash, "{a}");
        assert_eq!(documents.resolve(None, &extensions).unwrap(), ("{a}".to_owned(), None));
        let other = documents.resolve(Some("{b}".to_owned()), &extensions).unwrap_err();
        assert_eq!(other.code(), ErrorCode::BadUserInput);
    }

    #[test]
    fn the_memory_is_bounded_in_bytes() {
        let documents = Documents::bounded(100 * 1024);
        for n in 0..1_000 {
            let document = format!("{n:01000}");
            documents.keep(DocumentHash::of(&document), &document);
        }
        documents.0.run_pending_tasks();
        let (entries, bytes) = (documents.0.entry_count(), documents.0.weighted_size());
        println!("documents n=1000 kept={entries} bytes={bytes} ok");
        assert!(entries > 10 && bytes <= 100 * 1024, "{entries} entries, {bytes} bytes");
    }
}
