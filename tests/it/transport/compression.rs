//! What is compressed, and what is not.

use std::io::Read;

use flate2::read::GzDecoder;
use reqwest::{
    Method, Response,
    header::{ACCEPT_ENCODING, CONTENT_TYPE},
};
use serde_json::{Value, json};

use super::probe::Site;

const LARGE: &str = "{ __schema { types { name description fields { name description } } } }";

async fn post(site: &Site, query: &str, encoding: &str) -> Response {
    let request = site.client.post(json!({ "query": query }).to_string());
    let request = request.header(CONTENT_TYPE, "application/json").header(ACCEPT_ENCODING, encoding);
    request.send().await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_large_answer_is_compressed_for_who_accepts_it() {
    let site = Site::start().await;
    let plain = post(&site, LARGE, "identity").await;
    assert_eq!(header(&plain, "content-encoding"), "");
    // A cache must know that there are two.
    assert!(header(&plain, "vary").to_ascii_lowercase().contains("accept-encoding"));
    let plain = plain.bytes().await.unwrap();

    for accepted in ["gzip", "br, gzip;q=0.5"] {
        let packed = post(&site, LARGE, accepted).await;
        assert_eq!(header(&packed, "content-encoding"), "gzip", "{accepted}");
        assert!(header(&packed, "vary").to_ascii_lowercase().contains("accept-encoding"));
        assert!(header(&packed, "content-type").starts_with("application/json"));
        let packed = packed.bytes().await.unwrap();
        assert!(packed.len() * 2 < plain.len(), "{} of {} bytes", packed.len(), plain.len());
        let mut text = String::new();
        GzDecoder::new(&packed[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text.as_bytes(), plain);
    }
    let refused = post(&site, LARGE, "gzip;q=0").await;
    assert_eq!(header(&refused, "content-encoding"), "");
}

#[tokio::test]
async fn what_is_small_or_packed_already_is_left_alone() {
    let site = Site::start().await;
    let small = post(&site, "{ __typename }", "gzip").await;
    assert_eq!(header(&small, "content-encoding"), "");
    assert_eq!(small.json::<Value>().await.unwrap()["data"]["__typename"], "Query");

    let page = site.client.request(Method::GET, "/graphiql").header(ACCEPT_ENCODING, "br, gzip");
    let page = page.send().await.unwrap();
    assert_ne!(header(&page, "content-encoding"), "gzip");
}

#[tokio::test]
async fn streams_of_events_are_never_compressed() {
    let site = Site::start().await;
    let request = site.client.post(json!({ "query": LARGE }).to_string());
    let request = request.header(CONTENT_TYPE, "application/json").header("accept", "text/event-stream");
    let stream = request.header(ACCEPT_ENCODING, "gzip").send().await.unwrap();
    assert_eq!(header(&stream, "content-encoding"), "");
    assert!(stream.text().await.unwrap().starts_with("event: next\ndata: {"));
}
