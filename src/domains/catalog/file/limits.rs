//! `[[plans.<key>.limits]]`.

use chrono_tz::Tz;

use super::values::{MAX_COUNT, UNLIMITED, credits, or_unlimited, word};
use crate::{
    config::document::{Refusal, Section, whole_in},
    domains::catalog::limits::{Anchor, Limit, Meter, Rollover, Scope, Window},
};

const SCOPES: [(&str, Scope); 2] = [("account", Scope::Account), ("member", Scope::Member)];
const ANCHORS: [(&str, Anchor); 3] =
    [("calendar", Anchor::Calendar), ("sign_up", Anchor::SignUp), ("subscription", Anchor::Subscription)];
/// A hundred periods.
const MAX_PERCENT: u32 = 10_000;

/// The limits of one plan, in the order of the file.
pub(super) fn read_limits(section: &mut Section<'_>) -> Vec<Limit> {
    let mut numbers: Vec<(usize, String)> =
        section.children().into_iter().map(|name| (name.parse().unwrap_or(usize::MAX), name)).collect();
    numbers.sort();
    let mut limits: Vec<Limit> = Vec::new();
    for (_, number) in numbers {
        let mut own = section.section(&number);
        let Some(limit) = read_limit(&mut own) else { continue };
        let is_same = |other: &Limit| {
            (other.meter, other.window, other.scope) == (limit.meter, limit.window, limit.scope)
        };
        if limits.iter().any(is_same) {
            own.refuse(
                "meter",
                Refusal::new("has a limit for this window and scope already", "keep one of the two"),
            );
        }
        limits.push(limit);
    }
    limits
}

fn read_limit(section: &mut Section<'_>) -> Option<Limit> {
    let missing = |what: &str| Refusal::new("is missing", format!("set it to one of: {what}"));
    let meters = Meter::ALL.map(|meter| (meter.as_str(), meter));
    let windows = Window::ALL.map(|window| (window.as_str(), window));
    let names = Meter::ALL.map(Meter::as_str).join(", ");
    let meter = section.required("meter", missing(&names), word(&meters));
    let names = Window::ALL.map(Window::as_str).join(", ");
    let window = section.required("window", missing(&names), word(&windows));
    let scope = section.parsed("scope", word(&SCOPES)).unwrap_or(Scope::Account);
    let is_micro = meter.is_some_and(Meter::is_micro);
    let amount = section.required(
        "amount",
        Refusal::new("is missing", format!("set it to a number, or to \"{UNLIMITED}\"")),
        or_unlimited(|text: &str| if is_micro { credits(text) } else { whole_in(0..=MAX_COUNT)(text) }),
    );
    let zone = section.parsed("zone", zone).unwrap_or(Tz::UTC);
    let anchor = section.parsed("anchor", word(&ANCHORS)).unwrap_or_default();
    let rollover = section.parsed("rollover", rollover).unwrap_or_default();
    let limit = Limit { meter: meter?, window: window?, scope, amount: amount?, zone, anchor, rollover };
    refuse_contradictions(section, &limit);
    Some(limit)
}

/// What each value allows and all of them together do not.
fn refuse_contradictions(section: &mut Section<'_>, limit: &Limit) {
    let is_request = matches!(limit.meter, Meter::LlmRequests | Meter::ImageRequests | Meter::VoiceRequests);
    if limit.window == Window::None && !is_request {
        let fix = "count requests, or choose a window that ends";
        section.refuse("window", Refusal::new("counts what runs at once, which only requests do", fix));
    }
    if limit.meter == Meter::Credits && limit.window == Window::Period {
        let fix = "set credits of the plan instead";
        section.refuse("window", Refusal::new("is what the credits of the plan are for", fix));
    }
    if section.has("zone") && !matches!(limit.window, Window::Day | Window::Month | Window::Period) {
        section.refuse(
            "zone",
            Refusal::new("changes nothing", "remove it: only days, months and periods have a zone"),
        );
    }
    if section.has("anchor") && limit.window != Window::Month {
        section.refuse("anchor", Refusal::new("changes nothing", "remove it: only months have an anchor"));
    }
    if limit.is_granted() {
        let why = match limit {
            Limit {
                meter: Meter::Tokens | Meter::Cost,
                window: Window::Period,
                scope: Scope::Account,
                amount,
                ..
            } => amount.is_none().then_some("has no amount to carry over"),
            Limit { scope: Scope::Member, .. } => Some("is of the account, not of each member"),
            _ => Some("is for tokens and cost of a period alone"),
        };
        if let Some(why) = why {
            section.refuse("rollover", Refusal::new(why, "remove it"));
        }
    }
}

/// `none`, `unlimited`, or so many percent of what one period includes.
pub(super) fn rollover(text: &str) -> Result<Rollover, Refusal> {
    let percent = text.strip_suffix('%').and_then(|number| number.parse().ok());
    match (text, percent) {
        ("none", _) => Ok(Rollover::None),
        (UNLIMITED, _) => Ok(Rollover::Unlimited),
        (_, Some(percent)) if (1..=MAX_PERCENT).contains(&percent) => Ok(Rollover::Capped { percent }),
        _ => Err(Refusal::new(
            "is no way to carry over",
            "set it to \"none\", \"unlimited\", or a share of one period such as \"100%\"",
        )),
    }
}

fn zone(text: &str) -> Result<Tz, Refusal> {
    text.parse().map_err(|_| {
        Refusal::new("is no time zone", "set it to a name of the IANA database, such as \"Europe/Berlin\"")
    })
}
