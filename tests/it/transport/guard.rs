//! What a refusal says, and bodies that are no requests. The table of hostile requests is in `guard/corpus.rs`.

use reqwest::header::CONTENT_TYPE;
use serde_json::json;

use super::probe::Site;

#[tokio::test]
async fn an_excess_says_what_was_measured_and_allowed() {
    let site = Site::start().await;
    let answer = site.client.gql(&format!("{}{}", "{a".repeat(500), "}".repeat(500)), json!({})).await;
    let extensions = &answer.errors()[0]["extensions"];
    assert!(extensions["measured"].as_u64() > extensions["maximum"].as_u64(), "{extensions}");
    assert!(answer.errors()[0]["locations"][0]["line"].is_u64());
}

#[tokio::test]
async fn a_body_of_8_mib_is_refused_without_being_read() {
    let site = Site::start().await;
    let body = json!({ "query": "{__typename}", "x": "x".repeat(8 << 20) }).to_string();
    let request = site.client.post(body).header(CONTENT_TYPE, "application/json");
    let answer = site.client.send(request).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (413, "BAD_USER_INPUT"));
    assert_eq!(site.probe.reached(), 0);
}

#[tokio::test]
async fn a_body_of_no_announced_length_is_cut_at_the_limit() {
    let site = Site::start().await;
    let chunks = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 64 * 1024]));
    let chunks = futures_util::StreamExt::take(chunks, 17);
    let request =
        site.client.post(reqwest::Body::wrap_stream(chunks)).header(CONTENT_TYPE, "application/json");
    let answer = site.client.send(request).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (413, "BAD_USER_INPUT"));
}

#[tokio::test]
async fn invalid_utf_8_and_invalid_json_are_refused() {
    let site = Site::start().await;
    for body in [b"{\"query\":\"{\xff}\"}".as_slice(), b"{\"query\":", b"[]", b""] {
        let request = site.client.post(body.to_vec()).header(CONTENT_TYPE, "application/json");
        let answer = site.client.send(request).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (400, "BAD_USER_INPUT"));
    }
    assert_eq!(site.probe.reached(), 0);
}
