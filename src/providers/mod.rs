//! Chat models, behind one vocabulary. [`types`] says what is asked and what comes back; each provider file translates
//! that to its wire format and keeps the format to itself; [`registry`] finds a provider by its key.
//!
//! Invariants:
//! - No call without [`types::Funding`]: it is an argument of the call and the only source of the output cap.
//! - One call is at most one request to the provider. Nothing here tries again; the caller decides that, and pays.
//! - What a provider sends is hostile until it has been read: sizes and times are bounded, numbers saturate, and its
//!   words about a failure reach the log only.
//! - An answer is whole if and only if its stream ends with [`types::ChatEvent::Finished`].
//! - Dropping a stream closes the connection to the provider.

pub mod echo;
pub mod error;
mod http;
mod observed;
pub mod openai_compatible;
pub mod registry;
mod sse;
pub mod types;

pub use http::CallLimits;
pub use observed::{LastOutcome, Standing};
