//! `loquent accounts set-plan` and `loquent credits adjust`.

use serde_json::json;

use super::house::{shown, user_id};
use crate::support::{app::TestApp, binary::command, rows::row};

/// One with more credits, and one with which nothing can be sent.
const PLANS: &str = "[plans.pro]\nname = \"Pro\"\ncredits = \"300\"\nmodels = [\"*\"]\n\
                     [plans.mute]\nname = \"Mute\"\ncredits = \"0\"\nmodels = [\"*\"]\n\
                     [[plans.mute.limits]]\nmeter = \"messages\"\nwindow = \"day\"\namount = 0\n";

/// Exit code, and what was said: the result, or else the complaint.
fn run(url: &str, words: &[&str]) -> (Option<i32>, String) {
    let home = tempfile::tempdir().unwrap();
    let output = command(home.path(), url).args(words).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = if output.status.success() { &output.stdout } else { &output.stderr };
    (output.status.code(), text(said))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_puts_a_plan_in_force_and_everybody_sees_it() {
    let app = TestApp::builder().catalog(PLANS).start().await;
    let person = app.client.sign_up().await;
    let id = user_id(&person).await;
    let email =
        row(&app.db.url, &format!("SELECT email FROM users WHERE id = '{id}'")).await["email"].clone();
    let email = email.as_str().unwrap();
    let set = ["accounts", "set-plan", email, "pro", "--reason", "Prize"];
    let (code, said) = run(&app.db.url, &set);
    let granted = format!("{email} has Pro\n200.000000 credits are granted until ");
    assert!(code == Some(0) && said.starts_with(&granted), "{said}");
    let (code, said) = run(&app.db.url, &set);
    assert_eq!((code, said.trim()), (Some(0), &*format!("{email} has Pro")), "{said}");
    let (code, said) = run(&app.db.url, &["accounts", "show", email]);
    assert_eq!(code, Some(0), "{said}");
    for line in [
        "plan     Pro (pro, version 1)",
        "credits  300.000000 available, 0.000000 held",
        "limit    credits day account  used 0.000000  held 0.000000  of 10000.000000  resets ",
        "  plan  200.000000 of 200.000000 left  until ",
        "  grant  200.000000  then 300.000000  ",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let (code, said) = run(&app.db.url, &["accounts", "show", email, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (code, &json["plan"]["key"], &json["credits"]["available"]),
        (Some(0), &json!("pro"), &json!("300.000000"))
    );
    assert_eq!((json["grants"].as_array().unwrap().len(), json["ledger"].as_array().unwrap().len()), (2, 2));
    let pro = json!({ "plan": { "key": "pro" }, "creditBalance": { "available": "300.000000" } });
    assert_eq!(shown(&person).await, pro);
    let changes =
        "SELECT count(*) AS n, min(cause) AS cause, min(reason) AS reason FROM subscription_changes";
    assert_eq!(
        row(&app.db.url, changes).await,
        json!({ "n": 1, "cause": "administrator", "reason": "Prize" })
    );

    let until =
        ["accounts", "set-plan", email, "mute", "--reason", "Rest", "--until", "2100-01-01T00:00:00Z"];
    let (code, said) = run(&app.db.url, &until);
    assert_eq!((code, said.trim()), (Some(0), &*format!("{email} has Mute until 2100-01-01T00:00:00Z")));
    assert_eq!(shown(&person).await["plan"]["key"], "mute");
    // What is in force decides at once about the next message.
    let refused = person.send_text("Hi", json!({})).await;
    assert_eq!(refused["userErrors"][0]["code"], "QUOTA_EXCEEDED", "{refused}");

    for (words, why) in [
        (vec!["accounts", "set-plan", "nobody@example.org", "pro", "--reason", "x"], "account"),
        (vec!["accounts", "set-plan", email, "gold", "--reason", "x"], "gold"),
        (vec!["accounts", "set-plan", email, "pro", "--reason", " "], "reason"),
        (
            vec!["accounts", "set-plan", email, "pro", "--reason", "x", "--until", "2001-01-01T00:00:00Z"],
            "past",
        ),
    ] {
        let (code, said) = run(&app.db.url, &words);
        assert_eq!(code, Some(1), "{words:?}: {said}");
        assert!(said.contains(why), "{words:?}: {said}");
    }
    app.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_adjusts_credits_and_a_repeat_with_its_key_books_nothing() {
    let app = TestApp::start().await;
    let person = app.client.sign_up().await;
    let id = user_id(&person).await;
    let email =
        row(&app.db.url, &format!("SELECT email FROM users WHERE id = '{id}'")).await["email"].clone();
    let email = email.as_str().unwrap();
    for _ in 0..2 {
        let words = ["credits", "adjust", email, "12.5", "--reason", "Sorry", "--key", "ticket-1234"];
        let (code, said) = run(&app.db.url, &words);
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(said.trim(), format!("12.500000 credits are given; {email} has 112.500000 to spend"));
    }
    let (code, said) = run(&app.db.url, &["credits", "adjust", email, "-200", "--reason", "Abuse"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.trim(), format!("112.500000 credits are taken; {email} has 0.000000 to spend"));
    assert_eq!(shown(&person).await["creditBalance"]["available"], "0.000000");
    let (code, said) = run(
        &app.db.url,
        &["credits", "adjust", email, "1", "--reason", "x", "--expires", "2001-01-01T00:00:00Z"],
    );
    assert_eq!(code, Some(1), "{said}");
    app.close().await;
}
