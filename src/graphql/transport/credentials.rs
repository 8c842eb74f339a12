//! The credential of a caller: `Bearer <access token>`, in the header of a request or the payload of
//! `connection_init`, by one parser. A token in an address is never read.

use axum::http::{HeaderMap, header::AUTHORIZATION};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{Transport, answer::Refusal, caller};
use crate::{
    domains::accounts::{Accounts, Viewer},
    error::{AppError, ErrorCode, Result},
    graphql::admission::Introspection,
};

/// An access token as it was sent; nothing is known of it yet.
#[derive(Clone)]
pub struct Bearer(SecretString);

impl Bearer {
    /// `None` without the header; several of them are malformed, because it is not ours to choose.
    pub fn from_headers(headers: &HeaderMap) -> Result<Option<Self>> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => value.to_str().map_err(|_| malformed()).and_then(Self::parse).map(Some),
            (Some(_), Some(_)) => Err(malformed()),
        }
    }

    /// Reads the key `authorization`, in any case, of the payload, or else of the object `headers` in it, as clients write
    /// it that hand on what they send over HTTP. `None` when there is none.
    pub fn from_payload(payload: Option<&Value>) -> Result<Option<Self>> {
        match Self::from_fields(payload)? {
            None => Self::from_fields(payload.and_then(|payload| payload.get("headers"))),
            bearer => Ok(bearer),
        }
    }

    fn from_fields(fields: Option<&Value>) -> Result<Option<Self>> {
        let Some(Value::Object(payload)) = fields else { return Ok(None) };
        let mut values = payload.iter().filter(|(key, _)| key.eq_ignore_ascii_case("authorization"));
        match (values.next(), values.next()) {
            (None, _) | (Some((_, Value::Null)), None) => Ok(None),
            (Some((_, Value::String(text))), None) => Self::parse(text).map(Some),
            _ => Err(malformed()),
        }
    }

    fn parse(text: &str) -> Result<Self> {
        let (scheme, token) = text.trim().split_once(' ').ok_or_else(malformed)?;
        let token = token.trim();
        let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        if !scheme.eq_ignore_ascii_case("bearer") || !is_token {
            return Err(malformed());
        }
        Ok(Self(token.to_owned().into()))
    }

    /// Who the token belongs to.
    pub async fn authenticate(&self, accounts: &Accounts) -> Result<Viewer> {
        accounts.authenticate(self.0.expose_secret()).await.inspect_err(AppError::log)
    }

    /// As [`Self::authenticate`], past what is remembered.
    pub async fn authenticate_anew(&self, accounts: &Accounts) -> Result<Viewer> {
        accounts.authenticate_anew(self.0.expose_secret()).await.inspect_err(AppError::log)
    }
}

impl Transport {
    /// Refuses who may not read the schema, which is the same for introspection and for the file.
    pub(crate) async fn require_schema_reader(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let introspection = self.settings.introspection;
        if introspection == Introspection::Public {
            return Ok(());
        }
        let credential = caller::credential(&self.api.accounts, headers).await?;
        Ok(introspection.allows(&credential)?)
    }
}

fn malformed() -> AppError {
    AppError::new(ErrorCode::Unauthenticated, "The credential must be of the form `Bearer <access token>`.")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of_header(value: &str) -> Result<Option<Bearer>> {
        Bearer::from_headers(&[(AUTHORIZATION, value.parse().unwrap())].into_iter().collect())
    }

    #[test]
    fn a_bearer_token_is_read_from_either_place_alike() {
        for value in ["Bearer abc", "bearer abc", "BEARER  abc "] {
            let payload = json!({ "AuthoriZation": value });
            let below = json!({ "headers": payload });
            let of_payload = [&payload, &below].map(|payload| Bearer::from_payload(Some(payload)));
            for bearer in of_payload.into_iter().chain([of_header(value)]) {
                assert_eq!(bearer.unwrap().unwrap().0.expose_secret(), "abc", "{value}");
            }
        }
    }

    #[test]
    fn anything_else_is_malformed_but_nothing_is_anonymous() {
        for value in ["", "Bearer", "Bearer ", "Basic abc", "abc", "Bearer a b", "Bearer a\tb"] {
            let payload = json!({ "authorization": value });
            for bearer in [of_header(value), Bearer::from_payload(Some(&payload))] {
                assert_eq!(
                    bearer.err().map(|error| error.code()),
                    Some(ErrorCode::Unauthenticated),
                    "{value:?}"
                );
            }
        }
        let twice = json!({ "authorization": "Bearer a", "Authorization": "Bearer b" });
        assert!(Bearer::from_payload(Some(&twice)).is_err());
        for payload in [None, Some(json!({})), Some(json!(null)), Some(json!({ "authorization": null }))] {
            assert!(Bearer::from_payload(payload.as_ref()).unwrap().is_none());
        }
        assert!(Bearer::from_headers(&HeaderMap::new()).unwrap().is_none());
    }
}
