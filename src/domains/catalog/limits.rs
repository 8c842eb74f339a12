//! What the code knows of an offer: meters, windows and what happens to a rest. Names of plans are data.

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// What is counted. Credits and cost are in millionths, everything else in whole units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meter {
    LlmRequests,
    ImageRequests,
    VoiceRequests,
    Messages,
    Conversations,
    Tokens,
    Credits,
    /// What the providers charge, in US dollars.
    Cost,
}

impl Meter {
    pub const ALL: [Self; 8] = [
        Self::LlmRequests,
        Self::ImageRequests,
        Self::VoiceRequests,
        Self::Messages,
        Self::Conversations,
        Self::Tokens,
        Self::Credits,
        Self::Cost,
    ];

    /// Name in the database and in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LlmRequests => "llm_requests",
            Self::ImageRequests => "image_requests",
            Self::VoiceRequests => "voice_requests",
            Self::Messages => "messages",
            Self::Conversations => "conversations",
            Self::Tokens => "tokens",
            Self::Credits => "credits",
            Self::Cost => "cost",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|meter| meter.as_str() == text)
    }

    /// True when amounts are in millionths.
    pub fn is_micro(self) -> bool {
        matches!(self, Self::Credits | Self::Cost)
    }
}

/// Span after which a count starts again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// Sliding 60 seconds.
    Minute,
    /// Sliding hour.
    Hour,
    /// Calendar day in the zone of the limit.
    Day,
    /// Month from the anchor of the limit.
    Month,
    /// Period of the subscription.
    Period,
    /// Never starts again: what is used at once.
    None,
}

impl Window {
    pub const ALL: [Self; 6] = [Self::Minute, Self::Hour, Self::Day, Self::Month, Self::Period, Self::None];

    /// Name in the database and in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
            Self::Period => "period",
            Self::None => "none",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|window| window.as_str() == text)
    }
}

/// Whose use is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All members together.
    Account,
    /// Each member alone.
    Member,
}

/// Where a month begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anchor {
    /// On its first day.
    #[default]
    Calendar,
    /// On the day the account was made.
    SignUp,
    /// With the period of the subscription.
    Subscription,
}

/// What happens at the end of a period to what was included and not used. What was bought always stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rollover {
    /// It expires.
    #[default]
    None,
    /// It stays for one more period, up to so many percent of what one period includes; 200 are two periods.
    Capped { percent: u32 },
    /// It stays.
    Unlimited,
}

/// A limit of a plan on one meter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    pub meter: Meter,
    pub window: Window,
    pub scope: Scope,
    /// Most that may be used in one window; `None` is unlimited, and still counted.
    pub amount: Option<i64>,
    /// Zone of days and months. Periods of a plan are in the zone of the first of its limits by period.
    pub zone: Tz,
    pub anchor: Anchor,
    /// Other than `None` only of tokens and cost for a period: then the amount is granted like credits, instead of
    /// being counted.
    pub rollover: Rollover,
}

impl Limit {
    /// True when the amount is granted to a wallet at the start of each period; false when a counter starts again.
    pub fn is_granted(&self) -> bool {
        self.rollover != Rollover::None
    }
}

/// Bounds of every call and account, whatever the plan. `None`: no bound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ceilings {
    /// Tokens of one prompt.
    pub input_tokens: Option<u32>,
    /// Tokens of one answer, reasoning included.
    pub output_tokens: Option<u32>,
    /// Answers that one person has written at once.
    pub parallel: Option<u32>,
    /// Micro-credits that one account may use in one day of UTC.
    pub account_credits_a_day: Option<i64>,
    /// Micro-credits that all accounts together may use in one day of UTC.
    pub deployment_credits_a_day: Option<i64>,
    /// Share of the two above at which operators are warned.
    pub alarm_percent: u32,
}

impl Ceilings {
    /// Those that are limits of one account or member, as plans have them.
    pub fn limits(&self) -> impl Iterator<Item = Limit> {
        let limit = |(meter, window, scope, amount): (_, _, _, Option<i64>)| {
            let (zone, anchor, rollover) = (Tz::UTC, Anchor::Calendar, Rollover::None);
            Some(Limit { meter, window, scope, amount: Some(amount?), zone, anchor, rollover })
        };
        [
            (Meter::LlmRequests, Window::None, Scope::Member, self.parallel.map(i64::from)),
            (Meter::Credits, Window::Day, Scope::Account, self.account_credits_a_day),
        ]
        .into_iter()
        .filter_map(limit)
    }
}

impl Default for Ceilings {
    fn default() -> Self {
        Self {
            input_tokens: Some(1_000_000),
            output_tokens: Some(100_000),
            parallel: Some(3),
            account_credits_a_day: Some(10_000_000_000),
            deployment_credits_a_day: Some(1_000_000_000_000),
            alarm_percent: 80,
        }
    }
}

/// How fast anybody may ask, whatever it costs. Limits of generation are limits of the plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    /// Requests of one network address, of whoever.
    pub requests_per_minute_by_address: u32,
    /// Cost points of the operations of one person, unless the plan says otherwise.
    pub points_per_minute: u32,
    /// Cost points of operations without a token, of one network address.
    pub anonymous_points_per_minute: u32,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            requests_per_minute_by_address: 100,
            points_per_minute: 10_000,
            anonymous_points_per_minute: 10_000,
        }
    }
}
