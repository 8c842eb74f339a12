//! Stopping the server.

use std::time::Duration;

use reqwest::Method;
use tokio::{io::AsyncReadExt, net::TcpStream};

use super::probe::{Site, take};
use crate::support::ws::{RawSocket, Socket};

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_drain_closes_sockets_and_lets_requests_finish() {
    let site = Site::start().await;
    let mut introduced = RawSocket::open(&site.client).await;
    introduced.init(None).await;
    let mut silent = RawSocket::open(&site.client).await;
    let client = site.client.clone();
    let request = client.gql_named("query Waits { __typename }", "Waits");
    let drain = async {
        take(&site.probe.begun).await;
        let drain = site.running.drain(PATIENCE);
        tokio::pin!(drain);
        tokio::select! {
            _ = &mut drain => panic!("a request was cut"),
            code = introduced.close_code() => assert_eq!(code, 1012),
        }
        assert_eq!(silent.close_code().await, 1012);
        site.probe.go.add_permits(1);
        drain.await
    };
    let (answer, is_clean) = tokio::join!(request, drain);
    assert_eq!(answer.data()["__typename"], "Query");
    assert!(is_clean);
    let port = client.base_url.trim_start_matches("http://");
    assert!(TcpStream::connect(port).await.is_err());
}

#[tokio::test]
async fn what_outlasts_the_patience_is_cut() {
    let site = Site::start().await;
    let client = site.client.clone();
    let request = client.post(r#"{"query":"query Hangs {__typename}","operationName":"Hangs"}"#);
    let request = request.header("content-type", "application/json").send();
    let drain = async {
        // The request is on its way as soon as another one has been answered after it.
        site.client.send(site.client.request(Method::GET, "/livez")).await;
        while site.probe.reached() == 0 {
            tokio::task::yield_now().await;
        }
        site.running.drain(Duration::from_millis(50)).await
    };
    let (answer, is_clean) = tokio::join!(request, drain);
    assert!(answer.is_err() && !is_clean);
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_a_drain() {
    let site = Site::start().await;
    let mut idle = TcpStream::connect(site.running.address).await.unwrap();
    site.client.send(site.client.request(Method::GET, "/livez")).await;
    assert!(site.running.drain(PATIENCE).await);
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn subscriptions_end_with_their_socket() {
    let site = Site::start().await;
    let socket = Socket::connect(&site.client).await;
    let document = "subscription Floods { messageStream(messageId: \"x\") { __typename } }";
    let mut flood = socket.subscribe_named(document, "Floods").await;
    flood.next().await;
    drop((flood, socket));
    assert!(site.running.drain(PATIENCE).await);
    assert!(site.tasks.wait(PATIENCE).await);
}
