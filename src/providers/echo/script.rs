//! What the built-in model is going to say, all of it decided before the first word.

use std::time::Duration;

use crate::providers::{
    error::ProviderErrorKind,
    types::{ChatRequest, ChatRole},
};

const MAX_WORDS: usize = 10_000;
const MAX_PACE: Duration = Duration::from_secs(1);

/// Bounds of what is quoted: a long message is not sent back whole.
const MAX_QUOTED_WORDS: usize = 40;
const MAX_QUOTED_CHARS: usize = 400;

/// Words before a cut or a stall, so that a person sees the answer begin.
const WORDS_BEFORE_FAULT: usize = 10;

const EXPLANATION: &str = "\n\nHere is what just happened. Loquent set credits aside for the longest answer that you \
    can pay for, and only then asked me. Every word you see was stored before it was sent, so you may close this \
    window, come back, and miss nothing. When I stop, you pay for the words I said and get the rest of your credits \
    back.\n\nI live inside the server and need no key. I do not think, I only repeat; name a real model when you want \
    real answers. Until then, try “/words 200”, “/pace 100ms”, “/think 20”, “/fail”, “/cut 10” or “/stall”.";

/// Said in a circle when a longer answer is wished for.
const ENCORE: &str = "You asked for a longer answer, so I go on. A stream is a queue of small promises, each kept \
    before the next is made. If you lose the connection now, ask again from the last number you saw. If you have read \
    enough, cancel me, and I stop within moments. I can keep this up for a while.\n\n";

const THOUGHTS: &str = "Let me see what was said, word by word, and what I can say back to it. ";

/// The course of one answer.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) reasoning: Vec<String>,
    pub(super) answer: Vec<String>,
    /// The output cap took words away.
    pub(super) is_capped: bool,
    pub(super) pace: Duration,
    pub(super) fault: Option<Fault>,
}

/// What goes wrong, on request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Refuse(ProviderErrorKind),
    /// After so many words of the answer.
    Cut {
        after: usize,
    },
    Stall {
        after: usize,
    },
}

impl Script {
    pub(super) fn of(request: &ChatRequest, pace: Duration, output_cap: u32) -> Self {
        let mut wishes = Wishes { pace, ..Wishes::default() };
        wishes.read(&request.model);
        let last = request.messages.iter().rfind(|message| message.role == ChatRole::User);
        let said = wishes.read(last.map_or("", |message| &message.text));

        let mut text = wishes.words.map_or_else(|| opening(&said), |words| lengthen(opening(&said), words));
        let stops = request.stop.iter().filter(|stop| !stop.is_empty());
        if let Some(end) = stops.filter_map(|stop| text.find(stop.as_str())).min() {
            text.truncate(end);
        }

        let cap = usize::try_from(output_cap).unwrap_or(usize::MAX);
        let mut reasoning: Vec<_> = pieces(THOUGHTS).cycle().take(wishes.think).map(str::to_owned).collect();
        let mut answer: Vec<_> = pieces(&text).map(str::to_owned).collect();
        let is_capped = reasoning.len() + answer.len() > cap;
        reasoning.truncate(cap);
        answer.truncate(cap - reasoning.len());
        Self { reasoning, answer, is_capped, pace: wishes.pace, fault: wishes.fault }
    }
}

/// What the slash words ask for.
#[derive(Default)]
struct Wishes {
    words: Option<usize>,
    pace: Duration,
    think: usize,
    fault: Option<Fault>,
}

impl Wishes {
    /// Takes the slash words out of `text` and returns the rest.
    fn read(&mut self, text: &str) -> String {
        let mut words = text.split_whitespace().peekable();
        let mut rest = Vec::new();
        while let Some(word) = words.next() {
            match word {
                "/words" => self.words = take(&mut words, number).or(self.words),
                "/think" => self.think = take(&mut words, number).unwrap_or(WORDS_BEFORE_FAULT),
                "/pace" => self.pace = take(&mut words, duration).unwrap_or(self.pace),
                "/fail" => self.fault = Some(Fault::Refuse(failure(take(&mut words, status)))),
                "/cut" => {
                    self.fault =
                        Some(Fault::Cut { after: take(&mut words, number).unwrap_or(WORDS_BEFORE_FAULT) })
                }
                "/stall" => {
                    self.fault =
                        Some(Fault::Stall { after: take(&mut words, number).unwrap_or(WORDS_BEFORE_FAULT) });
                }
                word => rest.push(word),
            }
        }
        rest.join(" ")
    }
}

/// Takes the next word if `parse` understands it.
fn take<'a, T>(
    words: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
    parse: fn(&str) -> Option<T>,
) -> Option<T> {
    let value = parse(words.peek()?)?;
    words.next();
    Some(value)
}

fn number(word: &str) -> Option<usize> {
    word.parse().ok().map(|number: usize| number.min(MAX_WORDS))
}

/// Milliseconds (`20`, `20ms`) or seconds (`2s`).
fn duration(word: &str) -> Option<Duration> {
    let (digits, unit) = word.split_at(word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len()));
    let amount = digits.parse().ok()?;
    let duration = match unit {
        "" | "ms" => Duration::from_millis(amount),
        "s" => Duration::from_secs(amount),
        _ => return None,
    };
    Some(duration.min(MAX_PACE))
}

fn status(word: &str) -> Option<u16> {
    word.parse().ok().filter(|status| (400..600).contains(status))
}

fn failure(status: Option<u16>) -> ProviderErrorKind {
    ProviderErrorKind::from_status(status.unwrap_or(503), Some(Duration::from_secs(1)))
}

/// Greeting, quotation, explanation.
fn opening(said: &str) -> String {
    if said.is_empty() {
        return format!("Hello! You left the words to me, so here are some.{EXPLANATION}");
    }
    format!("Hello! You wrote: “{}” Thank you, I like how that sounds.{EXPLANATION}", quote(said))
}

fn quote(said: &str) -> String {
    let words = said.split(' ').take(MAX_QUOTED_WORDS).collect::<Vec<_>>().join(" ");
    let quoted: String = words.chars().take(MAX_QUOTED_CHARS).collect();
    if quoted.len() < said.len() { quoted + "…" } else { quoted }
}

/// Exactly `words` words that begin with `text`.
fn lengthen(text: String, words: usize) -> String {
    let text = text + "\n\n";
    let text: String = pieces(&text).chain(pieces(ENCORE).cycle()).take(words).collect();
    text.trim_end().to_owned()
}

/// The words of `text`, each with the space behind it; joined they are `text` without the space before its first word.
fn pieces(text: &str) -> impl Iterator<Item = &str> + Clone {
    let mut rest = text.trim_start();
    std::iter::from_fn(move || {
        let word = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let space = rest[word..].find(|c: char| !c.is_whitespace()).unwrap_or(rest.len() - word);
        let (piece, after) = rest.split_at(word + space);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::types::ChatMessage;

    const PACE: Duration = Duration::from_millis(30);

    fn script(model: &str, text: &str, cap: u32) -> Script {
        let messages = vec![ChatMessage { role: ChatRole::User, text: text.to_owned() }];
        Script::of(&ChatRequest { model: model.to_owned(), messages, ..ChatRequest::default() }, PACE, cap)
    }

    #[test]
    fn a_default_reply_quotes_the_words_and_has_a_pleasant_length() {
        for text in ["", "hi", "a  b\n c", &"word ".repeat(5000), &"x".repeat(100_000)] {
            let script = script("echo", text, u32::MAX);
            assert!(
                (60..=200).contains(&script.answer.len()),
                "{} words for {:.20}",
                script.answer.len(),
                text
            );
            assert!(!script.is_capped && script.fault.is_none() && script.pace == PACE);
            assert!(script.answer.concat().len() < 3000);
        }
        assert!(script("echo", "how are\nyou?", u32::MAX).answer.concat().contains("“how are you?”"));
    }

    #[test]
    fn a_wished_length_is_exact() {
        for words in [0, 1, 7, 95, 96, 200, 1234] {
            assert_eq!(script("echo", &format!("hi /words {words}"), u32::MAX).answer.len(), words);
        }
        assert_eq!(script("echo", "/words 99999999", u32::MAX).answer.len(), MAX_WORDS);
        assert!(script("echo", "/words many", u32::MAX).answer.concat().contains("“many”"));
    }

    #[test]
    fn the_message_wins_over_the_name_of_the_model() {
        let script = script("echo /words 5 /pace 2s /think 3", "hello /words 6 /pace 0", u32::MAX);
        assert_eq!((script.answer.len(), script.pace, script.reasoning.len()), (6, Duration::ZERO, 3));
        assert_eq!(script.answer.concat(), "Hello! You wrote: “hello” Thank you,");
    }

    #[test]
    fn the_cap_counts_reasoning_and_answer_together() {
        let capped = script("echo", "/think 4 /words 10", 6);
        assert_eq!((capped.reasoning.len(), capped.answer.len(), capped.is_capped), (4, 2, true));
        let only_thoughts = script("echo", "/think 4 /words 10", 3);
        assert_eq!(
            (only_thoughts.reasoning.len(), only_thoughts.answer.len(), only_thoughts.is_capped),
            (3, 0, true)
        );
        assert!(!script("echo", "/think 4 /words 10", 14).is_capped);
    }

    #[test]
    fn a_stop_text_ends_the_answer_before_it() {
        let messages = vec![ChatMessage { role: ChatRole::User, text: "one STOP two".to_owned() }];
        let stop = vec![String::new(), " STOP".to_owned(), "two".to_owned()];
        let request = ChatRequest { messages, stop, ..ChatRequest::default() };
        assert_eq!(Script::of(&request, PACE, u32::MAX).answer.concat(), "Hello! You wrote: “one");
    }

    #[test]
    fn faults_are_what_was_asked_for() {
        use ProviderErrorKind::{Fault as Outage, RateLimited, Refused};
        let fault = |text: &str| script("echo", text, 50).fault;
        let busy = RateLimited { retry_after: Some(Duration::from_secs(1)) };
        assert_eq!(fault("/fail"), Some(Fault::Refuse(Outage)));
        assert_eq!(fault("/fail 429"), Some(Fault::Refuse(busy)));
        assert_eq!(fault("/fail 401 now"), Some(Fault::Refuse(Refused)));
        assert_eq!(fault("/fail 200"), Some(Fault::Refuse(Outage)));
        assert_eq!(fault("/cut 3"), Some(Fault::Cut { after: 3 }));
        assert_eq!(fault("please /stall"), Some(Fault::Stall { after: WORDS_BEFORE_FAULT }));
    }

    #[test]
    fn only_the_last_message_of_the_user_steers() {
        let message = |role, text: &str| ChatMessage { role, text: text.to_owned() };
        let messages = vec![
            message(ChatRole::User, "/fail"),
            message(ChatRole::Assistant, "/cut 1"),
            message(ChatRole::User, "hello"),
            message(ChatRole::Assistant, "/stall"),
        ];
        let request = ChatRequest { messages, ..ChatRequest::default() };
        assert_eq!(Script::of(&request, PACE, 500).fault, None);
    }
}
