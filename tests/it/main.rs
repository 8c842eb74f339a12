#![recursion_limit = "256"]
use async_graphql::{Request, Variables};
use futures_util::StreamExt;
use loquent::{
    app::App,
    config::*,
    domains::accounts::Origin,
    graphql::{Caller, RequestId},
    platform::clock::Clock,
};
use std::collections::BTreeMap;

fn caller(viewer: Option<loquent::domains::accounts::Viewer>) -> Caller {
    Caller {
        viewer,
        origin: Origin { ip_address: "1".into(), user_agent: None },
        request_id: RequestId("x".into()),
    }
}
#[tokio::test(flavor = "multi_thread")]
async fn smoke() {
    tracing_subscriber::fmt().init();
    let sources = Sources {
        flags: Flags { is_dev: true, ..Default::default() },
        directories: Some(Directories { data: "/tmp/x".into(), cache: "/tmp/x".into() }),
        env: BTreeMap::new(),
        file: None,
    };
    let config = Config::load(sources).unwrap();
    let key = SigningKey { kid: "a".into(), secret: "0123456789abcdef0123456789abcdef".to_string().into() };
    let app = App::start(&config, &[key], "postgres://postgres@localhost/s?host=/tmp/pg", Clock::default())
        .await
        .unwrap();
    let run = |q: &str, v: serde_json::Value, viewer| {
        let request =
            app.api.prepare(Request::new(q.to_owned()).variables(Variables::from_json(v)), caller(viewer));
        let schema = app.api.schema.clone();
        async move {
            let r = schema.execute(request).await;
            serde_json::to_value(&r).unwrap()
        }
    };
    let email = format!("a{}@example.com", uuid::Uuid::new_v4().simple());
    let r = run("mutation($i: SignUpInput!){signUp(input:$i){viewer{user{id email} account{id creditBalance{available revision} plan{key}}} tokens{accessToken refreshToken} userErrors{code message field}}}", serde_json::json!({"i":{"email":email,"password":"violet-tractor-lantern"}}), None).await;
    println!("{r:#}");
    let token = r["data"]["signUp"]["tokens"]["accessToken"].as_str().unwrap().to_owned();
    let refresh = r["data"]["signUp"]["tokens"]["refreshToken"].as_str().unwrap().to_owned();
    let viewer = app.accounts.authenticate(&token).await.unwrap();
    let send = "mutation($i: SendMessageInput!){sendMessage(input:$i){conversation{id title} userMessage{id text author{name}} assistantMessage{id status streamSequence generation{id charge{creditsHeld creditsCharged}}} creditBalance{available held} userErrors{code message field}}}";
    let r = run(send, serde_json::json!({"i":{"parts":[{"text":"Hello /words 30 /pace 5ms"}],"idempotencyKey":"abcdefgh1"}}), Some(viewer)).await;
    println!("{r:#}");
    let r2 = run(send, serde_json::json!({"i":{"parts":[{"text":"Hello /words 30 /pace 5ms"}],"idempotencyKey":"abcdefgh1"}}), Some(viewer)).await;
    println!("{r2:#}");
    let id = r["data"]["sendMessage"]["assistantMessage"]["id"].as_str().unwrap().to_owned();
    let sub = "subscription($id: ID!, $after: Int){messageStream(messageId:$id, after:$after){__typename sequence ...on MessageSnapshot{message{text status}} ... on TextDelta{text} ... on MessageFinished{finishReason message{text generation{charge{creditsCharged usage{inputTokens outputTokens source}}}} creditBalance{available held revision}} ... on MessageFailed{error{code message}}}}";
    let request = app.api.prepare(
        Request::new(sub).variables(Variables::from_json(serde_json::json!({"id":id}))),
        caller(Some(viewer)),
    );
    let mut s = app.api.schema.execute_stream(request);
    while let Some(r) = s.next().await {
        println!("{}", serde_json::to_value(&r).unwrap());
    }
    let conv = r["data"]["sendMessage"]["conversation"]["id"].as_str().unwrap().to_owned();
    for k in 0..3 {
        let r = run(send, serde_json::json!({"i":{"conversationId":conv,"parts":[{"text":"again /words 5 /pace 0ms"}],"idempotencyKey":format!("abcdefgh{}", k+5)}}), Some(viewer)).await;
        println!("{r}");
    }
    let r = run("{viewer{user{name} session{id userAgent} accounts{id} account{conversations{nodes{id title head{text status author{name}} messages(last:3){nodes{role text author{name} parts{index}}pageInfo{hasPreviousPage startCursor}}}} ledger(first:4){nodes{id kind amount balanceAfter description subject{id} user{name} createdAt} pageInfo{hasNextPage endCursor}}}}}", serde_json::json!({}), Some(viewer)).await;
    println!("{r:#}");
    let r = run(
        "mutation($t:String){refreshSession(input:{refreshToken:$t}){tokens{refreshToken} userErrors{code}}}",
        serde_json::json!({"t":refresh}),
        None,
    )
    .await;
    println!("{r}");
    let r2 = run(
        "mutation($t:String){refreshSession(input:{refreshToken:$t}){tokens{refreshToken} userErrors{code}}}",
        serde_json::json!({"t":refresh}),
        None,
    )
    .await;
    println!("{r2}");
    let (c, d) = app.credits.check().await.unwrap();
    println!("{c:?} {d:?}");
    println!("{}", loquent::graphql::roots::sdl().len());
    println!("stopped {}", app.stop(std::time::Duration::from_secs(3)).await);
}
