//! Somebody who owns things.

use loquent::{
    domains::{
        accounts::AccountRow,
        catalog::Plan,
        conversations::{ConversationRow, MessageRow},
        generations::GenerationRow,
    },
    platform::ids::{Entity, Id},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::cases::Kind;
use crate::support::{app::TestApp, client::Client, provider::Script};

/// Somebody with a conversation, an answer in it and what it cost.
pub struct Tenant {
    pub email: String,
    pub client: Client,
    pub account: Uuid,
    pub conversation: Uuid,
    pub message: Uuid,
    pub question: Uuid,
    pub generation: Uuid,
    pub plan: Uuid,
}

impl Tenant {
    pub async fn join(app: &TestApp, name: &str) -> Self {
        let email =
            format!("{}-{}@example.com", name.to_lowercase().replace(' ', "-"), Uuid::now_v7().simple());
        let input = json!({ "email": email, "password": "violet-tractor-lantern", "name": name });
        let mutation = "mutation($input: SignUpInput!) { signUp(input: $input) {
            viewer { account { id plan { id } } } tokens { accessToken } } }";
        let joined = app.client.gql(mutation, json!({ "input": input })).await.data()["signUp"].clone();
        let client = app.client.with_token(joined["tokens"]["accessToken"].as_str().unwrap());
        app.provider.then(Script::text(&format!("{name} answers."), 2).usage(9, 5));
        let sent = client.send_text(&format!("{name} asks."), json!({})).await;
        client.wait_for_end(sent["assistantMessage"]["id"].as_str().unwrap()).await;
        Self {
            email,
            client,
            account: uuid::<AccountRow>(&joined["viewer"]["account"]["id"]),
            conversation: uuid::<ConversationRow>(&sent["conversation"]["id"]),
            message: uuid::<MessageRow>(&sent["assistantMessage"]["id"]),
            question: uuid::<MessageRow>(&sent["userMessage"]["id"]),
            generation: uuid::<GenerationRow>(&sent["assistantMessage"]["generation"]["id"]),
            plan: uuid::<Plan>(&joined["viewer"]["account"]["plan"]["id"]),
        }
    }

    pub fn id(&self, kind: Kind) -> String {
        kind.name(match kind {
            Kind::Account => self.account,
            Kind::Conversation => self.conversation,
            Kind::Message => self.message,
            Kind::Question => self.question,
            Kind::Generation => self.generation,
            Kind::Plan => self.plan,
        })
    }
}

pub fn uuid<E: Entity>(id: &Value) -> Uuid {
    Id::<E>::parse(id.as_str().unwrap()).unwrap().0
}
