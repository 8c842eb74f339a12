//! How the database is told, and answers, what the model has as values.

use chrono::DateTime;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{DAY, WHOLE};
use crate::credits::reference::{Admission, Balance, Hold, Line, NEVER, Of, State, Target};

pub fn instant(seconds: i64) -> String {
    match seconds {
        i64::MIN => "-infinity".to_owned(),
        NEVER => "infinity".to_owned(),
        _ => DateTime::from_timestamp(seconds, 0).unwrap().to_rfc3339(),
    }
}

pub fn json_of(line: &Line) -> Value {
    let mut value = json!({ "meter": line.meter, "fixed": line.fixed, "rate": line.rate });
    let (kind, more) = match &line.target {
        Target::Wallet => ("wallet", json!({})),
        Target::Counter { user, window, bounds, limit, .. } => {
            let bounds = bounds.filter(|bounds| *bounds != WHOLE);
            let more = json!({ "window": window, "user": Some(user).filter(|user| !user.is_nil()), "limit": limit,
                "starts": bounds.map(|bounds| instant(bounds.0)), "ends": bounds.map(|bounds| instant(bounds.1)) });
            ("counter", more)
        }
        Target::Deployment { day, limit } => {
            let more = json!({ "window": "day", "starts": instant(*day), "ends": instant(day + DAY), "limit": limit });
            ("deployment", more)
        }
    };
    let fields = value.as_object_mut().unwrap();
    fields.insert("kind".to_owned(), json!(kind));
    fields.extend(more.as_object().unwrap().clone());
    value
}

pub fn row_of(id: Uuid, hold: &Hold) -> Value {
    let state = match hold.state {
        State::Open => "open",
        State::Settled => "settled",
        State::Released => "released",
        State::Refunded => "refunded",
    };
    let draws: Vec<Value> = hold
        .draws
        .iter()
        .map(|draw| {
            let grant = if let Of::Grant(id) = &draw.of { Some(id) } else { None };
            json!([draw.line, draw.meter, grant, draw.held, draw.spent])
        })
        .collect();
    json!({ "id": id, "state": state, "units": hold.units, "overrun": hold.overrun, "draws": draws })
}

pub fn refusal(line: &Value) -> Admission {
    let is_wallet = line["kind"] == "wallet";
    let resets = line["resets_at"].as_str().filter(|_| !is_wallet);
    Admission::Refused {
        meter: line["meter"].as_str().unwrap().to_owned(),
        window: line["window"].as_str().map(str::to_owned),
        required: integer(&line["required"]).into(),
        available: integer(&line["available"]).into(),
        held: integer(&line["held"]),
        is_held: line["is_held"] == true,
        resets: resets.map(|at| DateTime::parse_from_rfc3339(at).unwrap().timestamp()),
    }
}

pub fn integer(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("no integer: {value}"))
}

pub fn balance(row: &Value) -> Balance {
    Balance {
        available: integer(&row["available"]),
        held: integer(&row["held"]),
        revision: integer(&row["revision"]),
    }
}
