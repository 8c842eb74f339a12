use std::process::Command;

use loquent::platform::telemetry::{LogFormat, QUIET, install};

/// Set in the process that shall panic: the hook and the subscriber belong to a whole process.
const PANICS: &str = "PANIC_FOR_TELEMETRY_TEST";

#[test]
fn a_panic_is_one_json_line_at_error_level_with_its_place() {
    if std::env::var_os(PANICS).is_some() {
        assert!(install(LogFormat::Json, true, QUIET), "the first call installs");
        assert!(!install(LogFormat::Text, true, "off"), "the second changes nothing");
        panic!("two\nlines");
    }
    let name = "config::telemetry::a_panic_is_one_json_line_at_error_level_with_its_place";
    let output = Command::new(std::env::current_exe().expect("this test binary"))
        .args(["--exact", name, "--nocapture"])
        .env(PANICS, "1")
        .output()
        .expect("the test binary runs again");
    assert!(!output.status.success(), "it panicked");
    let written = String::from_utf8(output.stderr).expect("UTF-8");
    let events: Vec<_> =
        written.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()).collect();
    assert_eq!(events.len(), 1, "{written}");
    assert_eq!(
        (&events[0]["level"], &events[0]["message"]),
        (&"ERROR".into(), &"panicked".into()),
        "{written}"
    );
    assert_eq!(events[0]["panic"], "two\nlines");
    let location = events[0]["location"].as_str().expect("a place");
    assert!(location.contains("telemetry.rs:"), "{location}");
}
