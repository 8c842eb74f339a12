//! The chat format of OpenAI, which most hosted services and most servers for one's own models speak too. Each of them
//! is a few settings of [`OpenAiCompatible`].
//!
//! One call is one `POST {base_url}/chat/completions` that asks for a stream of server-sent events. A server that sends
//! one JSON document instead is understood as well.

mod answer;
mod probe;
mod wire;

use std::fmt;

use async_stream::try_stream;
use async_trait::async_trait;
use futures_util::Stream;
use reqwest::{
    Url,
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};

pub use probe::Probe;

use self::{
    answer::{AnswerReader, Failure},
    wire::{CompletionRequest, OutputCap},
};
use super::{
    error::{ProviderError, ProviderErrorKind, SettingsError},
    http::{Answer, CallLimits, Caller},
    types::{ChatEvent, ChatProvider, ChatRequest, ChatStream, Clearance, Funding},
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// How to reach one provider that speaks the format.
#[derive(Debug, Clone)]
pub struct OpenAiCompatibleSettings {
    /// Name in the configuration, such as `openai`.
    pub key: String,
    /// Everything before `/chat/completions`, such as `https://api.openai.com/v1`.
    pub base_url: Url,
    /// Sent as a bearer token; a server of one's own may need none.
    pub api_key: Option<SecretString>,
    /// `None` decides by the host: [`OutputCapField::MaxCompletionTokens`] for OpenAI, else
    /// [`OutputCapField::MaxTokens`].
    pub output_cap_field: Option<OutputCapField>,
    pub limits: CallLimits,
}

/// Which field of a request carries the output cap. OpenAI refuses the old name for its newer models, and other servers
/// silently ignore the new one, which would leave an answer without a cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputCapField {
    MaxTokens,
    MaxCompletionTokens,
}

impl OutputCapField {
    fn of_host(host: &str) -> Self {
        let is_openai = ["openai.com", "openai.azure.com"].iter().any(|domain| {
            host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        });
        if is_openai { Self::MaxCompletionTokens } else { Self::MaxTokens }
    }
}

/// A provider that speaks the chat format of OpenAI.
pub struct OpenAiCompatible {
    key: String,
    url: Url,
    /// Marked sensitive, so that it does not print.
    authorization: Option<HeaderValue>,
    output_cap_field: OutputCapField,
    caller: std::sync::Arc<Caller>,
}

impl OpenAiCompatible {
    /// # Errors
    /// When the address or the API key cannot be used, or no HTTP client can be built.
    pub fn try_new(settings: OpenAiCompatibleSettings) -> Result<Self, SettingsError> {
        let OpenAiCompatibleSettings { key, base_url, api_key, output_cap_field, limits } = settings;
        let Some(url) = completions_url(&base_url) else { return Err(SettingsError::BaseUrl { key }) };
        let api_key = api_key.filter(|api_key| !api_key.expose_secret().is_empty());
        let authorization = match api_key.as_ref().map(bearer).transpose() {
            Ok(authorization) => authorization,
            Err(_) => return Err(SettingsError::ApiKey { key }),
        };
        let caller = match Caller::try_new(limits, api_key) {
            Ok(caller) => caller.into(),
            Err(source) => return Err(SettingsError::Client { key, source }),
        };
        let host = base_url.host_str().unwrap_or_default();
        let output_cap_field = output_cap_field.unwrap_or_else(|| OutputCapField::of_host(host));
        Ok(Self { key, url, authorization, output_cap_field, caller })
    }

    fn headers(&self, attempt_id: &str) -> Result<HeaderMap, ProviderError> {
        let mut headers = HeaderMap::new();
        if !attempt_id.is_empty() {
            let attempt_id = HeaderValue::from_str(attempt_id).map_err(|_| {
                ProviderError::new(ProviderErrorKind::Refused, "the attempt id cannot be sent")
            })?;
            headers.insert(IDEMPOTENCY_KEY, attempt_id);
        }
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        Ok(headers)
    }
}

impl fmt::Debug for OpenAiCompatible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiCompatible")
            .field("key", &self.key)
            .field("url", &self.url.as_str())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl ChatProvider for OpenAiCompatible {
    fn key(&self) -> &str {
        &self.key
    }

    async fn stream_chat(
        &self,
        request: &ChatRequest,
        funding: &dyn Funding,
        _clearance: &dyn Clearance,
    ) -> Result<ChatStream, ProviderError> {
        let cap = funding.output_cap();
        // Some servers read a cap of zero as no cap.
        if cap == 0 {
            return Err(ProviderError::new(ProviderErrorKind::Refused, "no output is paid for"));
        }
        let body = CompletionRequest::new(request, OutputCap { field: self.output_cap_field, tokens: cap });
        let answer = self.caller.post(&self.url, self.headers(&request.attempt_id)?, &body).await?;
        Ok(Box::pin(read_answer(answer, self.caller.clone())))
    }
}

/// The events of an answer, which ends with `Finished` or an error.
fn read_answer(
    answer: Answer,
    caller: std::sync::Arc<Caller>,
) -> impl Stream<Item = Result<ChatEvent, ProviderError>> + Send {
    try_stream! {
        let mut reader = AnswerReader::new(answer);
        loop {
            match reader.next().await {
                Ok(Some(events)) => for event in events { yield event },
                Ok(None) => break,
                Err(Failure::Provider(error)) => Err(error)?,
                // What is quoted from the provider may quote our key.
                Err(Failure::Quoted(kind, words)) => Err(ProviderError::new(kind, caller.redact(&words, false)))?,
            }
        }
    }
}

fn completions_url(base: &Url) -> Option<Url> {
    let is_plain = matches!(base.scheme(), "http" | "https")
        && base.username().is_empty()
        && base.password().is_none()
        && base.query().is_none()
        && base.fragment().is_none();
    if !is_plain {
        return None;
    }
    let mut url = base.clone();
    url.path_segments_mut().ok()?.pop_if_empty().extend(["chat", "completions"]);
    Some(url)
}

fn bearer(api_key: &SecretString) -> Result<HeaderValue, reqwest::header::InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", api_key.expose_secret()))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(base_url: &str, api_key: Option<&str>) -> OpenAiCompatibleSettings {
        OpenAiCompatibleSettings {
            key: "test".to_owned(),
            base_url: Url::parse(base_url).unwrap(),
            api_key: api_key.map(SecretString::from),
            output_cap_field: None,
            limits: CallLimits::default(),
        }
    }

    #[test]
    fn the_path_is_added_to_any_plain_base_address() {
        let url = |base: &str| completions_url(&Url::parse(base).unwrap()).map(String::from);
        assert_eq!(url("https://api.test/v1").as_deref(), Some("https://api.test/v1/chat/completions"));
        assert_eq!(url("https://api.test/v1/").as_deref(), Some("https://api.test/v1/chat/completions"));
        assert_eq!(url("http://127.0.0.1:1234").as_deref(), Some("http://127.0.0.1:1234/chat/completions"));
        let refused = [
            "file:///v1",
            "data:x",
            "https://me:pw@api.test",
            "https://me@api.test",
            "https://a.test?k=1",
            "https://a.test#x",
        ];
        for base in refused {
            assert_eq!(url(base), None, "{base}");
        }
    }

    #[test]
    fn the_field_of_the_cap_follows_the_host() {
        for host in ["api.openai.com", "eu.api.openai.com", "me.openai.azure.com"] {
            assert_eq!(OutputCapField::of_host(host), OutputCapField::MaxCompletionTokens, "{host}");
        }
        for host in ["localhost", "api.groq.com", "notopenai.com", "openai.com.evil.test"] {
            assert_eq!(OutputCapField::of_host(host), OutputCapField::MaxTokens, "{host}");
        }
    }

    #[test]
    fn nothing_prints_the_api_key() {
        let settings = settings("https://api.test/v1", Some("sk-canary"));
        let provider = OpenAiCompatible::try_new(settings.clone()).unwrap();
        let headers = provider.headers("attempt").unwrap();
        assert_eq!(headers[AUTHORIZATION], "Bearer sk-canary");
        let printed = format!("{settings:?} {settings:#?} {provider:?} {headers:?}");
        assert!(!printed.contains("canary"), "{printed}");
    }

    #[test]
    fn a_key_that_cannot_be_sent_is_refused_without_printing_it() {
        let error =
            OpenAiCompatible::try_new(settings("https://api.test/v1", Some("sk-\ncanary"))).unwrap_err();
        assert!(matches!(error, SettingsError::ApiKey { .. }));
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}
