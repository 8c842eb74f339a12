//! Two accounts that must not see each other.
