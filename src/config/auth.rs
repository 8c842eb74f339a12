//! `[auth]`: the keys that sign tokens and how long tokens live.

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{TryRng, rngs::SysRng};
use secrecy::SecretString;

use super::{
    faults::Refusal,
    reader::{Reader, Section},
    secrets::{MIN_KEY_BYTES, key_weakness},
    sources::Purpose,
};

const MAKE_KEYS: &str = "set LOQUENT_AUTH__SIGNING_KEYS=\"main:$(openssl rand -base64 48 | tr -d '\\n')\"";

/// `[auth]`
#[derive(Debug, Clone)]
pub struct Auth {
    /// The first signs, all verify. Empty only in development, where [`dev_signing_key`] stands in, and for
    /// commands that serve nobody.
    pub signing_keys: Vec<SigningKey>,
    pub access_minutes: u64,
    /// How long a refresh token can be exchanged.
    pub refresh_days: u64,
    /// How long a sign-in lasts, however often its tokens are renewed.
    pub session_days: u64,
    /// How long a used refresh token is still taken, for clients that never saw the answer.
    pub refresh_grace_seconds: u64,
}

/// A key of the ring.
#[derive(Debug, Clone)]
pub struct SigningKey {
    /// Name by which a token says which key signed it.
    pub kid: String,
    /// Used as its UTF-8 bytes.
    pub secret: SecretString,
}

impl Auth {
    pub(super) fn read(reader: &mut Reader, is_dev: bool, purpose: Purpose) -> Self {
        let mut section = reader.section(&["auth"]);
        let auth = Self {
            signing_keys: read_keys(&mut section, is_dev, purpose),
            access_minutes: section.whole("access_minutes", 60, 1..=1440),
            refresh_days: section.whole("refresh_days", 7, 1..=365),
            session_days: section.whole("session_days", 30, 1..=365),
            refresh_grace_seconds: section.whole("refresh_grace_seconds", 10, 0..=300),
        };
        if auth.refresh_days > auth.session_days {
            let refusal = Refusal::new("is longer than the session", "keep it within session_days");
            section.refuse("refresh_days", refusal);
        }
        auth
    }
}

fn read_keys(section: &mut Section<'_>, is_dev: bool, purpose: Purpose) -> Vec<SigningKey> {
    let name = "signing_keys";
    let is_required = !is_dev && purpose == Purpose::Serve;
    if is_required && !section.has(name) {
        let fix = format!("{MAKE_KEYS}, or add --dev to try Loquent on this machine");
        section.refuse(name, Refusal::new("is missing: tokens could not be signed", fix));
    }
    section.parsed(name, |text| signing_keys(text, is_dev)).unwrap_or_default()
}

fn signing_keys(text: &str, is_dev: bool) -> Result<Vec<SigningKey>, Refusal> {
    let shape = || Refusal::new("is not a list of kid:secret", MAKE_KEYS);
    let mut seen = BTreeSet::new();
    let mut keys = Vec::new();
    for item in text.split(',') {
        let (kid, secret) = item.trim().split_once(':').ok_or_else(shape)?;
        let is_name = kid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if kid.is_empty() || kid.len() > 64 || !is_name || secret.is_empty() {
            return Err(shape());
        }
        if !seen.insert(kid.to_owned()) {
            return Err(Refusal::new(
                "gives two keys one kid",
                "give each key its own name before the colon",
            ));
        }
        match key_weakness(secret) {
            // Which key it is, is said by position: even the name might be half of a secret with a colon in it.
            Some(why) if !is_dev => {
                return Err(Refusal::new(format!("key {} {why}", keys.len() + 1), MAKE_KEYS));
            }
            _ => keys.push(SigningKey { kid: kid.to_owned(), secret: SecretString::from(secret) }),
        }
    }
    Ok(keys)
}

/// The key of a development server without configured ones, kept in `<data_dir>/dev-signing-key` (mode 0600) so that
/// a restart signs nobody out. Made on first use; of two processes that start together one makes it, both use it.
///
/// # Errors
/// If the directory cannot be written, the system gives no randomness, or the file does not hold such a key.
pub fn dev_signing_key(data_dir: &Path) -> io::Result<SigningKey> {
    let path = data_dir.join("dev-signing-key");
    let kept = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_key_file(data_dir, &path)?;
            fs::read_to_string(&path)?
        }
        other => other?,
    };
    let secret = kept.trim();
    if secret.len() < MIN_KEY_BYTES {
        let message = format!("{} holds no key; remove it and start again", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(SigningKey { kid: "dev".to_owned(), secret: SecretString::from(secret) })
}

/// Writes aside and links into place, so that the name never shows half a key and never replaces another's.
fn make_key_file(data_dir: &Path, path: &Path) -> io::Result<()> {
    fs::create_dir_all(data_dir)?;
    let aside = data_dir.join(format!(".dev-signing-key.{}", random_text()?));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    let written = random_text().and_then(|secret| {
        file.write_all(secret.as_bytes())?;
        file.sync_all()?;
        match fs::hard_link(&aside, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    });
    fs::remove_file(&aside)?;
    written
}

/// 256 random bits in 43 characters.
fn random_text() -> io::Result<String> {
    let mut bytes = [0_u8; 32];
    SysRng.try_fill_bytes(&mut bytes).map_err(io::Error::other)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
