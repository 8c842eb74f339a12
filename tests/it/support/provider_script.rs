//! One answer of the scripted provider, put together step by step.

use bytes::Bytes;
use serde_json::{Value, json};

use super::Gate;

/// One answer. By default a stream of a friendly sentence with its usage, as OpenAI sends it.
#[derive(Debug, Clone)]
pub struct Script {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) head_gate: Option<Gate>,
    body: Body,
    reasoning: Option<String>,
    finish: Option<&'static str>,
    usage: Option<Value>,
    is_usage_in_last_chunk: bool,
    is_done_sent: bool,
    is_crlf: bool,
    has_comments: bool,
    is_split: bool,
    /// What happens once so many chunks of text are out, in order.
    events: Vec<(usize, Event)>,
}

#[derive(Debug, Clone)]
enum Body {
    Stream(Vec<String>),
    Document(String),
    Raw(String),
    Plain(String),
}

#[derive(Debug, Clone)]
enum Event {
    Wait(Gate),
    Stall,
    Drip,
    Break,
    /// Data of an extra event.
    Data(String),
}

/// What the provider does next.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Send(Bytes),
    Wait(Gate),
    Stall,
    Drip,
    Break,
}

impl Default for Script {
    fn default() -> Self {
        Self::text("Hello from the scripted provider.", 5).usage(9, 5)
    }
}

impl Script {
    /// A stream of `text` in about `chunks` pieces, without usage.
    pub fn text(text: &str, chunks: usize) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let size = chars.len().div_ceil(chunks.max(1)).max(1);
        Self::of(Body::Stream(chars.chunks(size).map(|piece| piece.iter().collect()).collect()))
    }

    /// A stream of exactly these pieces, empty ones included.
    pub fn pieces(pieces: &[&str]) -> Self {
        Self::of(Body::Stream(pieces.iter().map(|&piece| piece.to_owned()).collect()))
    }

    /// One JSON document, from a server that does not stream.
    pub fn document(text: &str) -> Self {
        Self::of(Body::Document(text.to_owned()))
    }

    /// Exactly these bytes as an event stream.
    pub fn raw(body: impl Into<String>) -> Self {
        Self::of(Body::Raw(body.into()))
    }

    /// A refusal in the words of OpenAI; [`Script::body`] replaces them.
    pub fn status(status: u16) -> Self {
        let words =
            json!({ "error": { "message": format!("scripted {status}"), "type": "scripted", "code": null } });
        Self { status, ..Self::of(Body::Plain(words.to_string())) }
    }

    fn of(body: Body) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            head_gate: None,
            body,
            reasoning: None,
            finish: Some("stop"),
            usage: None,
            is_usage_in_last_chunk: false,
            is_done_sent: true,
            is_crlf: false,
            has_comments: false,
            is_split: false,
            events: Vec::new(),
        }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Replaces the body of a refusal.
    pub fn body(mut self, body: impl Into<String>) -> Self {
        self.body = Body::Plain(body.into());
        self
    }

    /// Reasoning before the text, in the field `reasoning_content`.
    pub fn reasoning(mut self, text: &str) -> Self {
        self.reasoning = Some(text.to_owned());
        self
    }

    /// Another finish reason than `stop`.
    pub fn finish(mut self, reason: &'static str) -> Self {
        self.finish = Some(reason);
        self
    }

    /// Ends in order, but never says that the answer is whole.
    pub fn without_finish(mut self) -> Self {
        self.finish = None;
        self
    }

    /// Closes without `[DONE]`.
    pub fn without_done(mut self) -> Self {
        self.is_done_sent = false;
        self
    }

    /// Counted tokens, in a chunk of their own after the finish.
    pub fn usage(self, input: u32, output: u32) -> Self {
        self.usage_json(
            json!({ "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output }),
        )
    }

    /// The same in any shape.
    pub fn usage_json(mut self, usage: Value) -> Self {
        self.usage = Some(usage);
        self
    }

    /// The usage comes with the finish.
    pub fn usage_in_last_chunk(mut self) -> Self {
        self.is_usage_in_last_chunk = true;
        self
    }

    /// Sends not even the head of the response until the gate opens.
    pub fn gate(mut self, gate: &Gate) -> Self {
        self.head_gate = Some(gate.clone());
        self
    }

    /// Waits for the gate once `chunks` pieces of text are out.
    pub fn gate_after(self, chunks: usize, gate: &Gate) -> Self {
        self.event(chunks, Event::Wait(gate.clone()))
    }

    /// Falls silent once `chunks` pieces of text are out.
    pub fn stall_after(self, chunks: usize) -> Self {
        self.event(chunks, Event::Stall)
    }

    /// Sends nothing but comments, one every few milliseconds, once `chunks` pieces of text are out.
    pub fn drip_after(self, chunks: usize) -> Self {
        self.event(chunks, Event::Drip)
    }

    /// Breaks the connection once `chunks` pieces of text are out.
    pub fn cut_after(self, chunks: usize) -> Self {
        self.event(chunks, Event::Break)
    }

    /// Sends half a JSON object as the first event.
    pub fn malformed(self) -> Self {
        self.malformed_after(0)
    }

    /// Sends half a JSON object once `chunks` pieces of text are out.
    pub fn malformed_after(self, chunks: usize) -> Self {
        self.data_after(chunks, r#"{"choices":[{"delta":{"content":"hal"#)
    }

    /// Sends an event with any data once `chunks` pieces of text are out.
    pub fn data_after(self, chunks: usize, data: impl Into<String>) -> Self {
        self.event(chunks, Event::Data(data.into()))
    }

    /// Lines end in carriage return and line feed.
    pub fn crlf(mut self) -> Self {
        self.is_crlf = true;
        self
    }

    /// Comments keep the connection alive before each event.
    pub fn comments(mut self) -> Self {
        self.has_comments = true;
        self
    }

    /// Each byte is a chunk of the transfer.
    pub fn split_every_byte(mut self) -> Self {
        self.is_split = true;
        self
    }

    fn event(mut self, after: usize, event: Event) -> Self {
        self.events.push((after, event));
        self
    }

    pub(super) fn content_type(&self) -> &'static str {
        match self.body {
            Body::Stream(_) | Body::Raw(_) => "text/event-stream; charset=utf-8",
            Body::Document(_) | Body::Plain(_) => "application/json",
        }
    }

    pub(super) fn steps(&self) -> Vec<Step> {
        let steps = match &self.body {
            Body::Stream(pieces) => self.stream(pieces),
            Body::Document(text) => {
                let choice = json!({ "index": 0, "finish_reason": self.finish,
                    "message": { "role": "assistant", "content": text, "reasoning_content": self.reasoning } });
                let document =
                    json!({ "object": "chat.completion", "choices": [choice], "usage": self.usage });
                vec![send(document.to_string())]
            }
            Body::Raw(body) | Body::Plain(body) => vec![send(body.clone())],
        };
        if self.is_split { steps.into_iter().flat_map(split).collect() } else { steps }
    }

    fn stream(&self, pieces: &[String]) -> Vec<Step> {
        let mut steps = vec![self.chunk(json!({ "role": "assistant", "content": "" }), None, &Value::Null)];
        if let Some(reasoning) = &self.reasoning {
            steps.push(self.chunk(json!({ "reasoning_content": reasoning }), None, &Value::Null));
        }
        for sent in 0..=pieces.len() {
            for (_, event) in self.events.iter().filter(|(after, _)| *after == sent) {
                steps.push(match event {
                    Event::Wait(gate) => Step::Wait(gate.clone()),
                    Event::Stall => Step::Stall,
                    Event::Drip => Step::Drip,
                    Event::Break => Step::Break,
                    Event::Data(data) => self.sse(data),
                });
            }
            if let Some(piece) = pieces.get(sent) {
                steps.push(self.chunk(json!({ "content": piece }), None, &Value::Null));
            }
        }
        self.end(&mut steps);
        steps
    }

    fn end(&self, steps: &mut Vec<Step>) {
        let usage = self.usage.as_ref();
        if let Some(finish) = self.finish {
            let with_finish = usage.filter(|_| self.is_usage_in_last_chunk).unwrap_or(&Value::Null);
            steps.push(self.chunk(json!({}), Some(finish), with_finish));
        }
        if let Some(usage) = usage.filter(|_| !self.is_usage_in_last_chunk) {
            let chunk = json!({ "object": "chat.completion.chunk", "choices": [], "usage": usage });
            steps.push(self.sse(&chunk.to_string()));
        }
        if self.is_done_sent {
            steps.push(self.sse("[DONE]"));
        }
    }

    fn chunk(&self, delta: Value, finish: Option<&str>, usage: &Value) -> Step {
        let choice = json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish });
        let chunk = json!({ "id": "chatcmpl-test", "object": "chat.completion.chunk", "choices": [choice], "usage": usage });
        self.sse(&chunk.to_string())
    }

    fn sse(&self, data: &str) -> Step {
        let comment = if self.has_comments { ": still here\n\n" } else { "" };
        let event = format!("{comment}data: {data}\n\n");
        send(if self.is_crlf { event.replace('\n', "\r\n") } else { event })
    }
}

fn send(text: String) -> Step {
    Step::Send(Bytes::from(text))
}

fn split(step: Step) -> Vec<Step> {
    match step {
        Step::Send(bytes) => (0..bytes.len()).map(|at| Step::Send(bytes.slice(at..=at))).collect(),
        other => vec![other],
    }
}
