//! The outside world of the tests.

pub mod provider;
