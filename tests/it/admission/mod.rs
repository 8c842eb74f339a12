//! What is decided about whole operations before any of them is executed, over POST and over a socket.

mod access;
mod cost;
mod introspection;
mod variables;

use serde_json::{Value, json};

use crate::support::{
    client::Client,
    ws::{Event, Socket},
};

/// The errors of a refused request: over POST with this status and without data, over a socket the same as an `error`.
async fn refused(client: &Client, query: &str, variables: Value, status: u16) -> Vec<Value> {
    let answer = client.gql(query, variables.clone()).await;
    assert_eq!(answer.status.as_u16(), status, "{query}: {answer:?}");
    assert!(answer.body.get("data").is_none(), "{query}: {answer:?}");
    let socket = Socket::connect(client).await;
    let Event::Error(errors) = socket.subscribe(query, variables).await.next().await else {
        panic!("{query} was not refused over a socket")
    };
    let of_post: Vec<Value> = answer.errors().iter().map(anonymous).collect();
    let of_socket: Vec<Value> = errors.as_array().unwrap().iter().map(anonymous).collect();
    assert_eq!(of_post, of_socket, "{query}");
    of_post
}

/// An error without the id of its request.
fn anonymous(error: &Value) -> Value {
    let mut error = error.clone();
    assert!(error["extensions"]["requestId"].is_string(), "{error}");
    assert!(error.get("path").is_none(), "{error}");
    error["extensions"]["requestId"] = json!(null);
    error
}

fn code(errors: &[Value]) -> &str {
    match errors {
        [error] => error["extensions"]["code"].as_str().unwrap(),
        _ => panic!("not one error: {errors:?}"),
    }
}
