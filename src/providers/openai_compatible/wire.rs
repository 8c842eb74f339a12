//! The format on the wire. What a server sends is read leniently where servers differ, and its numbers saturate.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::OutputCapField;
use crate::providers::types::{ChatRequest, ChatRole, FinishReason, TokenUsage};

#[derive(Serialize)]
pub(super) struct CompletionRequest<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    stream: bool,
    stream_options: StreamOptions,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop: Vec<&'a str>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

/// The output cap and the name under which this server expects it.
pub(super) struct OutputCap {
    pub(super) field: OutputCapField,
    pub(super) tokens: u32,
}

impl<'a> CompletionRequest<'a> {
    pub(super) fn new(request: &'a ChatRequest, cap: OutputCap) -> Self {
        let cap_as = |field| (cap.field == field).then_some(cap.tokens);
        Self {
            model: &request.model,
            messages: request
                .messages
                .iter()
                .map(|message| Message { role: role(message.role), content: &message.text })
                .collect(),
            stream: true,
            stream_options: StreamOptions { include_usage: true },
            max_tokens: cap_as(OutputCapField::MaxTokens),
            max_completion_tokens: cap_as(OutputCapField::MaxCompletionTokens),
            temperature: request.temperature,
            top_p: request.top_p,
            stop: request.stop.iter().map(String::as_str).filter(|stop| !stop.is_empty()).collect(),
        }
    }
}

fn role(role: ChatRole) -> &'static str {
    match role {
        ChatRole::System => "system",
        ChatRole::User => "user",
        ChatRole::Assistant => "assistant",
    }
}

/// One event of a stream, or the whole answer of a server that does not stream. Everything may be missing or null.
#[derive(Deserialize)]
pub(super) struct Chunk {
    choices: Option<Vec<Choice>>,
    usage: Option<Value>,
    pub(super) error: Option<Value>,
}

#[derive(Deserialize)]
pub(super) struct Choice {
    index: Option<u32>,
    /// In a stream.
    delta: Option<Delta>,
    /// In a whole answer.
    message: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
    /// Why the model will not answer; a person reads it as the answer.
    refusal: Option<String>,
    /// The name that DeepSeek and vLLM use.
    reasoning_content: Option<String>,
    /// The name that OpenRouter and Groq use.
    reasoning: Option<String>,
}

impl Chunk {
    /// The one choice that was asked for.
    pub(super) fn into_choice(self) -> Option<Choice> {
        self.choices?.into_iter().find(|choice| choice.index.unwrap_or(0) == 0)
    }

    /// What the server counted; `None` also for the zeros of a server that does not count.
    pub(super) fn usage(&self) -> Option<TokenUsage> {
        let usage = self.usage.as_ref()?;
        let prompt = count(usage, "/prompt_tokens");
        let completion = count(usage, "/completion_tokens");
        if prompt == 0 && completion == 0 {
            return None;
        }
        let cached_input = count(usage, "/prompt_tokens_details/cached_tokens").min(prompt);
        let cache_write = cache_writes(usage).min(prompt - cached_input);
        let input = prompt - cached_input - cache_write;
        let reasoning = count(usage, "/completion_tokens_details/reasoning_tokens");
        let (output, reasoning) =
            split_completion(completion, reasoning, prompt, count(usage, "/total_tokens"));
        Some(TokenUsage { input, cached_input, cache_write, output, reasoning })
    }
}

/// Tokens of the prompt that went into a cache, by the name that OpenRouter uses, or LiteLLM. Both count them within
/// `prompt_tokens`, as all counts of the prompt.
fn cache_writes(usage: &Value) -> u32 {
    let names = ["/prompt_tokens_details/cache_write_tokens", "/cache_creation_input_tokens"];
    names.into_iter().map(|name| count(usage, name)).max().unwrap_or_default()
}

/// Answer and reasoning tokens apart. The format counts reasoning within `completion`; some servers count it beside,
/// which shows in a `total` that has room for all three.
fn split_completion(completion: u32, reasoning: u32, prompt: u32, total: u32) -> (u32, u32) {
    let all = prompt.saturating_add(completion).saturating_add(reasoning);
    if total >= all {
        (completion, reasoning)
    } else {
        let reasoning = reasoning.min(completion);
        (completion - reasoning, reasoning)
    }
}

/// A count of tokens: 0 for what is missing, negative or no number, and at most `u32::MAX`.
fn count(usage: &Value, pointer: &str) -> u32 {
    usage.pointer(pointer).and_then(Value::as_f64).unwrap_or(0.0) as u32
}

impl Choice {
    /// Text of the answer and of the reasoning that this chunk adds; empty when none.
    pub(super) fn take_texts(&mut self) -> Texts {
        let Some(delta) = self.delta.take().or_else(|| self.message.take()) else { return Texts::default() };
        Texts {
            answer: first_text([delta.content, delta.refusal]),
            reasoning: first_text([delta.reasoning_content, delta.reasoning]),
        }
    }

    /// Whether and how the answer is over. `Err` holds the word of a server that gave up.
    pub(super) fn finish_reason(&self) -> Result<Option<FinishReason>, &str> {
        match self.finish_reason.as_deref() {
            None | Some("") => Ok(None),
            Some("length" | "max_tokens") => Ok(Some(FinishReason::Length)),
            Some("tool_calls" | "function_call") => Ok(Some(FinishReason::ToolCalls)),
            Some("content_filter") => Ok(Some(FinishReason::ContentFilter)),
            Some(word @ ("error" | "abort" | "aborted" | "cancelled" | "insufficient_system_resource")) => {
                Err(word)
            }
            // Servers invent names for a natural end ("eos", "end_turn"); all of them say that the answer is whole.
            Some(_) => Ok(Some(FinishReason::Stop)),
        }
    }
}

#[derive(Default)]
pub(super) struct Texts {
    pub(super) answer: String,
    pub(super) reasoning: String,
}

fn first_text(texts: [Option<String>; 2]) -> String {
    texts.into_iter().flatten().find(|text| !text.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn usage(value: Value) -> Option<TokenUsage> {
        serde_json::from_value::<Chunk>(json!({ "usage": value })).unwrap().usage()
    }

    #[test]
    fn counts_do_not_overlap() {
        let counted = usage(json!({
            "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
            "prompt_tokens_details": { "cached_tokens": 40 }, "completion_tokens_details": { "reasoning_tokens": 30 },
        }));
        assert_eq!(
            counted,
            Some(TokenUsage { input: 60, cached_input: 40, cache_write: 0, output: 20, reasoning: 30 })
        );
    }

    #[test]
    fn what_went_into_a_cache_is_counted_under_every_name() {
        for usage_of_server in [
            json!({ "prompt_tokens": 100, "completion_tokens": 1, "cache_creation_input_tokens": 50,
                    "prompt_tokens_details": { "cached_tokens": 40 } }),
            json!({ "prompt_tokens": 100, "completion_tokens": 1,
                    "prompt_tokens_details": { "cached_tokens": 40, "cache_write_tokens": 50 } }),
        ] {
            let counted =
                TokenUsage { input: 10, cached_input: 40, cache_write: 50, output: 1, reasoning: 0 };
            assert_eq!(usage(usage_of_server.clone()), Some(counted), "{usage_of_server}");
        }
    }

    #[test]
    fn reasoning_that_is_counted_beside_the_answer_is_not_taken_off_it() {
        let counted = usage(json!({
            "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 315,
            "completion_tokens_details": { "reasoning_tokens": 300 },
        }));
        assert_eq!(
            counted,
            Some(TokenUsage { input: 10, output: 5, reasoning: 300, ..TokenUsage::default() })
        );
    }

    #[test]
    fn hostile_counts_saturate() {
        let most = usage(json!({
            "prompt_tokens": 1e300, "completion_tokens": u64::MAX, "total_tokens": "many",
            "prompt_tokens_details": { "cached_tokens": -1, "cache_write_tokens": 1e300 }, "completion_tokens_details": { "reasoning_tokens": 1e300 },
        }));
        assert_eq!(
            most,
            Some(TokenUsage { cache_write: u32::MAX, reasoning: u32::MAX, ..TokenUsage::default() })
        );
        let details = json!({ "cached_tokens": 9, "cache_write_tokens": 9 });
        let more_cached = usage(json!({ "prompt_tokens": 1, "prompt_tokens_details": details }));
        assert_eq!(more_cached, Some(TokenUsage { cached_input: 1, ..TokenUsage::default() }));
        for nothing in [
            json!(null),
            json!({}),
            json!([]),
            json!(7),
            json!({ "prompt_tokens": -5, "completion_tokens": null }),
        ] {
            assert_eq!(usage(nothing.clone()), None, "{nothing}");
        }
    }

    #[test]
    fn a_server_that_gave_up_has_not_finished() {
        let finish = |word: &str| {
            let choice: Choice = serde_json::from_value(json!({ "finish_reason": word })).unwrap();
            choice.finish_reason().map_err(str::to_owned)
        };
        assert_eq!(finish("stop"), Ok(Some(FinishReason::Stop)));
        assert_eq!(finish("eos"), Ok(Some(FinishReason::Stop)));
        assert_eq!(finish("length"), Ok(Some(FinishReason::Length)));
        assert_eq!(finish("tool_calls"), Ok(Some(FinishReason::ToolCalls)));
        assert_eq!(finish("content_filter"), Ok(Some(FinishReason::ContentFilter)));
        assert_eq!(finish(""), Ok(None));
        assert_eq!(finish("error"), Err("error".to_owned()));
    }
}
