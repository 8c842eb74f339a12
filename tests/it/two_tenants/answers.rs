//! What callers are answered, to be compared byte by byte.

use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::support::{
    app::new_key,
    client::Client,
    ws::{Event, Socket},
};

/// What the caller gets, byte by byte, with the id and the id of the request replaced.
pub async fn answer(client: &Client, operation: &str, id: &str) -> (u16, String) {
    let variables = json!({ "id": id, "key": new_key() });
    let (status, text) = if operation.starts_with("subscription") {
        let socket = Socket::connect(client).await;
        let mut events = socket.subscribe(operation, variables).await;
        let text = match events.next().await {
            Event::Next(event) | Event::Error(event) => event.to_string(),
            other => panic!("{other:?}"),
        };
        (0, text)
    } else {
        let names: Vec<&str> =
            ["id", "key"].into_iter().filter(|name| operation.contains(&format!("${name}"))).collect();
        let variables: Value =
            names.into_iter().map(|name| (name.to_owned(), variables[name].clone())).collect();
        let body = json!({ "query": operation, "variables": variables });
        let request = client.post(body.to_string()).header(CONTENT_TYPE, "application/json");
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    (status, mask(text.replace(id, "THE-ID")))
}

/// Replaces the ids of requests, which are uuids and the only ones that clients see.
fn mask(text: String) -> String {
    let mut masked = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("requestId") {
        let (before, after) = rest.split_at(at + "requestId".len());
        masked.push_str(before);
        let start = after.find(|char: char| char.is_ascii_alphanumeric()).unwrap();
        let value = &after[start..];
        let end = value.find(|char: char| !char.is_ascii_alphanumeric() && !"-_".contains(char)).unwrap();
        assert!(end > 10, "no id of a request: {value}");
        masked.push_str(&after[..start]);
        rest = &value[end..];
    }
    masked + rest
}
