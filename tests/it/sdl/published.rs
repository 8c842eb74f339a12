//! `GET /graphql/schema.graphql`.

use std::{net::Ipv4Addr, time::Duration};

use loquent::{
    graphql::roots::sdl,
    server::{Routes, Server},
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{
    app::{TestApp, config},
    client::Client,
};

const PATH: &str = "/graphql/schema.graphql";

async fn read(client: &Client, known: Option<&str>) -> (u16, reqwest::header::HeaderMap, String) {
    let request = client.request(Method::GET, PATH);
    let request = match known {
        Some(tag) => request.header("if-none-match", tag),
        None => request,
    };
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.headers().clone(), response.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn in_development_everybody_reads_the_schema() {
    let app = TestApp::start().await;
    let (status, headers, text) = read(&app.client, None).await;
    assert_eq!((status, text == sdl()), (200, true));
    assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(headers["cache-control"], "no-cache");
    assert_eq!(headers["x-content-type-options"], "nosniff");

    let tag = headers["etag"].to_str().unwrap();
    for known in [tag, &format!("W/\"other\", {tag}"), "*"] {
        let (status, headers, text) = read(&app.client, Some(known)).await;
        assert_eq!((status, text.as_str()), (304, ""), "{known}");
        assert_eq!(headers["etag"], tag);
    }
    assert_eq!(read(&app.client, Some("W/\"other\"")).await.0, 200);
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_production_only_who_is_signed_in_reads_the_schema() {
    let app = TestApp::start().await;
    let mut state = app.app.server(&config("", app.provider.base_url()), Routes::All { graphiql: None });
    state.settings.introspection = loquent::graphql::admission::Introspection::Authenticated;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let running = Server::start(state, listener).unwrap();
    let stranger = Client::anonymous(format!("http://{}", running.address));
    let person = stranger.with_token(app.client.sign_up().await.token.unwrap());

    let (status, headers, text) = read(&person, None).await;
    assert_eq!((status, text == sdl()), (200, true));
    assert!(headers.get_all("vary").iter().any(|value| value == "authorization"));
    let tag = headers["etag"].to_str().unwrap();
    for client in [stranger.clone(), stranger.with_token("nonsense")] {
        // What one has already is no way in either.
        for known in [None, Some(tag), Some("*")] {
            let (status, headers, text) = read(&client, known).await;
            let body: Value = serde_json::from_str(&text).unwrap();
            assert_eq!((status, &body["errors"][0]["extensions"]["code"]), (401, &json!("UNAUTHENTICATED")));
            assert!(body.get("data").is_none() && headers.get("etag").is_none());
        }
    }
    assert!(running.drain(Duration::from_secs(5)).await);
    app.close().await;
}
