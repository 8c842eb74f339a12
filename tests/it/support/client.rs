//! A client of the API over HTTP, as an application would write it.

use std::time::Duration;

use loquent::platform::http_client;
use reqwest::{
    RequestBuilder, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde_json::{Value, json};

/// Somebody who calls the API; without a token nobody in particular.
#[derive(Clone)]
pub struct Client {
    /// Such as `http://127.0.0.1:3000`.
    pub base_url: String,
    /// Access token.
    pub token: Option<String>,
    http: reqwest::Client,
}

/// What the server said.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// `Null` when it was not JSON.
    pub body: Value,
}

impl Client {
    /// A caller without a credential.
    pub fn anonymous(base_url: impl Into<String>) -> Self {
        let http = http_client::build(Duration::from_secs(5)).unwrap();
        Self { base_url: base_url.into(), token: None, http }
    }

    /// The same with another credential.
    pub fn with_token(&self, token: impl Into<String>) -> Self {
        Self { token: Some(token.into()), ..self.clone() }
    }

    /// The same person from another address of this machine, such as 127.0.0.2.
    pub fn at_address(&self, address: std::net::IpAddr) -> Self {
        let http = reqwest::Client::builder().local_address(address).no_proxy().build().unwrap();
        Self { http, ..self.clone() }
    }

    /// Runs an operation.
    pub async fn gql(&self, query: &str, variables: Value) -> Answer {
        self.run(json!({ "query": query, "variables": variables })).await
    }

    /// Runs the operation of this name.
    pub async fn gql_named(&self, query: &str, name: &str) -> Answer {
        self.run(json!({ "query": query, "operationName": name })).await
    }

    async fn run(&self, body: Value) -> Answer {
        self.send(self.post(body.to_string()).header(CONTENT_TYPE, "application/json")).await
    }

    /// A request to the API without a content type.
    pub fn post(&self, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.request(reqwest::Method::POST, "/graphql").body(body)
    }

    /// A request to any path, with the credential.
    pub fn request(&self, method: reqwest::Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base_url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request made by [`Self::request`]. One that says nothing of it accepts the newer type of answer, whose
    /// status tells a refusal.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let mut request = request.timeout(Duration::from_secs(60)).build().unwrap();
        let newer = HeaderValue::from_static("application/graphql-response+json");
        request.headers_mut().entry(ACCEPT).or_insert(newer);
        let response = self.http.execute(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.bytes().await.unwrap();
        Answer { status, headers, body: serde_json::from_slice(&bytes).unwrap_or_default() }
    }

    /// Joins as somebody new and returns the client signed in.
    pub async fn sign_up(&self) -> Self {
        let email = format!("{}@example.com", uuid::Uuid::now_v7().simple());
        let answer = self
            .gql(
                "mutation($input: SignUpInput!) {
                    signUp(input: $input) { tokens { accessToken } userErrors { code message } }
                }",
                json!({ "input": { "email": email, "password": "violet-tractor-lantern" } }),
            )
            .await;
        let token = answer.data()["signUp"]["tokens"]["accessToken"].as_str();
        self.with_token(token.unwrap_or_else(|| panic!("{answer:?}")))
    }
}

impl Answer {
    /// The data of an operation without top-level errors.
    pub fn data(&self) -> &Value {
        assert!(self.body.get("errors").is_none(), "{self:?}");
        &self.body["data"]
    }

    /// The top-level errors, none for a success.
    pub fn errors(&self) -> &[Value] {
        self.body["errors"].as_array().map_or(&[], Vec::as_slice)
    }

    /// Code of the only top-level error.
    pub fn code(&self) -> &str {
        match self.errors() {
            [error] => error["extensions"]["code"].as_str().unwrap_or_else(|| panic!("{self:?}")),
            _ => panic!("not one error: {self:?}"),
        }
    }

    /// The user errors of a root field.
    pub fn user_errors(&self, field: &str) -> &[Value] {
        self.data()[field]["userErrors"].as_array().map_or(&[], Vec::as_slice)
    }

    /// A header as text, empty without it.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}
