//! The address of a client behind proxies: what it bounds, and what is stored of it.

use loquent::graphql::transport::Settings;
use serde_json::json;

use super::probe::{Site, configured};
use crate::support::{db::TestDb, rows::row, ws::RawSocket};

/// Opens a socket for a client that a proxy says is there; the status of a refusal.
async fn open(site: &Site, forwarded_for: &str) -> Result<RawSocket, u16> {
    let headers = [("sec-websocket-protocol", "graphql-transport-ws"), ("x-forwarded-for", forwarded_for)];
    RawSocket::try_open(&site.client, &headers).await.map_err(|(status, _)| status)
}

/// One socket an address, behind the proxies that a line of configuration trusts.
fn one_each(line: &'static str) -> impl FnOnce(&mut Settings) {
    move |settings| {
        let file = format!("[server]\n{line}\n[limits]\nsockets_per_address = 1");
        *settings = configured(false, &file);
    }
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_has_its_own_places() {
    let site = Site::start_with(one_each("trusted_proxies = [\"127.0.0.0/8\"]"), Vec::new()).await;
    let _first = open(&site, "203.0.113.7").await.unwrap();
    let _second = open(&site, "203.0.113.8").await.unwrap();
    assert_eq!(open(&site, "203.0.113.7").await.err(), Some(429));
    // What the client wrote itself stands left of what the proxy saw.
    assert_eq!(open(&site, "203.0.113.9, 203.0.113.7").await.err(), Some(429));
}

#[tokio::test]
async fn nobody_else_is_believed() {
    for line in ["", "trusted_proxies = [\"10.0.0.0/8\"]"] {
        let site = Site::start_with(one_each(line), Vec::new()).await;
        let _first = open(&site, "203.0.113.7").await.unwrap();
        assert_eq!(open(&site, "203.0.113.8").await.err(), Some(429), "{line}");
    }
}

#[tokio::test]
async fn a_session_remembers_where_its_client_was() {
    let db = TestDb::create().await;
    for (line, expected) in
        [("trusted_proxies = [\"127.0.0.1\"]", "203.0.113.7"), ("trusted_proxies = []", "127.0.0.1")]
    {
        let site = Site::start_on(&db.url, one_each(line), Vec::new()).await;
        let email = format!("{}@example.com", uuid::Uuid::now_v7().simple());
        let query = "mutation($input: SignUpInput!) { signUp(input: $input) { tokens { accessToken } } }";
        let input = json!({ "email": email, "password": "violet-tractor-lantern" });
        let body = json!({ "query": query, "variables": { "input": input } }).to_string();
        let request = site.client.post(body).header("content-type", "application/json");
        let answer = site.client.send(request.header("x-forwarded-for", "203.0.113.7")).await;
        assert!(answer.data()["signUp"]["tokens"].is_object(), "{answer:?}");
        let query = "SELECT ip_address FROM sessions ORDER BY created_at DESC LIMIT 1";
        assert_eq!(row(&db.url, query).await["ip_address"], expected);
    }
}
