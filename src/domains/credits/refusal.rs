//! Why a hold was refused, as the database says it and as people are told.

use std::{fmt, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    demand::{Demand, Means},
    model::{Balance, Credits},
    quota::{Count, Quota},
};
use crate::{
    domains::catalog::{Catalog, Meter, Plan, Scope, Window},
    error::{AppError, Details, ErrorCode, QuotaDetails},
    platform::metrics::names,
};

/// The line that was in the way, with its numbers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Refusal {
    pub kind: LineKind,
    pub meter: Meter,
    pub window: Option<Window>,
    pub is_member: bool,
    pub limit: Option<i64>,
    pub used: Option<i64>,
    /// By work in progress.
    pub held: i64,
    pub available: i64,
    /// The least that the call needs.
    pub required: i64,
    /// When the same call would pass; `None` when waiting does not help, or nobody knows.
    pub resets_at: Option<DateTime<Utc>>,
    /// Work in progress alone is in the way: when it ends the call may pass.
    pub is_held: bool,
    /// When the database looked.
    pub now: DateTime<Utc>,
    pub account_id: Uuid,
    /// Of credits; `None` when the account never had any.
    balance: Option<Balance>,
    /// All that the call would have counted in.
    counts: Vec<Count>,
    /// What was refused; the database does not say it.
    #[serde(skip)]
    pub(super) demand: Option<Arc<Demand>>,
}

/// What a line draws on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    Wallet,
    Counter,
    Deployment,
}

impl Refusal {
    /// The refusal behind an error, if it is one.
    pub fn of_error(error: &AppError) -> Option<&Arc<Self>> {
        std::error::Error::source(error)?.downcast_ref().map(|Refused(refusal)| refusal)
    }

    /// Credits as they stand.
    pub fn balance(&self) -> Balance {
        self.balance.unwrap_or_default()
    }

    /// Every limit that the call would have counted in, as it stands.
    pub fn quotas(&self) -> Vec<Quota> {
        self.demand.as_ref().map_or_else(Vec::new, |demand| demand.limits.quotas(&self.counts))
    }

    /// Plans on offer on which the same would pass, cheapest first.
    pub fn upgrades(&self, catalog: &Catalog) -> Vec<Arc<Plan>> {
        let Some(demand) = &self.demand else { return Vec::new() };
        let model = demand.model_key().and_then(|key| catalog.find_model(key));
        let (ceilings, means) = (catalog.ceilings(), Means { balance: self.balance(), counts: &self.counts });
        catalog.cheapest_with(|plan| demand.passes_on(plan, model.as_deref(), &ceilings, means))
    }

    /// As people are told. Credits are a matter of the balance, everything else of a limit.
    pub fn into_error(self) -> AppError {
        let (code, message, details) = self.told();
        let error = AppError::with_source(code, message, Refused(Arc::new(self)));
        details.into_iter().fold(error, AppError::with_details)
    }

    fn told(&self) -> (ErrorCode, String, Option<Details>) {
        if (self.kind, self.meter) == (LineKind::Wallet, Meter::Credits) {
            let details = Details::Credits { required: self.required, available: self.available };
            return (ErrorCode::InsufficientCredits, self.credits_sentence(), Some(details));
        }
        let window = self.window.unwrap_or(Window::Period);
        let code = match window {
            Window::Minute => ErrorCode::CallsLimited,
            _ => ErrorCode::QuotaExceeded,
        };
        if self.kind == LineKind::Deployment {
            // What everybody uses together is no matter of one account.
            let details = self.retry_after().map(|retry_after| Details::Wait { retry_after });
            return (code, self.quota_sentence(window), details);
        }
        let scope = if self.is_member { Scope::Member } else { Scope::Account };
        let place = (self.meter, window, scope);
        let known = self.quotas().into_iter().find(|quota| (quota.meter, quota.window, quota.scope) == place);
        let quota = QuotaDetails {
            meter: self.meter.as_str(),
            window: window.as_str(),
            scope: if self.is_member { "member" } else { "account" },
            limit: self.limit,
            used: self.used.unwrap_or_default(),
            held: self.held,
            // The limit shows when its count next falls, which may be before there is room for the call.
            resets_at: known.as_ref().map_or(self.resets_at, |quota| quota.resets_at),
            revision: known.map_or(0, |quota| quota.revision),
            retry_after: self.retry_after(),
        };
        (code, self.quota_sentence(window), Some(Details::Quota(Box::new(quota))))
    }

    /// Counts it.
    pub fn count(&self) {
        let window = if self.kind == LineKind::Wallet { "" } else { self.window.map_or("", Window::as_str) };
        names::HOLD_REFUSALS.add([self.meter.as_str().into(), window.into()], 1);
    }

    /// Until the same call would pass, rounded up to seconds. What is more than the whole limit never passes.
    fn retry_after(&self) -> Option<Duration> {
        if self.limit.is_some_and(|limit| self.required > limit) {
            return None;
        }
        let wait = (self.resets_at? - self.now).num_microseconds()?.max(0);
        Some(Duration::from_secs(u64::try_from(wait).unwrap_or_default().div_ceil(1_000_000)))
    }

    fn credits_sentence(&self) -> String {
        let (required, available) = (Credits(self.required), Credits(self.available));
        let mut sentence = format!("This needs at least {required} credits, and {available} are available.");
        if self.is_held {
            let held = Credits(self.held);
            sentence += &format!(" Work in progress holds {held} more; try again when it has ended.");
        }
        sentence
    }

    fn quota_sentence(&self, window: Window) -> String {
        if self.kind == LineKind::Deployment {
            return "The operator's limit for all accounts together is reached for today. Please try again \
                    tomorrow."
                .to_owned();
        }
        let amount = self.limit.map_or_else(String::new, |limit| self.amount(limit));
        let what = words(self.meter);
        if window == Window::None {
            // Nothing but work in progress counts here, and only its end makes room.
            return format!("At most {amount} {what} at once. Please try again when one of them has ended.");
        }
        let mut sentence = format!("The limit of {amount} {what} {} is reached.", span(window));
        if self.is_held {
            sentence += " Work in progress is in the way; try again when it has ended.";
        }
        sentence
    }

    fn amount(&self, amount: i64) -> String {
        if self.meter.is_micro() { Credits(amount).to_string() } else { amount.to_string() }
    }
}

/// The refusal as the cause of its error.
#[derive(Debug)]
struct Refused(Arc<Refusal>);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refusal { kind, meter, required, available, .. } = &*self.0;
        write!(f, "a {kind:?} of {meter:?} has {available} of {required}")
    }
}

impl std::error::Error for Refused {}

fn words(meter: Meter) -> &'static str {
    match meter {
        Meter::LlmRequests => "answers",
        Meter::ImageRequests => "images",
        Meter::VoiceRequests => "calls of speech models",
        Meter::Messages => "messages",
        Meter::Conversations => "new conversations",
        Meter::Tokens => "tokens",
        Meter::Credits => "credits",
        Meter::Cost => "US dollars of provider cost",
    }
}

fn span(window: Window) -> &'static str {
    match window {
        Window::Minute => "a minute",
        Window::Hour => "an hour",
        Window::Day => "a day",
        Window::Month => "a month",
        Window::Period => "in this period",
        Window::None => "at once",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(kind: LineKind, meter: Meter, window: Option<Window>) -> Refusal {
        let now: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
        Refusal {
            kind,
            meter,
            window,
            is_member: false,
            limit: Some(50),
            used: Some(50),
            held: 0,
            available: 0,
            required: 1,
            resets_at: Some(now + chrono::TimeDelta::milliseconds(2_001)),
            is_held: false,
            now,
            account_id: Uuid::nil(),
            balance: None,
            counts: Vec::new(),
            demand: None,
        }
    }

    #[test]
    fn a_window_decides_the_code_and_the_wait_is_rounded_up() {
        for (window, code) in [
            (Window::Minute, ErrorCode::CallsLimited),
            (Window::Day, ErrorCode::QuotaExceeded),
            (Window::None, ErrorCode::QuotaExceeded),
        ] {
            let error = refusal(LineKind::Counter, Meter::Messages, Some(window)).into_error();
            assert_eq!(error.code(), code);
            let Some(Details::Quota(quota)) = error.details() else { panic!("{error}") };
            assert_eq!((quota.limit, quota.window), (Some(50), window.as_str()));
            assert_eq!(quota.retry_after, Some(Duration::from_secs(3)));
        }
    }

    #[test]
    fn work_in_progress_is_named_when_it_alone_is_in_the_way() {
        let held =
            Refusal { is_held: true, held: 2_000_000, ..refusal(LineKind::Wallet, Meter::Credits, None) };
        assert!(held.into_error().message().contains("Work in progress holds 2.000000 more"));
        let held =
            Refusal { is_held: true, ..refusal(LineKind::Counter, Meter::Messages, Some(Window::Day)) };
        let at_once = Refusal {
            limit: Some(3),
            is_held: true,
            ..refusal(LineKind::Counter, Meter::LlmRequests, Some(Window::None))
        };
        let sentence = "At most 3 answers at once. Please try again when one of them has ended.";
        assert_eq!(at_once.into_error().message(), sentence);
        let error = held.into_error();
        let sentence = "The limit of 50 messages a day is reached. Work in progress is in the way; try again when \
                        it has ended.";
        assert_eq!(error.message(), sentence);
    }
}
