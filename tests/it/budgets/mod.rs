//! What every operation of the API asks of the database, beside this in `budgets.txt`: so many *statements*, and so many
//! *flights*, which is how often it waits for the database, however much is under way at a time. Each is asked for with all
//! its fields, over the wire, warm, and with ten and a thousand rows of everything, which makes no
//! difference.
//!
//! A number that changes fails here. When it is meant to be, `TEST_BUDGETS=write cargo test --test it budgets` writes the
//! file again, and its reader sees both numbers in the diff.

mod accounts;
mod documents;
mod stage;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    path::PathBuf,
};

use self::{
    documents::documents,
    stage::{GENERATE, Stage},
};
use crate::support::{app::SEND, cluster::variable, proxy::Flight, traffic::show};

const SIZES: [usize; 2] = [10, 1000];
/// Until every connection has prepared what it is asked for.
const WARM_UPS: usize = 40;
/// Calls that cost the same.
const CALLS: usize = 3;
/// The lines of the file beside those of root fields.
const UNTIL_THE_PROVIDER: [&str; 2] =
    ["mutation sendMessage, until the provider is called", "mutation generate, until the provider is called"];
const REWRITE: &str = "TEST_BUDGETS=write cargo test --test it budgets";

/// What an operation costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Cost {
    statements: usize,
    flights: usize,
}

impl Cost {
    /// What cannot be kept prepared is forgotten by a message of its own, without text, and costs one more flight.
    fn of(flights: &[Flight]) -> Self {
        let (forgotten, named): (Vec<&Flight>, Vec<&Flight>) =
            flights.iter().filter(|flight| !flight.is_preparation).partition(|flight| flight.sql.is_empty());
        let waves: BTreeSet<usize> = named.iter().map(|flight| flight.wave).collect();
        Self { statements: named.len(), flights: waves.len() + forgotten.len() }
    }
}

type Costs = BTreeMap<String, (Cost, String)>;

#[tokio::test]
async fn every_operation_asks_the_database_what_its_budget_says_at_10_and_at_1000_rows() {
    let mut at_sizes = Vec::new();
    for rows in SIZES {
        let mut stage = Stage::start(rows).await;
        at_sizes.push(measure(&mut stage).await);
        stage.app.close().await;
    }
    let [few, many] = at_sizes.try_into().unwrap();
    for (name, (cost, statements)) in &few {
        let (at_many, more) = &many[name];
        assert_eq!(cost, at_many, "{name} at {SIZES:?} rows:\n{statements}and\n{more}");
    }
    let measured: BTreeMap<String, Cost> =
        few.iter().map(|(name, (cost, _))| (name.clone(), *cost)).collect();
    if variable("TEST_BUDGETS").as_deref() == Some("write") {
        std::fs::write(file(), write(&measured)).unwrap();
    }
    let promised = read(&std::fs::read_to_string(file()).unwrap_or_default());
    let changes = changes(&promised, &measured);
    for name in measured.keys().filter(|name| promised.get(*name) != measured.get(*name)) {
        println!("{name}:\n{}", few[name].1);
    }
    assert!(changes.is_empty(), "{changes}If this is meant to be: {REWRITE}");
    for name in UNTIL_THE_PROVIDER {
        assert_eq!(measured[name], Cost { statements: 2, flights: 2 }, "{name}");
    }
    println!("budgets n={} rows={SIZES:?} ok", measured.len());
}

/// The costs of all operations.
async fn measure(stage: &mut Stage) -> Costs {
    let mut costs = Costs::new();
    for document in documents() {
        assert!(document.levels >= 3, "`{}` has become too wide to be looked at", document.name);
        let cost = steady(stage, &document.name, &document.text).await;
        costs.insert(document.name, cost);
    }
    let [send, generate] = UNTIL_THE_PROVIDER;
    for (name, document) in [(send, SEND), (generate, GENERATE)] {
        costs.insert(name.to_owned(), steady(stage, name, document).await);
    }
    costs
}

/// What a call costs once it is warm, with its statements: the least, which so many calls have cost. Beside a call there may
/// be something that the process does by itself.
async fn steady(stage: &mut Stage, name: &str, document: &str) -> (Cost, String) {
    let mut seen: BTreeMap<Cost, (usize, String)> = BTreeMap::new();
    for _ in 0..WARM_UPS {
        let flights = match name {
            name if UNTIL_THE_PROVIDER.contains(&name) => stage.until_the_provider(document).await,
            _ => stage.call(name, document).await,
        };
        let cost = Cost::of(&flights);
        seen.entry(cost).or_insert_with(|| (0, show(&flights))).0 += 1;
        let (least, (times, statements)) = seen.first_key_value().unwrap();
        if *times == CALLS {
            return (*least, statements.clone());
        }
    }
    // What was seen less often was not yet warm.
    let often = seen.iter().find(|(_, (times, _))| *times >= CALLS);
    let (least, (_, statements)) =
        often.unwrap_or_else(|| panic!("{name} costs something else each time: {seen:#?}"));
    (*least, statements.clone())
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/budgets/budgets.txt")
}

fn write(costs: &BTreeMap<String, Cost>) -> String {
    let mut text = format!(
        "# What every operation asks of the database: see mod.rs. Written by `{REWRITE}`.\n# {:<54}{:>10}{:>10}\n",
        "operation", "statements", "flights"
    );
    for (name, cost) in costs {
        writeln!(text, "{name:<56}{:>10}{:>10}", cost.statements, cost.flights).unwrap();
    }
    text
}

fn read(text: &str) -> BTreeMap<String, Cost> {
    let line = |line: &str| {
        let (rest, flights) = line.rsplit_once(' ')?;
        let (name, statements) = rest.trim_end().rsplit_once(' ')?;
        let cost = Cost { statements: statements.parse().ok()?, flights: flights.parse().ok()? };
        Some((name.trim_end().to_owned(), cost))
    };
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|text| line(text).unwrap_or_else(|| panic!("no budget: {text}"))).collect()
}

/// What differs, a line each with both numbers.
fn changes(promised: &BTreeMap<String, Cost>, measured: &BTreeMap<String, Cost>) -> String {
    let mut text = String::new();
    for (name, now) in measured {
        match promised.get(name) {
            Some(then) if then == now => {}
            Some(then) => writeln!(
                text,
                "{name}: {} statements in {} flights, the budget is {} in {}",
                now.statements, now.flights, then.statements, then.flights
            )
            .unwrap(),
            None => writeln!(
                text,
                "{name}: {} statements in {} flights, and it has no budget",
                now.statements, now.flights
            )
            .unwrap(),
        }
    }
    for name in promised.keys().filter(|name| !measured.contains_key(*name)) {
        writeln!(text, "{name} has a budget and does not exist").unwrap();
    }
    text
}

#[test]
fn a_changed_a_missing_and_a_gone_operation_are_each_named_with_their_numbers() {
    let cost = |statements, flights| Cost { statements, flights };
    let promised =
        BTreeMap::from([("query a".to_owned(), cost(2, 1)), ("query gone".to_owned(), cost(1, 1))]);
    let measured = BTreeMap::from([("query a".to_owned(), cost(3, 2)), ("query new".to_owned(), cost(5, 4))]);
    assert_eq!(read(&write(&measured)), measured);
    assert_eq!(changes(&measured, &measured), "");
    assert_eq!(
        changes(&promised, &measured),
        "query a: 3 statements in 2 flights, the budget is 2 in 1\n\
         query new: 5 statements in 4 flights, and it has no budget\n\
         query gone has a budget and does not exist\n"
    );
}
