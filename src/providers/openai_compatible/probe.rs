//! Asking a provider for its list of models: reaches it and shows the key, and costs nothing.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{OpenAiCompatible, ProviderError};

/// Longest list that is read, in bytes; resellers list hundreds of models.
const MAX_LIST: usize = 4 * 1024 * 1024;

/// How a provider answered the question for its models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// HTTP status.
    pub status: u16,
    /// Its clock, when it said so.
    pub date: Option<DateTime<Utc>>,
    /// What it lists; `None` when the answer is no list of models.
    pub models: Option<Vec<String>>,
}

impl Probe {
    /// Whether the list has a model. Some providers write more around a name than their calls need.
    pub fn lists(&self, upstream: &str) -> bool {
        self.models.iter().flatten().any(|listed| {
            let bare = listed.strip_prefix("models/").unwrap_or(listed);
            [listed, bare].contains(&upstream) || bare.strip_suffix(":latest") == Some(upstream)
        })
    }
}

/// The list as OpenAI writes it, or bare, as some others do.
#[derive(Deserialize)]
#[serde(untagged)]
enum Listing {
    /// A server that has none yet may say null.
    Wrapped {
        data: Option<Vec<Listed>>,
        object: Option<String>,
    },
    Bare(Vec<Listed>),
}

#[derive(Deserialize)]
struct Listed {
    id: String,
}

impl OpenAiCompatible {
    /// Asks once.
    ///
    /// # Errors
    /// When there is no answer in time, or not the whole of it.
    pub async fn probe(&self) -> Result<Probe, ProviderError> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop().pop().push("models");
        }
        let answer = self.caller.get(&url, self.headers("")?, MAX_LIST).await?;
        Ok(Probe { status: answer.status, date: answer.date, models: listed(&answer.body) })
    }
}

fn listed(body: &[u8]) -> Option<Vec<String>> {
    let models = match serde_json::from_slice(body).ok()? {
        Listing::Wrapped { data: Some(models), .. } | Listing::Bare(models) => models,
        Listing::Wrapped { data: None, object } if object.as_deref() == Some("list") => Vec::new(),
        Listing::Wrapped { data: None, .. } => return None,
    };
    Some(models.into_iter().map(|model| model.id).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_list_of_models_is_one() {
        for (body, expected) in [
            (r#"{"object":"list","data":[{"id":"a","object":"model"},{"id":"b"}]}"#, Some(vec!["a", "b"])),
            (r#"{"object":"list","data":null}"#, Some(vec![])),
            (r#"[{"id":"a"}]"#, Some(vec!["a"])),
            ("<!doctype html><title>Sign in</title>", None),
            ("{}", None),
            (r#"{"data":{}}"#, None),
            (r#"{"error":{"message":"no"}}"#, None),
            ("", None),
        ] {
            let expected = expected.map(|ids| ids.into_iter().map(str::to_owned).collect());
            assert_eq!(listed(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn a_model_is_found_under_what_providers_write_around_it() {
        let models = ["gpt", "models/gemini", "llama3:latest"].map(str::to_owned).to_vec();
        let probe = Probe { status: 200, date: None, models: Some(models) };
        for name in ["gpt", "gemini", "models/gemini", "llama3", "llama3:latest"] {
            assert!(probe.lists(name), "{name}");
        }
        assert!(!probe.lists("zzz") && !probe.lists("llama"));
    }
}
