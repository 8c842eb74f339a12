//! Asking a provider for its list of models: reaches it and shows the key, and costs nothing.

use chrono::{DateTime, Utc};

use super::{OpenAiCompatible, ProviderError};

/// How a provider answered the question for its models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// HTTP status.
    pub status: u16,
    /// Its clock, when it said so.
    pub date: Option<DateTime<Utc>>,
}

impl OpenAiCompatible {
    /// Asks once, without reading the list.
    ///
    /// # Errors
    /// When there is no answer in time.
    pub async fn probe(&self) -> Result<Probe, ProviderError> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop().pop().push("models");
        }
        let (status, date) = self.caller.head_of(&url, self.headers("")?).await?;
        Ok(Probe { status, date })
    }
}
