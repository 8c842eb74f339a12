//! A client of the API over server-sent events, in the words of the protocol graphql-sse.

use std::time::Duration;

use reqwest::{
    Response,
    header::{ACCEPT, CONTENT_TYPE},
};
use serde_json::{Value, json};

use super::client::Client;

/// Longer than any event of a test takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// What came over a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// A result: `data`, `errors`.
    Next(Value),
    Complete,
    /// A comment, which means nothing.
    Comment,
    /// The body is over, in order or not.
    Ended,
}

/// The results of one operation.
pub struct EventStream {
    pub response: Response,
    rest: String,
}

impl Client {
    /// Starts an operation of any kind.
    pub async fn stream(&self, query: &str, variables: Value) -> EventStream {
        self.open_stream(json!({ "query": query, "variables": variables })).await
    }

    /// Starts the operation of this name.
    pub async fn stream_named(&self, query: &str, name: &str) -> EventStream {
        self.open_stream(json!({ "query": query, "operationName": name })).await
    }

    /// The same with any body.
    pub async fn open_stream(&self, body: Value) -> EventStream {
        let request = self.post(body.to_string()).header(CONTENT_TYPE, "application/json");
        let response = request.header(ACCEPT, "text/event-stream").send().await.unwrap();
        EventStream { response, rest: String::new() }
    }
}

impl EventStream {
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// A header as text, empty without it.
    pub fn header(&self, name: &str) -> &str {
        self.response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Code of the only error of a request that was refused by HTTP.
    pub async fn refusal(self) -> String {
        let body: Value = self.response.json().await.unwrap();
        body["errors"][0]["extensions"]["code"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned()
    }

    /// The next event; comments are left out.
    pub async fn next(&mut self) -> Frame {
        loop {
            match self.next_frame().await {
                Frame::Comment => {}
                frame => return frame,
            }
        }
    }

    /// The next event or comment.
    pub async fn next_frame(&mut self) -> Frame {
        loop {
            if let Some((frame, rest)) = self.rest.split_once("\n\n") {
                let (frame, rest) = (parse(frame), rest.to_owned());
                self.rest = rest;
                return frame;
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await.expect("a chunk in time");
            match chunk {
                Ok(Some(chunk)) => self.rest.push_str(std::str::from_utf8(&chunk).unwrap()),
                Ok(None) | Err(_) => return Frame::Ended,
            }
        }
    }

    /// The results up to the end, which must be in order.
    pub async fn results(mut self) -> Vec<Value> {
        let mut results = Vec::new();
        loop {
            match self.next().await {
                Frame::Next(result) => results.push(result),
                Frame::Complete => break,
                other => panic!("{other:?} after {results:?}"),
            }
        }
        assert_eq!(self.next().await, Frame::Ended);
        results
    }
}

fn parse(frame: &str) -> Frame {
    match frame.split_once('\n') {
        None if frame == ":" => Frame::Comment,
        Some(("event: complete", "data: ")) => Frame::Complete,
        Some(("event: next", data)) => {
            Frame::Next(serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap())
        }
        _ => panic!("not of the protocol: {frame:?}"),
    }
}
