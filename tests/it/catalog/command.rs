//! `loquent catalog`: what operators see of a change before and after it.

use std::path::Path;

use loquent::domains::catalog::Preset;
use tempfile::TempDir;

use crate::support::{app::provider_settings, binary::command, catalog::Offer, db::TestDb, rows::row};

struct Operator {
    home: TempDir,
    db: TestDb,
}

impl Operator {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let settings = provider_settings("http://127.0.0.1:1/v1");
        std::fs::write(home.path().join("loquent.toml"), settings).unwrap();
        Self { home, db: TestDb::create().await }
    }

    fn home(&self) -> &Path {
        self.home.path()
    }

    /// Exit code, standard output and standard error.
    fn run(&self, words: &[&str]) -> (Option<i32>, String, String) {
        let output = command(self.home(), &self.db.url).arg("catalog").args(words).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    fn must(&self, words: &[&str]) -> String {
        let (code, said, errors) = self.run(words);
        assert_eq!(code, Some(0), "{words:?}: {said}{errors}");
        said
    }

    fn write(&self, text: &str) {
        std::fs::write(self.home().join("offer.toml"), text).unwrap();
    }

    async fn versions(&self) -> i64 {
        row(&self.db.url, "SELECT count(*) AS n FROM catalogs").await["n"].as_i64().unwrap()
    }
}

const MODEL: &str = "[models.small]\nprovider = \"elsewhere\"\ncontext_tokens = 1000\nmax_output_tokens = 100\n\
                     prices = { input = \"0.5\", output = \"2\" }\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_shown_tried_applied_and_found_again() {
    let operator = Operator::new().await;
    let limits = "max_output_tokens = 500\n[[plans.default.limits]]\nmeter = \"messages\"\nwindow = \"day\"\n\
                  scope = \"member\"\namount = 20\nzone = \"Europe/Berlin\"\n";
    let offer = Offer::of_credits("250").plan(limits).with(MODEL);
    operator.write(&offer.text());
    let expected = "\
~ plan default
    credits a period: 100 -> 250
    limit messages/day of each member: none -> 20, zone Europe/Berlin
    most output tokens: unlimited -> 500
+ model small
    name: small
    provider: elsewhere
    upstream: small
    aliases: none
    context tokens: 1000
    most output tokens: 100
    price of input: 0.5
    price of cached_input: 0.5
    price of output: 2
";
    let note = "note: by this configuration these models are not shown and cannot be called, because their providers are \
                not in [providers]: small (elsewhere)\n";
    let tried = operator.must(&["apply", "offer.toml", "--dry-run"]);
    assert_eq!(tried, format!("{expected}2 changes; nothing was written\n{note}"));
    assert_eq!(operator.versions().await, 1);
    let applied = operator.must(&["apply", "offer.toml"]);
    let in_force = "2 changes; version 2 is in force, and every process has it within two seconds\n";
    assert_eq!(applied, format!("{expected}{in_force}{note}"));
    let again = operator.must(&["apply", "offer.toml"]);
    assert_eq!(again, format!("nothing changes; version 2 stays in force\n{note}"));
    assert_eq!(operator.versions().await, 2);

    operator.write(&offer.text().replace("output = \"2\"", "output = \"3\""));
    let dearer = operator.must(&["apply", "offer.toml"]);
    assert!(
        dearer.starts_with("~ model small\n    price of output: 2 -> 3\n1 change; version 3"),
        "{dearer}"
    );
    let shown = operator.must(&["show"]);
    operator.write(&shown);
    assert!(
        operator.must(&["apply", "offer.toml"]).starts_with("nothing changes"),
        "what is shown can be applied"
    );
    let history = operator.must(&["history"]);
    let lines: Vec<&str> = history.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].trim_start().starts_with("3  2") && lines[0].ends_with("offer.toml"), "{history}");
    assert!(lines[2].ends_with("test.toml"), "{history}");
    assert_eq!(operator.must(&["history", "--limit", "1"]).lines().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_preset_can_be_shown_and_applied_over_every_other() {
    let operator = Operator::new().await;
    for preset in Preset::ALL {
        let name = preset.name();
        assert_eq!(operator.must(&["show", "--preset", name]).trim_end(), preset.text().trim_end());
        let said = operator.must(&["apply", "--preset", name]);
        assert!(said.contains(" is in force"), "{said}");
        assert!(operator.must(&["apply", "--preset", name]).contains("nothing changes"));
        assert_eq!(operator.must(&["show"]).trim_end(), preset.text().trim_end());
        let offered = row(&operator.db.url, "SELECT count(*) AS n FROM plans WHERE is_offered").await;
        assert_eq!(offered["n"], preset.content().unwrap().plans.len(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faulty_file_changes_nothing_and_says_all_that_is_wrong() {
    let operator = Operator::new().await;
    operator.write(&Offer::of_credits("-1").with(&MODEL.replace("\"2\"", "\"-2\"")).text());
    for words in [["apply", "offer.toml"].as_slice(), &["apply", "offer.toml", "--dry-run"]] {
        let (code, said, errors) = operator.run(words);
        assert_eq!((code, said.as_str()), (Some(1), ""), "{errors}");
        for part in [
            "2 faults",
            "plans.default.credits (offer.toml line",
            "models.small.prices.output",
            "is negative",
        ] {
            assert!(errors.contains(part), "{part}: {errors}");
        }
    }
    for (words, reason) in [
        (["apply", "missing.toml"].as_slice(), "cannot read missing.toml"),
        (&["apply", "--preset", "gold"], "the presets are default, tavern"),
    ] {
        let (code, _, errors) = operator.run(words);
        assert!(code != Some(0) && errors.contains(reason), "{words:?}: {errors}");
    }
    assert_eq!(operator.versions().await, 1);
}
