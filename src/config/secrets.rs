//! Which secrets are too weak to protect anybody. Development accepts them; nothing else does.

use std::collections::BTreeSet;

/// Shortest key for HMAC-SHA-256 (RFC 7518, 3.2).
pub(super) const MIN_KEY_BYTES: usize = 32;
/// 32 random bytes, in any usual writing, practically always show more different characters than this.
const MIN_DIFFERENT_BYTES: usize = 8;

/// Pieces of secrets that stand in documentation. In a random secret of usual length they do not occur by chance.
const EXAMPLES: [&str; 13] = [
    "changeme",
    "change-me",
    "change_me",
    "replaceme",
    "replace-me",
    "replace_me",
    "example",
    "your-",
    "your_",
    "password",
    "secret",
    "0123456789",
    "abcdefghij",
];

/// Why a signing key protects nothing; `None` for a good one.
pub(super) fn key_weakness(secret: &str) -> Option<&'static str> {
    if secret.len() < MIN_KEY_BYTES {
        return Some("is shorter than 32 bytes");
    }
    if secret.bytes().collect::<BTreeSet<_>>().len() < MIN_DIFFERENT_BYTES {
        return Some("repeats a few characters");
    }
    is_example(secret).then_some("is a known example")
}

/// Whether this was copied from documentation instead of being made.
pub(super) fn is_example(secret: &str) -> bool {
    let secret = secret.to_lowercase();
    EXAMPLES.iter().any(|example| secret.contains(example))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_keys_are_named_and_random_ones_pass() {
        let table = [
            ("", Some("shorter")),
            ("short", Some("shorter")),
            ("Zk3vQ9wXr7LmT2pYc8NfHs5JdB4gEa1", Some("shorter")),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", Some("repeats")),
            ("abababababababababababababababababababab", Some("repeats")),
            ("00000000000000000000000000000000000123456", Some("repeats")),
            ("changeme-changeme-changeme-changeme", Some("example")),
            ("replace-me-with-32-random-bytes-or-more", Some("example")),
            ("Your-256-Bit-Key-Goes-Here-Do-Not-Forget", Some("example")),
            ("my-super-SECRET-jwt-key-for-production", Some("example")),
            ("0123456789abcdef0123456789abcdef", Some("example")),
            ("abcdefghijklmnopqrstuvwxyzabcdef", Some("example")),
            ("Zk3vQ9wXr7LmT2pYc8NfHs5JdB4gEa1u", None),
            ("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", None),
            ("n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=", None),
        ];
        for (secret, expected) in table {
            match (key_weakness(secret), expected) {
                (None, None) => {}
                (Some(why), Some(part)) if why.contains(part) => {}
                (found, _) => panic!("{secret}: found {found:?}, expected {expected:?}"),
            }
        }
    }
}
