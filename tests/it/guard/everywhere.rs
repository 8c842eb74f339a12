//! The corpus over every transport. The engine's own limits are off: the guard alone protects.

use loquent::graphql::guard::{Limits, check};

use super::{
    corpus::{Case, corpus},
    transports::{ALL, Transport, expected, send},
};
use crate::transport::probe::Site;

#[tokio::test]
async fn every_request_of_the_corpus_is_refused_with_the_same_code_on_every_transport() {
    let site = Site::start().await;
    let (mut wrong, mut sent) = (Vec::new(), 0);
    for case in corpus() {
        for transport in ALL {
            let Some(wanted) = expected(transport, &case) else { continue };
            let before = site.probe.reached();
            let found = send(transport, &site.client, &case).await;
            sent += 1;
            if found != wanted {
                wrong.push(format!("{}, {transport:?}: {found}, not {wanted}", case.name));
            }
            if !case.is_by_engine && site.probe.reached() != before {
                wrong.push(format!("{}, {transport:?}: the engine was reached", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(site.probe.executed(), 0);
    println!("guard corpus cases={} requests={sent} executed=0 ok", corpus().len());
}

#[test]
fn most_of_the_corpus_is_carried_by_every_transport() {
    let is_carried = |case: &&Case| ALL.iter().all(|&transport| expected(transport, case) == Some(case.code));
    let (corpus, mut names) = (corpus(), std::collections::HashSet::new());
    assert!(corpus.iter().all(|case| names.insert(case.name)));
    let carried = corpus.iter().filter(is_carried).count();
    assert!(carried * 10 > corpus.len() * 6, "{carried} of {}", corpus.len());
    assert!(corpus.iter().all(|case| expected(Transport::Post, case) == Some(case.code)));
}

#[test]
fn no_request_of_the_corpus_costs_more_than_its_bytes() {
    for case in corpus() {
        let Some(document) = case.query() else { continue };
        let steps = check(&document, None, &Limits::default())
            .map_or_else(|refusal| refusal.steps, |passed| passed.steps);
        assert!(steps <= super::work::STEPS_PER_BYTE * document.len() as u64 + 16, "{}: {steps}", case.name);
    }
}
