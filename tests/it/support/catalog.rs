//! The offer of the tests: one plan with a hundred credits and no limits, and the model of the scripted provider. Every
//! database of a test has it from the start; a test that wants another applies it before a process begins.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
    time::{Duration, Instant},
};

use loquent::{
    domains::catalog::{self, Applied, Mode, Source},
    platform::{
        clock::Clock,
        postgres::{Db, pool::PoolSettings},
    },
};
use serde_json::json;

use super::{
    app::MODEL,
    binary::{Binary, command},
};

/// A catalogue that differs from that of all tests in what the test says.
#[derive(Debug, Clone)]
pub struct Offer {
    credits: String,
    plan: String,
    models: String,
    ceilings: String,
    more: String,
}

impl Default for Offer {
    fn default() -> Self {
        // So that nothing but what a test says refuses a crowd.
        let ceilings = "parallel = \"unlimited\"".to_owned();
        let models = "\"*\"".to_owned();
        Self { credits: "100".to_owned(), plan: String::new(), models, ceilings, more: String::new() }
    }
}

impl Offer {
    /// With so many credits in the plan of everybody, or `unlimited`.
    pub fn of_credits(credits: &str) -> Self {
        Self::default().credits(credits)
    }

    pub fn credits(self, credits: &str) -> Self {
        Self { credits: credits.to_owned(), ..self }
    }

    /// Adds lines to the plan of everybody, such as limits of the plan `default`.
    pub fn plan(self, toml: &str) -> Self {
        Self { plan: format!("{}{toml}\n", self.plan), ..self }
    }

    /// With these models alone in the plan of everybody.
    pub fn models(self, keys: &[&str]) -> Self {
        let models = keys.iter().map(|key| format!("\"{key}\"")).collect::<Vec<_>>().join(", ");
        Self { models, ..self }
    }

    /// The ceilings; those that are not named are as they come.
    pub fn ceilings(self, toml: &str) -> Self {
        Self { ceilings: toml.to_owned(), ..self }
    }

    /// Adds lines, such as models.
    pub fn with(self, toml: &str) -> Self {
        Self { more: format!("{}{toml}\n", self.more), ..self }
    }

    /// As TOML. The scripted model costs 1,000 credits for a million tokens in, as many out.
    pub fn text(&self) -> String {
        let Self { credits, plan, models, ceilings, more } = self;
        format!(
            "format = 1\ndefault_plan = \"default\"\n\
             [models.{MODEL}]\nprovider = \"scripted\"\ncontext_tokens = 100000\nmax_output_tokens = 4096\n\
             prices = {{ input = \"1000\", output = \"1000\" }}\n\
             [ceilings]\n{ceilings}\n[plans.default]\nname = \"Default\"\ncredits = \"{credits}\"\nmodels = [{models}]\n{plan}\n{more}"
        )
    }

    /// Applies it to a migrated database.
    pub async fn apply(&self, url: &str) -> Applied {
        apply(url, &self.text()).await
    }
}

/// Applies a catalogue to a migrated database.
pub async fn apply(url: &str, text: &str) -> Applied {
    let content = catalog::read("test.toml", text).unwrap_or_else(|faults| panic!("{faults}"));
    let source = Source { name: "test.toml".to_owned(), text: text.to_owned() };
    let db = Db::try_new(url, PoolSettings { name: "test", size: 1, wait: Duration::from_secs(10) }).unwrap();
    let applied = catalog::apply(&db, &Clock::default(), &source, &content, Mode::Apply).await.unwrap();
    db.close();
    applied
}

/// Changes with the offer, as the template of the databases must.
pub fn fingerprint() -> String {
    let mut hasher = DefaultHasher::new();
    Offer::default().text().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Applies the offer of the tests to the bundled database of a process that runs, and waits until the process has it.
pub async fn apply_by_command(home: &Path, running: &Binary) {
    let file = home.join("offer.toml");
    std::fs::write(&file, Offer::default().text()).unwrap();
    let mut command = command(home, "");
    command.env_remove("DATABASE_URL").args(["catalog", "apply"]).arg(&file);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut polls = tokio::time::interval(Duration::from_millis(20));
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(20) {
        let answer = running.client.gql("{ models { key } }", json!({})).await;
        if answer.data()["models"].as_array().unwrap().contains(&json!({ "key": MODEL })) {
            return;
        }
        polls.tick().await;
    }
    panic!("the process does not take the offer over");
}
