//! When an entry ticks: a cron expression in a time zone, and what becomes of ticks that nobody saw. Pure: no clock, no
//! database.
//!
//! An expression is matched against the *local* clock, and **each local minute ticks once**:
//!
//! - what a change of the clock skips (02:30 in spring) ticks at the first instant after the gap;
//! - what it repeats (02:30 in autumn) ticks the first time only.
//!
//! So a daily entry ticks every day, and only once. The same rule would silence an hourly entry for the repeated hour,
//! which is why expressions of every hour are refused outside UTC.

use std::str::FromStr;

use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};

/// A longer gap in local time than any zone has had: Samoa once left out a day.
const LONGEST_GAP_MINUTES: i64 = 25 * 60;

/// A tick that is seen within so long of its time was not missed.
pub const ON_TIME: TimeDelta = TimeDelta::seconds(60);

/// Why a schedule cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSchedule {
    #[error("the expression {0:?} is not one of five fields: {1}")]
    Expression(String, String),
    #[error("{0:?} is no zone of the IANA database")]
    Zone(String),
    #[error(
        "{0:?} ticks every hour, so it is given in UTC: in local time it would pause when the clock goes back"
    )]
    EveryHour(String),
    #[error("{0:?} never ticks")]
    Never(String),
}

/// An expression of five fields (minute, hour, day of month, month, day of week; `L` is the last day of the month) in a
/// zone of the IANA database.
#[derive(Debug, Clone)]
pub struct Schedule {
    cron: Cron,
    zone: Tz,
}

impl Schedule {
    /// # Errors
    /// What cannot be read, never ticks, or ticks every hour in another zone than UTC.
    pub fn parse(expression: &str, zone: &str) -> Result<Self, BadSchedule> {
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser
            .parse(expression)
            .map_err(|error| BadSchedule::Expression(expression.to_owned(), error.to_string()))?;
        let zone = Tz::from_str(zone).map_err(|_| BadSchedule::Zone(zone.to_owned()))?;
        if zone != Tz::UTC && cron.pattern.hours.values().len() == 24 {
            return Err(BadSchedule::EveryHour(expression.to_owned()));
        }
        let schedule = Self { cron, zone };
        schedule.next_after(DateTime::UNIX_EPOCH)?;
        Ok(schedule)
    }

    /// The first tick later than `instant`.
    ///
    /// # Errors
    /// [`BadSchedule::Never`], when there is none up to the year 5000.
    pub fn next_after(&self, instant: DateTime<Utc>) -> Result<DateTime<Utc>, BadSchedule> {
        let never = || BadSchedule::Never(self.cron.pattern.to_string());
        let mut local = instant.with_timezone(&self.zone).naive_local();
        loop {
            local = self.cron.find_next_occurrence(&local, false).map_err(|_| never())?;
            let tick = self.first_instant(local).ok_or_else(never)?;
            // While the clock repeats itself, local times ahead have ticked before.
            if tick > instant {
                return Ok(tick);
            }
        }
    }

    /// The first instant at which the local clock shows this, or has jumped over it.
    fn first_instant(&self, local: NaiveDateTime) -> Option<DateTime<Utc>> {
        let mut shown = (0..=LONGEST_GAP_MINUTES).filter_map(|later| {
            self.zone.from_local_datetime(&(local + TimeDelta::minutes(later))).earliest()
        });
        shown.next().map(|instant| instant.with_timezone(&Utc))
    }

    /// The newest tick that is not after `now`, given one that is not either. The look back doubles until it finds one, so
    /// the work does not grow with the time that was missed.
    fn newest(&self, known: DateTime<Utc>, now: DateTime<Utc>) -> Result<DateTime<Utc>, BadSchedule> {
        let mut span = TimeDelta::hours(1);
        while now - span > known {
            let tick = self.next_after(now - span)?;
            if tick <= now {
                return self.last_from(tick, now);
            }
            span = span * 2;
        }
        self.last_from(known, now)
    }

    fn last_from(&self, tick: DateTime<Utc>, now: DateTime<Utc>) -> Result<DateTime<Utc>, BadSchedule> {
        let mut last = tick;
        loop {
            let next = self.next_after(last)?;
            if next > now {
                return Ok(last);
            }
            last = next;
        }
    }
}

/// What becomes of ticks that were missed because no process was there, or all were busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatchUp {
    /// Every one of them runs, oldest first.
    Each,
    /// The newest runs, for all of them.
    Once,
    /// None runs; a tick seen later than [`ON_TIME`] is one that was missed.
    Skip,
}

impl CatchUp {
    /// As it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Each => "each",
            Self::Once => "once",
            Self::Skip => "skip",
        }
    }

    /// The rule of a stored word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Each, Self::Once, Self::Skip].into_iter().find(|rule| rule.as_str() == word)
    }
}

/// What is to be done at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Ticks that run, oldest first.
    pub ticks: Vec<DateTime<Utc>>,
    /// The tick to wait for after them. It may be over too: then there were more than the limit.
    pub next: DateTime<Utc>,
}

impl Due {
    /// Of an entry that waits for `first` and is seen at `now`: so many ticks at most.
    ///
    /// # Errors
    /// Those of [`Schedule::next_after`].
    pub fn at(
        now: DateTime<Utc>,
        first: DateTime<Utc>,
        schedule: &Schedule,
        rule: CatchUp,
        limit: usize,
    ) -> Result<Self, BadSchedule> {
        if first > now {
            return Ok(Self { ticks: Vec::new(), next: first });
        }
        if rule == CatchUp::Each {
            return Self::each(now, first, schedule, limit);
        }
        let newest = schedule.newest(first, now)?;
        let is_run = rule == CatchUp::Once || now - newest <= ON_TIME;
        let ticks = if is_run { vec![newest] } else { Vec::new() };
        Ok(Self { ticks, next: schedule.next_after(newest)? })
    }

    fn each(
        now: DateTime<Utc>,
        first: DateTime<Utc>,
        schedule: &Schedule,
        limit: usize,
    ) -> Result<Self, BadSchedule> {
        let (mut ticks, mut next) = (Vec::new(), first);
        while next <= now && ticks.len() < limit {
            ticks.push(next);
            next = schedule.next_after(next)?;
        }
        Ok(Self { ticks, next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn ticks(expression: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let schedule = Schedule::parse(expression, zone).unwrap();
        let first = schedule.next_after(at(from)).unwrap();
        std::iter::successors(Some(first), |tick| schedule.next_after(*tick).ok())
            .take(count)
            .map(|tick| tick.format("%m-%dT%H:%MZ").to_string())
            .collect()
    }

    #[test]
    fn a_local_time_that_is_skipped_ticks_right_after_the_gap() {
        // Berlin leaves out 02:00 to 03:00 on 29 March 2026: 01:00 UTC is 03:00 there.
        let berlin = ticks("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 3);
        assert_eq!(berlin, ["03-28T01:30Z", "03-29T01:00Z", "03-30T00:30Z"]);
        // Sydney does so on 4 October 2026, at 16:00 UTC of the day before.
        let sydney = ticks("30 2 * * *", "Australia/Sydney", "2026-10-02T00:00:00Z", 3);
        assert_eq!(sydney, ["10-02T16:30Z", "10-03T16:00Z", "10-04T15:30Z"]);
    }

    #[test]
    fn a_local_time_that_is_repeated_ticks_once() {
        let berlin = ticks("30 2 * * *", "Europe/Berlin", "2026-10-24T00:00:00Z", 3);
        assert_eq!(berlin, ["10-24T00:30Z", "10-25T00:30Z", "10-26T01:30Z"]);
        let sydney = ticks("0,30 2 * * *", "Australia/Sydney", "2026-04-04T00:00:00Z", 4);
        assert_eq!(sydney, ["04-04T15:00Z", "04-04T15:30Z", "04-05T16:00Z", "04-05T16:30Z"]);
    }

    #[test]
    fn several_times_in_one_gap_are_one_tick() {
        let berlin = ticks("0,20,40 1-3 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 5);
        assert_eq!(berlin, ["03-29T00:20Z", "03-29T00:40Z", "03-29T01:00Z", "03-29T01:20Z", "03-29T01:40Z"]);
    }

    #[test]
    fn months_end_where_they_end() {
        let last = ticks("30 23 L * *", "UTC", "2027-12-31T23:30:00Z", 4);
        assert_eq!(last, ["01-31T23:30Z", "02-29T23:30Z", "03-31T23:30Z", "04-30T23:30Z"]);
        let long = ticks("0 0 31 * *", "UTC", "2026-01-31T00:00:00Z", 3);
        assert_eq!(long, ["03-31T00:00Z", "05-31T00:00Z", "07-31T00:00Z"]);
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        let refused = |expression: &str, zone: &str| Schedule::parse(expression, zone).unwrap_err();
        assert!(matches!(refused("61 * * * *", "UTC"), BadSchedule::Expression(..)));
        assert!(matches!(refused("0 0 0 * * *", "UTC"), BadSchedule::Expression(..)));
        assert!(matches!(refused("0 4 * * *", "Europe/Atlantis"), BadSchedule::Zone(_)));
        assert!(matches!(refused("0 0 31 2 *", "UTC"), BadSchedule::Never(_)));
        assert!(matches!(refused("*/10 * * * *", "Europe/Berlin"), BadSchedule::EveryHour(_)));
    }

    #[test]
    fn missed_ticks_are_caught_up_as_declared() {
        let schedule = Schedule::parse("0 * * * *", "UTC").unwrap();
        let (first, now) = (at("2026-01-01T01:00:00Z"), at("2026-01-03T00:30:00Z"));
        let due = |rule, limit| Due::at(now, first, &schedule, rule, limit).unwrap();
        assert_eq!(due(CatchUp::Each, 100).ticks.len(), 48);
        let part = due(CatchUp::Each, 10);
        assert_eq!((part.ticks.len(), part.next), (10, at("2026-01-01T11:00:00Z")));
        let next = at("2026-01-03T01:00:00Z");
        assert_eq!(due(CatchUp::Once, 100), Due { ticks: vec![at("2026-01-03T00:00:00Z")], next });
        assert_eq!(due(CatchUp::Skip, 100), Due { ticks: vec![], next });
        let seen = Due::at(at("2026-01-03T00:00:59Z"), first, &schedule, CatchUp::Skip, 100).unwrap();
        assert_eq!(seen.ticks, [at("2026-01-03T00:00:00Z")]);
    }

    #[test]
    fn the_newest_tick_is_found_however_rare_it_is() {
        for (expression, newest) in [
            ("* * * * *", "2026-06-15T12:34:00Z"),
            ("0 4 * * *", "2026-06-15T04:00:00Z"),
            ("0 4 31 * *", "2026-05-31T04:00:00Z"),
            ("0 0 1 1 *", "2026-01-01T00:00:00Z"),
        ] {
            let schedule = Schedule::parse(expression, "UTC").unwrap();
            let known = schedule.next_after(at("2020-01-01T00:00:00Z")).unwrap();
            let found = schedule.newest(known, at("2026-06-15T12:34:56Z")).unwrap();
            assert_eq!(found, at(newest), "{expression}");
        }
    }
}
