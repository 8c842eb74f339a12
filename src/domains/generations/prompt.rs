//! What is sent to the model: system prompt, as much history as fits, the new message.

use crate::{
    domains::{catalog::Model, conversations::Part},
    error::{AppError, ErrorCode, Result},
    providers::types::{ChatMessage, ChatRole},
};

/// A turn of the past.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct PastTurn {
    pub role: String,
    pub parts: Vec<Part>,
    /// Of an answer, when its provider counted and it is one of the last few.
    #[serde(default, skip_serializing)]
    pub counted: Option<Counted>,
}

impl PastTurn {
    /// Its texts in order, without reasoning.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text { text } => Some(text.as_str()),
            Part::Reasoning { .. } => None,
        })
    }
}

/// What the provider of a model counted of an earlier call.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Counted {
    pub model_key: String,
    /// What we had estimated of that prompt.
    pub estimated: u32,
    /// The whole prompt, cached or not.
    pub input: u32,
    /// The answer without reasoning, which no later prompt repeats.
    pub output: u32,
}

/// Messages to send and their size.
#[derive(Debug)]
pub struct Prompt {
    pub messages: Vec<ChatMessage>,
    /// The best that is known: what the provider counted before, and an estimate of the rest. It decides what fits.
    pub tokens: u32,
    /// All of it as estimated, for comparison with what the provider will count.
    pub estimated: u32,
}

impl Prompt {
    /// Size that is paid for before the provider counts. Never less than the estimate: a count belongs to the text that was
    /// sent then, and people may correct their messages and instructions to something denser.
    pub fn held(&self) -> u32 {
        self.tokens.max(self.estimated)
    }
}

/// Tokens of a text where no provider has counted: one for every three bytes, rounded up. English has about four bytes a
/// token and other scripts about three, so the estimate is rather high; what a provider reports replaces it.
pub fn estimate_tokens(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX).div_ceil(BYTES_PER_TOKEN)
}

/// Of a text that nobody has counted.
pub const BYTES_PER_TOKEN: u32 = 3;

/// Tokens that the roles and separators around each message take.
const MESSAGE_OVERHEAD: u32 = 4;

/// Of an estimate, the least part that a count is believed to be: twelve bytes a token.
const LEAST_SHARE: u32 = 4;

/// Tokens of the context that are kept free for the answer.
#[derive(Debug, Clone, Copy)]
pub struct Reserve {
    /// Without so many there is no use in asking.
    pub least: u32,
    /// History gives way to so many.
    pub usual: u32,
    /// Tokens that the prompt may have, however much the model can take.
    pub most: u32,
}

impl Reserve {
    /// History leaves the answer what it wishes, up to a quarter of the context.
    pub fn new(model: &Model, least: u32, wished: u32) -> Self {
        Self { least, usual: wished.min(model.context_tokens / 4).max(least), most: u32::MAX }
    }

    /// The same for prompts of so many tokens at most.
    pub fn within(self, most: u32) -> Self {
        Self { most, ..self }
    }
}

/// What is known of the size of past turns: the newest count of the same model, beside our estimate of the same.
struct Measure {
    /// Place of the answer that was counted; what came later is only estimated.
    place: Option<usize>,
    answer: u32,
    estimated: u32,
    input: u32,
    /// Estimate of the turns that were counted and are yet to be measured; those before were not in that prompt.
    covered: u32,
}

impl Measure {
    fn new(model: &Model, history: &[PastTurn], instructions: u32) -> Self {
        let counted = history.iter().enumerate().rev().find_map(|(place, turn)| {
            let counted = turn.counted.as_ref()?;
            // Another model cuts the same text into other tokens.
            (counted.model_key == model.key && counted.estimated > 0).then_some((place, counted))
        });
        match counted {
            None => Self { place: None, answer: 0, estimated: 1, input: 1, covered: 0 },
            Some((place, counted)) => Self {
                place: Some(place),
                answer: counted.output.saturating_add(MESSAGE_OVERHEAD),
                estimated: counted.estimated,
                // A provider that counts next to nothing must not let everything through.
                input: counted.input.max(counted.estimated / LEAST_SHARE),
                covered: counted.estimated.saturating_sub(instructions),
            },
        }
    }

    /// What the provider adds to a prompt beyond our estimate of it.
    fn addition(&self) -> u32 {
        self.input.saturating_sub(self.estimated)
    }

    /// Size of what was in the counted prompt.
    fn scaled(&self, estimate: u32) -> u32 {
        let scaled = u64::from(estimate) * u64::from(self.input.min(self.estimated));
        u32::try_from(scaled.div_ceil(u64::from(self.estimated))).unwrap_or(u32::MAX)
    }

    /// Size of a turn; to be asked from the newest to the oldest.
    fn of_turn(&mut self, place: usize, estimate: u32) -> u32 {
        match self.place {
            Some(counted) if place == counted => self.answer,
            Some(counted) if place < counted => {
                let is_covered = estimate <= self.covered;
                self.covered = if is_covered { self.covered - estimate } else { 0 };
                if is_covered { self.scaled(estimate) } else { estimate }
            }
            _ => estimate,
        }
    }
}

/// The system prompt, the newest turns and the new message: the oldest turns are left out until the reserve of the answer
/// fits behind the rest. `CONTEXT_TOO_LONG` when the new message alone leaves too little.
pub fn build(
    model: &Model,
    system_prompt: Option<&str>,
    history: &[PastTurn],
    text: &str,
    reserve: Reserve,
) -> Result<Prompt> {
    let estimate = |text: &str| estimate_tokens(text).saturating_add(MESSAGE_OVERHEAD);
    let system = system_prompt.map(|text| ChatMessage { role: ChatRole::System, text: text.to_owned() });
    let newest = ChatMessage { role: ChatRole::User, text: text.to_owned() };
    let (new, instructions) = (estimate(text), system_prompt.map_or(0, estimate));
    let mut measure = Measure::new(model, history, instructions);
    let mut estimated = new.saturating_add(instructions);
    let mut tokens = new.saturating_add(measure.scaled(instructions));
    let limit = model.context_tokens.saturating_sub(reserve.least).min(reserve.most);
    if tokens > limit {
        let message = format!("This message is longer than the model `{}` can take.", model.key);
        return Err(AppError::new(ErrorCode::ContextTooLong, message).at("parts"));
    }
    let room = model.context_tokens.saturating_sub(reserve.usual).min(reserve.most);
    tokens = tokens.saturating_add(measure.addition()).min(limit);
    // Newest first.
    let mut kept = Vec::new();
    for (place, turn) in history.iter().enumerate().rev() {
        let text = Part::joined_text(&turn.parts);
        // An answer that was stopped before its first word says nothing.
        if text.is_empty() {
            continue;
        }
        let (estimate, role) = (estimate(&text), role_of(turn));
        let size = measure.of_turn(place, estimate);
        if tokens.saturating_add(size) > room {
            break;
        }
        tokens = tokens.saturating_add(size);
        estimated = estimated.saturating_add(estimate);
        kept.push((ChatMessage { role, text }, size, estimate));
    }
    // Without its question an answer says little, and some providers take no prompt that begins with one.
    while let Some((_, size, estimate)) = kept.pop_if(|(message, ..)| message.role == ChatRole::Assistant) {
        tokens -= size;
        estimated -= estimate;
    }
    let kept = kept.into_iter().rev().map(|(message, ..)| message);
    let messages = system.into_iter().chain(kept).chain([newest]).collect();
    Ok(Prompt { messages, tokens, estimated })
}

fn role_of(turn: &PastTurn) -> ChatRole {
    if turn.role == "assistant" { ChatRole::Assistant } else { ChatRole::User }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domains::catalog::Prices;

    fn model(context_tokens: u32) -> Model {
        Model {
            id: Uuid::nil(),
            key: "m".into(),
            name: "M".into(),
            provider: "p".into(),
            upstream_name: "m".into(),
            context_tokens,
            max_output_tokens: 10,
            aliases: Vec::new(),
            prices: Prices { input: 0, cached_input: 0, cache_write: 0, output: 0, reasoning: 0 },
            costs: None,
            unit_prices: Vec::new(),
        }
    }

    fn turn(role: &str, text: &str) -> PastTurn {
        PastTurn { role: role.into(), parts: vec![Part::Text { text: text.into() }], counted: None }
    }

    fn answer(text: &str, (estimated, input, output): (u32, u32, u32)) -> PastTurn {
        let counted = Counted { model_key: "m".into(), estimated, input, output };
        PastTurn { counted: Some(counted), ..turn("assistant", text) }
    }

    fn texts(prompt: &Prompt) -> Vec<&str> {
        prompt.messages.iter().map(|message| message.text.as_str()).collect()
    }

    const WIDE: Reserve = Reserve { least: 1, usual: 1, most: u32::MAX };

    #[test]
    fn the_oldest_turns_give_way_first() {
        let history = [turn("user", "aaaaaaaaa"), turn("user", "bbbbbbbbb"), turn("assistant", "ccc")];
        // The new message takes 5, the system prompt 5, "ccc" 5 and "b…" 7; "a…" does not fit into the last 3.
        let reserve = Reserve { least: 5, usual: 10, most: 100 };
        let prompt = build(&model(35), Some("sys"), &history, "new", reserve).unwrap();
        assert_eq!(texts(&prompt), ["sys", "bbbbbbbbb", "ccc", "new"]);
        assert_eq!((prompt.tokens, prompt.estimated), (22, 22));
    }

    #[test]
    fn a_prompt_does_not_begin_with_an_answer() {
        let history = [turn("user", "aaaaaaaaa"), turn("assistant", "bbbbbbbbb"), turn("user", "ccc")];
        let reserve = Reserve { least: 5, usual: 10, most: 100 };
        let prompt = build(&model(35), Some("sys"), &history, "new", reserve).unwrap();
        assert_eq!(texts(&prompt), ["sys", "ccc", "new"]);
        assert_eq!((prompt.tokens, prompt.estimated), (15, 15));
    }

    #[test]
    fn what_a_provider_counted_replaces_the_estimate_of_the_same() {
        // "sys" and "aaa…" were estimated as 5 and 14, counted as 10; the answer as 2, and 4 around it.
        let history = [turn("user", &"a".repeat(30)), answer(&"b".repeat(300), (19, 10, 2))];
        let prompt = build(&model(1_000), Some("sys"), &history, "new", WIDE).unwrap();
        assert_eq!((prompt.tokens, prompt.estimated), (3 + 8 + 6 + 5, 5 + 14 + 104 + 5));
        assert_eq!(prompt.held(), prompt.estimated, "the text may be another one by now");
        // More than estimated: the difference is what the provider adds to any prompt.
        let history = [turn("user", &"a".repeat(30)), answer("b", (19, 119, 2))];
        let prompt = build(&model(1_000), Some("sys"), &history, "new", WIDE).unwrap();
        assert_eq!((prompt.tokens, prompt.held()), (119 + 6 + 5, 119 + 6 + 5));
        // So much that nothing fits beside it: the new message is still sent.
        let history = [turn("user", "a"), answer("b", (10, u32::MAX, u32::MAX))];
        let prompt = build(&model(1_000), None, &history, "new", WIDE).unwrap();
        assert_eq!((texts(&prompt), prompt.tokens), (vec!["new"], 999));
    }

    #[test]
    fn what_was_not_in_the_counted_prompt_is_estimated() {
        let (long, question) = ("x".repeat(3_000), turn("user", "aaaaaaaaa"));
        // Seven were estimated, and the long turn was not among them.
        let history = [turn("user", &long), question.clone(), answer("b", (7, 2, 1))];
        let prompt = build(&model(10_000), None, &history, "new", WIDE).unwrap();
        assert_eq!(prompt.tokens, 1_004 + 2 + 5 + 5);
        let history = [turn("user", &long), question.clone(), answer("b", (1_011, 300, 1))];
        let prompt = build(&model(10_000), None, &history, "new", WIDE).unwrap();
        assert_eq!(prompt.tokens, 298 + 3 + 5 + 5);
        // Another model counts otherwise.
        let mut other = answer("b", (1_011, 300, 1));
        other.counted.as_mut().unwrap().model_key = "other".into();
        let prompt =
            build(&model(10_000), None, &[turn("user", &long), question, other], "new", WIDE).unwrap();
        assert_eq!(prompt.tokens, prompt.estimated);
    }

    #[test]
    fn what_a_plan_allows_bounds_the_prompt_like_the_model_does() {
        let reserve = Reserve { least: 1, usual: 1, most: 12 };
        let history = [turn("user", "aaaaaaaaa"), turn("user", "bbbbbbbbb")];
        let prompt = build(&model(1_000), None, &history, "new", reserve).unwrap();
        assert_eq!((prompt.messages.len(), prompt.tokens), (2, 12));
        let refused = build(&model(1_000), None, &[], &"x".repeat(40), reserve).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::ContextTooLong);
    }

    #[test]
    fn a_message_that_cannot_fit_is_refused() {
        let refused =
            build(&model(20), None, &[], &"x".repeat(40), Reserve { least: 10, usual: 10, most: 100 })
                .unwrap_err();
        assert_eq!(refused.code(), ErrorCode::ContextTooLong);
    }
}
