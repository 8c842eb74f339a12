//! The built-in model, where it is more than any other provider.

use std::time::{Duration, Instant};

use loquent::providers::{
    echo::{Echo, EchoSettings},
    types::{ChatEvent, ChatMessage, ChatRole},
};

use super::{ask, limits, request};

fn echo() -> Echo {
    Echo::new(EchoSettings { pace: Duration::ZERO, limits: limits() })
}

#[tokio::test]
async fn it_says_the_same_to_the_same_words() {
    let first = ask(&echo(), &request("Good morning"), 1000).await;
    let second = ask(&echo(), &request("Good morning"), 1000).await;
    assert_eq!(first.events, second.events);
    assert!(first.text().starts_with("Hello! You wrote: “Good morning”"), "{}", first.text());
}

#[tokio::test]
async fn every_word_is_one_token() {
    let mut request = request("three short words /words 300");
    request.messages.insert(0, ChatMessage { role: ChatRole::System, text: "Be  brief.\n".to_owned() });
    let answer = ask(&echo(), &request, 1000).await;
    let usage = answer.usage().unwrap();
    assert_eq!((usage.input, usage.output), (7, 300));
    assert_eq!(answer.text().split_whitespace().count(), 300);
    assert_eq!(answer.events.iter().filter(|event| matches!(event, ChatEvent::Text(_))).count(), 300);
}

#[tokio::test]
async fn it_takes_the_time_it_is_told() {
    let begun = Instant::now();
    ask(&echo(), &request("/words 20 /pace 5ms"), 1000).await;
    assert!(begun.elapsed() >= Duration::from_millis(100));
}
