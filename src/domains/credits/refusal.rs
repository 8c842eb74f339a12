//! Why a hold was refused, as the database says it and as people are told.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::model::Credits;
use crate::{
    domains::catalog::{Meter, Window},
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
    pub revision: i64,
    /// When the database looked.
    pub now: DateTime<Utc>,
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
    /// As people are told. Credits are a matter of the balance, everything else of a limit.
    pub fn into_error(self) -> AppError {
        if (self.kind, self.meter) == (LineKind::Wallet, Meter::Credits) {
            let details = Details::Credits { required: self.required, available: self.available };
            return AppError::new(ErrorCode::InsufficientCredits, self.credits_sentence())
                .with_details(details);
        }
        let window = self.window.unwrap_or(Window::Period);
        let code = match window {
            Window::Minute => ErrorCode::CallsLimited,
            _ => ErrorCode::QuotaExceeded,
        };
        if self.kind == LineKind::Deployment {
            // What everybody uses together is no matter of one account.
            let details = self.retry_after().map(|retry_after| Details::Wait { retry_after });
            let error = AppError::new(code, self.quota_sentence(window));
            return details.into_iter().fold(error, AppError::with_details);
        }
        let quota = QuotaDetails {
            meter: self.meter.as_str(),
            window: window.as_str(),
            scope: if self.is_member { "member" } else { "account" },
            limit: self.limit,
            used: self.used.unwrap_or_default(),
            held: self.held,
            resets_at: self.resets_at,
            revision: self.revision,
            retry_after: self.retry_after(),
        };
        AppError::new(code, self.quota_sentence(window)).with_details(Details::Quota(Box::new(quota)))
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
            revision: 7,
            now,
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
