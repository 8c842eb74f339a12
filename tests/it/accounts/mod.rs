//! People: joining, signing in and out, and staying signed in.

use serde_json::{Value, json};

use crate::support::client::{Answer, Client};

mod sessions;
mod sign_in;

const PASSWORD: &str = "violet-tractor-lantern";

/// Somebody who is signed in, with both tokens.
pub struct Person {
    pub email: String,
    pub client: Client,
    pub refresh_token: String,
}

const TOKENS: &str = "viewer { user { email } session { id } } tokens { accessToken refreshToken }
    userErrors { code message field }";

impl Person {
    pub async fn join(nobody: &Client) -> Self {
        let email = format!("{}@example.com", uuid::Uuid::now_v7().simple());
        let answer = sign_up(nobody, &email, PASSWORD).await;
        Self::of(nobody, email, &answer.data()["signUp"])
    }

    /// The same person on another device.
    pub async fn sign_in(&self) -> Self {
        let nobody = Client::anonymous(&self.client.base_url);
        let answer = sign_in(&nobody, &self.email, PASSWORD).await;
        Self::of(&nobody, self.email.clone(), &answer.data()["signIn"])
    }

    fn of(client: &Client, email: String, payload: &Value) -> Self {
        let token =
            |name: &str| payload["tokens"][name].as_str().unwrap_or_else(|| panic!("{payload}")).to_owned();
        Self { email, client: client.with_token(token("accessToken")), refresh_token: token("refreshToken") }
    }

    /// Whether the API knows the access token.
    pub async fn is_signed_in(&self) -> bool {
        let answer = whoami(&self.client).await;
        match answer.errors().is_empty() {
            true => answer.data()["viewer"]["user"]["email"] == self.email.as_str(),
            false => {
                assert_eq!(answer.code(), "UNAUTHENTICATED");
                false
            }
        }
    }

    pub async fn sign_out(&self, everywhere: bool) {
        let mutation = "mutation($everywhere: Boolean!) {
            signOut(input: { everywhere: $everywhere }) { isAccepted userErrors { code } } }";
        let answer = self.client.gql(mutation, json!({ "everywhere": everywhere })).await;
        assert_eq!(answer.data()["signOut"], json!({ "isAccepted": true, "userErrors": [] }));
    }
}

async fn whoami(client: &Client) -> Answer {
    client.gql("{ viewer { user { email } } }", json!({})).await
}

pub async fn sign_up(client: &Client, email: &str, password: &str) -> Answer {
    let mutation = format!("mutation($input: SignUpInput!) {{ signUp(input: $input) {{ {TOKENS} }} }}");
    client.gql(&mutation, json!({ "input": { "email": email, "password": password } })).await
}

async fn sign_in(client: &Client, email: &str, password: &str) -> Answer {
    let mutation = format!("mutation($input: SignInInput!) {{ signIn(input: $input) {{ {TOKENS} }} }}");
    client.gql(&mutation, json!({ "input": { "email": email, "password": password } })).await
}

/// The payload of a refresh.
pub async fn refresh(client: &Client, token: &str) -> Value {
    let mutation = format!(
        "mutation($token: String!) {{ refreshSession(input: {{ refreshToken: $token }}) {{ {TOKENS} }} }}"
    );
    client.gql(&mutation, json!({ "token": token })).await.data()["refreshSession"].clone()
}
