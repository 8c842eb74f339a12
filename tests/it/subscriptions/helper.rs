//! A process that brings accounts up to date when it is told to: the test executable in the role `renewer`.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Stdio},
    sync::Arc,
};

use loquent::domains::subscriptions::When;
use tokio::{sync::Barrier, task::JoinSet};
use uuid::Uuid;

use super::stage::{House, request};
use crate::support::{cluster::variable, role::Role};

const URL: &str = "LOQUENT_TEST_RENEWER_DATABASE";
const READY: &str = "READY";
const DONE: &str = "DONE";

/// Role `renewer`: each line of standard input is an order, `<callers> <account> [<plan>]`. All callers go at once.
pub async fn renew() {
    let house = Arc::new(House::open(&variable(URL).expect("a database"), 20).await);
    say(READY);
    let mut orders = std::io::stdin().lines();
    while let Some(Ok(order)) = orders.next() {
        let words: Vec<&str> = order.split(' ').collect();
        let (callers, account) = (words[0].parse().unwrap(), words[1].parse().unwrap());
        let failed = all_at_once(&house, callers, account, words.get(2).copied()).await;
        say(&format!("{DONE} {failed}"));
    }
}

fn say(line: &str) {
    println!("\n{line}");
    std::io::stdout().flush().unwrap();
}

/// How many of the callers got an error.
async fn all_at_once(house: &Arc<House>, callers: usize, account: Uuid, plan: Option<&str>) -> usize {
    let barrier = Arc::new(Barrier::new(callers));
    let mut running = JoinSet::new();
    let plan = plan.map(|key| house.plan(key));
    for _ in 0..callers {
        let (house, barrier) = (house.clone(), barrier.clone());
        running.spawn(async move {
            barrier.wait().await;
            let subscriptions = &house.subscriptions;
            let result = match plan {
                None => subscriptions.bring_up_to_date(account).await,
                Some(plan) => subscriptions.change_plan(account, plan, When::Now, request()).await,
            };
            result.inspect_err(|error| eprintln!("{}", error.chain())).is_err()
        });
    }
    running.join_all().await.into_iter().filter(|is_failed| *is_failed).count()
}

/// Such a process; dropped, it is killed.
pub struct Renewer {
    child: Child,
    orders: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl Renewer {
    /// Starts one and waits until it takes orders.
    pub fn start(url: &str) -> Self {
        let mut command = Role::Renewer.command();
        command.env(URL, url).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        let (orders, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut renewer = Self { child, orders, said: BufReader::new(output) };
        renewer.hear(READY);
        renewer
    }

    /// Gives an order without waiting for its end.
    pub fn order(&mut self, callers: usize, account: Uuid, plan: Option<&str>) {
        let plan = plan.map(|plan| format!(" {plan}")).unwrap_or_default();
        writeln!(self.orders, "{callers} {account}{plan}").unwrap();
    }

    /// Waits for the end of an order: how many of its callers got an error.
    pub fn failed(&mut self) -> usize {
        self.hear(DONE).parse().unwrap()
    }

    /// The rest of the next line that begins so.
    fn hear(&mut self, beginning: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.said.read_line(&mut line).unwrap(), 0, "the helper has ended");
            if let Some(rest) = line.strip_prefix(beginning) {
                return rest.trim().to_owned();
            }
        }
    }

    /// SIGKILL, as a crash would be.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Renewer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
