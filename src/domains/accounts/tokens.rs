//! Tokens. An access token is a JWT (RFC 7519, HS256) with the person and the session, good for an hour. A refresh
//! token is 256 random bits; the database has only its SHA-256, and for a while its successor, sealed with the token
//! itself, so that a repeat after a lost answer gets the same child and a stolen database opens nothing.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::ErrorKind};
use rand::Rng;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    error::{AppError, ErrorCode, Result},
    platform::clock::Clock,
};

const ISSUER: &str = "loquent";
const AUDIENCE: &str = "loquent";

/// One key of the ring; the first signs, all verify.
#[derive(Clone)]
pub struct SigningKey {
    pub kid: String,
    pub secret: SecretString,
}

/// Lifetimes of tokens.
#[derive(Debug, Clone, Copy)]
pub struct TokenSettings {
    pub access: Duration,
    /// A refresh token that is not used for so long is dead.
    pub refresh: Duration,
    /// A session ends then at the latest, however often it is renewed.
    pub session: Duration,
    /// A refresh token may be repeated for so long after its first use.
    pub grace: Duration,
}

/// Signs and reads tokens; clones share the keys.
#[derive(Clone)]
pub struct Tokens {
    keys: Arc<[(String, EncodingKey, DecodingKey)]>,
    clock: Clock,
    pub settings: TokenSettings,
}

/// What an access token says.
#[derive(Debug, Serialize, Deserialize)]
pub struct Claims {
    iss: String,
    aud: String,
    iat: i64,
    pub exp: i64,
    /// The person.
    pub sub: Uuid,
    /// The session.
    pub sid: Uuid,
}

impl Tokens {
    pub fn new(keys: &[SigningKey], clock: Clock, settings: TokenSettings) -> Self {
        let keys = keys
            .iter()
            .map(|key| {
                let secret = key.secret.expose_secret().as_bytes();
                (key.kid.clone(), EncodingKey::from_secret(secret), DecodingKey::from_secret(secret))
            })
            .collect();
        Self { keys, clock, settings }
    }

    /// Signs an access token; it never outlives its session.
    pub fn sign(
        &self,
        user_id: Uuid,
        session_id: Uuid,
        session_end: DateTime<Utc>,
    ) -> Result<(String, DateTime<Utc>)> {
        let Some((kid, key, _)) = self.keys.first() else {
            return Err(AppError::internal(anyhow::anyhow!("no signing key")));
        };
        let now = self.clock.now();
        let expires_at = (now + self.settings.access).min(session_end);
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            iat: now.timestamp(),
            exp: expires_at.timestamp(),
            sub: user_id,
            sid: session_id,
        };
        let header = Header { kid: Some(kid.clone()), ..Header::new(Algorithm::HS256) };
        let token = jsonwebtoken::encode(&header, &claims, key).map_err(AppError::internal)?;
        Ok((token, expires_at))
    }

    /// Reads an access token: `UNAUTHENTICATED` if it is not one of ours, `TOKEN_EXPIRED` if it was.
    pub fn verify(&self, token: &str) -> Result<Claims> {
        let wrong = || AppError::new(ErrorCode::Unauthenticated, "The access token is not valid.");
        let header = jsonwebtoken::decode_header(token).map_err(|_| wrong())?;
        let key = self.keys.iter().find(|(kid, ..)| header.kid.as_deref() == Some(kid)).ok_or_else(wrong)?;
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "sub", "iss", "aud"]);
        // Our clock decides, which the library does not know.
        validation.validate_exp = false;
        let claims =
            jsonwebtoken::decode::<Claims>(token, &key.2, &validation).map_err(|error| {
                match error.kind() {
                    ErrorKind::ExpiredSignature => expired(),
                    _ => wrong(),
                }
            })?;
        if claims.claims.exp <= self.clock.now().timestamp() {
            return Err(expired());
        }
        Ok(claims.claims)
    }
}

fn expired() -> AppError {
    AppError::new(ErrorCode::TokenExpired, "The access token has expired.")
}

/// A refresh token as the client holds it.
#[derive(Clone)]
pub struct RefreshToken(SecretString);

impl RefreshToken {
    pub fn random() -> Self {
        let mut bytes = [0_u8; 32];
        rand::rng().fill_bytes(&mut bytes);
        Self(URL_SAFE_NO_PAD.encode(bytes).into())
    }

    /// Takes what a client sent; anything hashes, only ours is found.
    pub fn from_client(text: String) -> Self {
        Self(text.into())
    }

    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// What the database knows it by.
    pub fn hash(&self) -> Vec<u8> {
        Sha256::digest(self.expose()).to_vec()
    }

    /// Encrypts `child` so that only who has this token can read it.
    pub fn seal(&self, child: &Self) -> Result<Vec<u8>> {
        let mut sealed = child.expose().as_bytes().to_vec();
        self.cipher()?
            .seal_in_place_append_tag(nonce(), Aad::empty(), &mut sealed)
            .map_err(AppError::internal)?;
        Ok(sealed)
    }

    /// Reverses [`Self::seal`]; `None` with any other token.
    pub fn open(&self, sealed: &[u8]) -> Option<Self> {
        let mut sealed = sealed.to_vec();
        let plain = self.cipher().ok()?.open_in_place(nonce(), Aad::empty(), &mut sealed).ok()?;
        String::from_utf8(plain.to_vec()).ok().map(Self::from_client)
    }

    /// A key of its own for each token, unlike its stored hash.
    fn cipher(&self) -> Result<LessSafeKey> {
        let key = Sha256::new().chain_update("successor of ").chain_update(self.expose()).finalize();
        UnboundKey::new(&AES_256_GCM, &key).map(LessSafeKey::new).map_err(AppError::internal)
    }
}

/// A constant is safe: each key seals a single message, the one successor of its token.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(kid: &str, secret: &str) -> Tokens {
        let minute = Duration::from_secs(60);
        let settings = TokenSettings { access: minute, refresh: minute, session: minute * 60, grace: minute };
        Tokens::new(&[SigningKey { kid: kid.into(), secret: secret.into() }], Clock::default(), settings)
    }

    #[test]
    fn a_token_is_read_by_the_key_that_signed_it_and_by_no_other() {
        let ours = tokens("a", "0123456789abcdef0123456789abcdef");
        let (user, session) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (token, _) = ours.sign(user, session, Clock::default().now() + Duration::from_secs(600)).unwrap();
        assert_eq!(ours.verify(&token).unwrap().sub, user);
        for (kid, secret) in
            [("a", "x123456789abcdef0123456789abcdef"), ("b", "0123456789abcdef0123456789abcdef")]
        {
            assert_eq!(tokens(kid, secret).verify(&token).unwrap_err().code(), ErrorCode::Unauthenticated);
        }
    }

    #[test]
    fn a_token_expires_by_our_clock() {
        let ours = tokens("a", "0123456789abcdef0123456789abcdef");
        let end = ours.clock.now() + Duration::from_secs(600);
        let (token, _) = ours.sign(Uuid::from_u128(1), Uuid::from_u128(2), end).unwrap();
        ours.clock.advance(chrono::TimeDelta::seconds(61));
        assert_eq!(ours.verify(&token).unwrap_err().code(), ErrorCode::TokenExpired);
    }

    #[test]
    fn forged_headers_are_refused() {
        let ours = tokens("a", "0123456789abcdef0123456789abcdef");
        let claims = r#"{"iss":"loquent","aud":"loquent","iat":0,"exp":99999999999,"sub":"00000000-0000-0000-0000-000000000001","sid":"00000000-0000-0000-0000-000000000001"}"#;
        for header in [
            r#"{"alg":"none","kid":"a"}"#,
            r#"{"alg":"HS512","kid":"a"}"#,
            r#"{"alg":"HS256"}"#,
            r#"{"alg":"HS256","kid":"../../a"}"#,
        ] {
            let token = format!("{}.{}.", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
            assert_eq!(ours.verify(&token).unwrap_err().code(), ErrorCode::Unauthenticated, "{header}");
        }
    }

    #[test]
    fn a_sealed_successor_opens_only_with_its_parent() {
        let (parent, child) = (RefreshToken::random(), RefreshToken::random());
        let sealed = parent.seal(&child).unwrap();
        assert_eq!(parent.open(&sealed).unwrap().expose(), child.expose());
        assert!(RefreshToken::random().open(&sealed).is_none());
    }
}
