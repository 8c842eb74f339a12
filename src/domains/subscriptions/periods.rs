//! Periods of a subscription: months from an anchor, by the local calendar of a zone. Pure.
//!
//! The n-th period begins n months after the *anchor*, never after the period before it, so that one which began on
//! January 31 begins on February 28 and then on March 31 again. Periods that were lived through touch each other, also when
//! the zone has changed between them: a period begins where the last one was promised to end, and only its own end moves.

use chrono::{DateTime, Datelike, Months, TimeZone, Utc};
use chrono_tz::{GapInfo, Tz};

/// One period: from its start, which is part of it, to its end, which is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// The first is 0.
    pub number: i32,
    pub starts_at: DateTime<Utc>,
    pub ends_at: DateTime<Utc>,
}

impl Period {
    /// The one that begins with the anchor.
    pub fn first(anchor: DateTime<Utc>, zone: Tz) -> Self {
        Self { number: 0, starts_at: anchor, ends_at: start_of(1, anchor, zone) }
    }

    /// The one that is current at `now`, which is not before the end of this one. Periods between the two are skipped.
    pub fn next(self, anchor: DateTime<Utc>, zone: Tz, now: DateTime<Utc>) -> Self {
        let following = self.number.saturating_add(1);
        let number = number_at(now, anchor, zone).max(following);
        let starts_at = if number == following { self.ends_at } else { start_of(number, anchor, zone) };
        Self { number, starts_at, ends_at: start_of(number.saturating_add(1), anchor, zone) }
    }
}

/// When the period of this number begins, whoever lives through it. A day that the month lacks is its last one; a local time
/// that the clock skips is the first instant after the gap, one that it repeats is the first of the two.
fn start_of(number: i32, anchor: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
    let local = anchor.with_timezone(&zone).naive_local();
    let months = Months::new(u32::try_from(number).unwrap_or_default());
    let Some(local) = local.checked_add_months(months) else { return DateTime::<Utc>::MAX_UTC };
    let after_gap = || GapInfo::new(&local, &zone).and_then(|gap| gap.end);
    let instant = zone.from_local_datetime(&local).earliest().or_else(after_gap);
    instant.map_or(DateTime::<Utc>::MAX_UTC, |instant| instant.to_utc())
}

/// Number of the last period that does not begin after `now`; 0 before the anchor.
fn number_at(now: DateTime<Utc>, anchor: DateTime<Utc>, zone: Tz) -> i32 {
    let (from, to) = (anchor.with_timezone(&zone), now.with_timezone(&zone));
    let months = (to.year() - from.year()) * 12 + to.month().cast_signed() - from.month().cast_signed();
    // The day and the hour within the month decide about the last one.
    let number = if start_of(months, anchor, zone) <= now { months } else { months - 1 };
    number.max(0)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn zone(name: &str) -> Tz {
        name.parse().unwrap()
    }

    /// Starts of the first periods, each looked at when the one before it ends.
    fn starts(anchor: &str, zone: Tz, count: usize) -> Vec<String> {
        let anchor = at(anchor);
        let first = Period::first(anchor, zone);
        let periods = std::iter::successors(Some(first), |last| Some(last.next(anchor, zone, last.ends_at)));
        periods.take(count).map(|period| period.starts_at.format("%m-%dT%H:%M").to_string()).collect()
    }

    #[test]
    fn the_last_day_of_a_month_comes_back_after_a_shorter_one() {
        assert_eq!(
            starts("2026-01-31T10:00:00Z", Tz::UTC, 6),
            ["01-31T10:00", "02-28T10:00", "03-31T10:00", "04-30T10:00", "05-31T10:00", "06-30T10:00"]
        );
        assert_eq!(
            starts("2026-12-30T23:59:00Z", Tz::UTC, 4),
            ["12-30T23:59", "01-30T23:59", "02-28T23:59", "03-30T23:59"]
        );
    }

    #[test]
    fn a_leap_day_is_used_where_there_is_one() {
        assert_eq!(
            starts("2027-12-31T00:00:00Z", Tz::UTC, 4),
            ["12-31T00:00", "01-31T00:00", "02-29T00:00", "03-31T00:00"]
        );
        let leap = at("2028-02-29T08:00:00Z");
        let year = Period::first(leap, Tz::UTC).next(leap, Tz::UTC, at("2029-03-01T00:00:00Z"));
        assert_eq!((year.number, year.starts_at), (12, at("2029-02-28T08:00:00Z")));
        assert_eq!(year.ends_at, at("2029-03-29T08:00:00Z"));
    }

    #[test]
    fn the_local_hour_stays_when_clocks_change() {
        let berlin = zone("Europe/Berlin");
        assert_eq!(starts("2026-02-15T11:00:00Z", berlin, 3), ["02-15T11:00", "03-15T11:00", "04-15T10:00"]);
        // 02:30 does not exist on March 29 and exists twice on October 25.
        let gap = at("2026-01-29T01:30:00Z");
        assert_eq!(
            Period::first(gap, berlin).next(gap, berlin, at("2026-03-10T00:00:00Z")).ends_at,
            at("2026-03-29T01:00:00Z")
        );
        let twice = at("2026-09-25T00:30:00Z");
        assert_eq!(Period::first(twice, berlin).ends_at, at("2026-10-25T00:30:00Z"));
    }

    #[test]
    fn missed_periods_are_skipped() {
        let anchor = at("2026-01-31T10:00:00Z");
        let first = Period::first(anchor, Tz::UTC);
        let late = first.next(anchor, Tz::UTC, at("2026-05-31T09:59:59Z"));
        assert_eq!(
            (late.number, late.starts_at, late.ends_at),
            (3, at("2026-04-30T10:00:00Z"), at("2026-05-31T10:00:00Z"))
        );
        let at_once = first.next(anchor, Tz::UTC, first.ends_at);
        assert_eq!(at_once.number, 1);
    }

    #[test]
    fn a_changed_zone_moves_an_end_and_neither_repeats_nor_leaves_out_a_period() {
        let anchor = at("2026-01-31T02:00:00Z");
        let utc = Period::first(anchor, Tz::UTC);
        assert_eq!(utc.ends_at, at("2026-02-28T02:00:00Z"));
        // In New York the anchor is the evening of January 30.
        let moved = utc.next(anchor, zone("America/New_York"), utc.ends_at);
        assert_eq!((moved.number, moved.starts_at), (1, utc.ends_at));
        assert_eq!(moved.ends_at, at("2026-03-31T01:00:00Z"));
        let back = moved.next(anchor, zone("Pacific/Kiritimati"), moved.ends_at);
        assert_eq!(
            (back.number, back.starts_at, back.ends_at),
            (2, moved.ends_at, at("2026-04-30T02:00:00Z"))
        );
    }

    proptest! {
        /// Whatever the anchor, the zones and the pace of looks.
        #[test]
        fn periods_grow_hold_their_moment_and_never_overlap(
            start in 1_600_000_000_i64..2_000_000_000,
            looks in prop::collection::vec((0_i64..100 * 86_400, 0_usize..5), 1..40),
        ) {
            let zones = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"].map(zone);
            let anchor = DateTime::from_timestamp(start, 0).unwrap();
            let (mut now, mut period) = (anchor, Period::first(anchor, Tz::UTC));
            for (wait, place) in looks {
                now += TimeDelta::seconds(wait);
                if now < period.ends_at {
                    continue;
                }
                let next = period.next(anchor, zones[place], now);
                prop_assert!(next.number > period.number && next.starts_at >= period.ends_at);
                prop_assert!(next.starts_at <= now && now < next.ends_at, "{next:?} at {now}");
                let days = (next.ends_at - next.starts_at).num_hours() as f64 / 24.0;
                // 31 days, and three more where the anchor is February 28 in one zone and March 1 in the next.
                prop_assert!((25.9..34.2).contains(&days), "{days} days: {next:?}");
                period = next;
            }
        }
    }
}
