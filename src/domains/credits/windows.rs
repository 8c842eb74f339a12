//! Bounds of the windows in which limits count. Pure: zone, anchors and the instant come in, bounds go out.
//!
//! Sliding windows (minute, hour) and `none` have no bounds. A day begins at midnight of its zone, or at the first
//! instant after it where a clock change skips midnight. Months are counted from their anchor, never from the month
//! before, so that January 31 is followed by February 28 and by March 31.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use crate::domains::catalog::{Anchor, Limit, Window};

/// One window: from `starts` to right before `ends`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub starts: DateTime<Utc>,
    pub ends: DateTime<Utc>,
}

/// From where the windows of an account are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchors {
    /// When the account was made.
    pub sign_up: DateTime<Utc>,
    /// From where the periods of the subscription are counted.
    pub subscription: DateTime<Utc>,
    /// The period that `now` is in.
    pub period: Bounds,
    /// Grows whenever other limits may apply to the account: with its plan, its period and the catalogue.
    pub terms: i64,
}

/// The window of a limit at an instant; `None` when it has no bounds.
pub fn bounds(limit: &Limit, anchors: &Anchors, now: DateTime<Utc>) -> Option<Bounds> {
    match (limit.window, limit.anchor) {
        (Window::Minute | Window::Hour | Window::None, _) => None,
        (Window::Day, _) => Some(day(limit.zone, now)),
        (Window::Period, _) => Some(anchors.period),
        (Window::Month, Anchor::Calendar) => Some(month_from(limit.zone, NaiveDate::MIN, now)),
        (Window::Month, Anchor::SignUp) => {
            Some(month_from(limit.zone, local_date(limit.zone, anchors.sign_up), now))
        }
        (Window::Month, Anchor::Subscription) => Some(month_since(anchors.subscription, now)),
    }
}

/// The calendar day of a zone.
pub fn day(zone: Tz, now: DateTime<Utc>) -> Bounds {
    let today = local_date(zone, now);
    let tomorrow = today.checked_add_days(Days::new(1)).unwrap_or(NaiveDate::MAX);
    Bounds { starts: first_instant(zone, today), ends: first_instant(zone, tomorrow) }
}

/// The month counted from an instant, in UTC and to the second.
pub fn month_since(anchor: DateTime<Utc>, now: DateTime<Utc>) -> Bounds {
    month_by(months_between(anchor.date_naive(), now.date_naive()), now, |count| {
        add_months(anchor.date_naive(), count).and_time(anchor.time()).and_utc()
    })
}

/// The month counted from midnight of a day; from the first of each month when the day is `NaiveDate::MIN`.
fn month_from(zone: Tz, anchor: NaiveDate, now: DateTime<Utc>) -> Bounds {
    let today = local_date(zone, now);
    let anchor = if anchor == NaiveDate::MIN { today.with_day(1).unwrap_or(today) } else { anchor };
    month_by(months_between(anchor, today), now, |count| first_instant(zone, add_months(anchor, count)))
}

/// The month that `now` is in, which `guess` misses by one at most.
fn month_by(guess: i32, now: DateTime<Utc>, start: impl Fn(i32) -> DateTime<Utc>) -> Bounds {
    let number = [guess + 1, guess, guess - 1].into_iter().find(|&count| start(count) <= now);
    let number = number.unwrap_or(guess - 1);
    Bounds { starts: start(number), ends: start(number + 1) }
}

fn months_between(from: NaiveDate, to: NaiveDate) -> i32 {
    let number = |date: NaiveDate| date.year() * 12 + date.month0().cast_signed();
    number(to) - number(from)
}

/// A month too short for the day ends it earlier; the next one has the day again.
fn add_months(date: NaiveDate, count: i32) -> NaiveDate {
    let months = Months::new(count.unsigned_abs());
    let moved = if count < 0 { date.checked_sub_months(months) } else { date.checked_add_months(months) };
    moved.unwrap_or(date)
}

fn local_date(zone: Tz, at: DateTime<Utc>) -> NaiveDate {
    at.with_timezone(&zone).date_naive()
}

/// The first instant of a day. Where a clock change skips midnight that is the change itself, which comes when the clock
/// before it would have shown midnight.
fn first_instant(zone: Tz, date: NaiveDate) -> DateTime<Utc> {
    let midnight = date.and_time(NaiveTime::MIN);
    match zone.from_local_datetime(&midnight).earliest() {
        Some(at) => at.to_utc(),
        None => {
            let before = zone.offset_from_utc_datetime(&(midnight - TimeDelta::days(1))).fix();
            (midnight - before).and_utc()
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::{America, Europe, Pacific};

    use super::*;
    use crate::domains::catalog::{Meter, Rollover, Scope};

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn between(starts: &str, ends: &str) -> Bounds {
        Bounds { starts: at(starts), ends: at(ends) }
    }

    fn limit(window: Window, zone: Tz, anchor: Anchor) -> Limit {
        Limit {
            meter: Meter::Messages,
            window,
            scope: Scope::Account,
            amount: Some(1),
            zone,
            anchor,
            rollover: Rollover::None,
        }
    }

    fn anchors(sign_up: &str) -> Anchors {
        let period = between("2024-02-03T00:00:00Z", "2024-03-03T00:00:00Z");
        Anchors { sign_up: at(sign_up), subscription: at(sign_up), period, terms: 0 }
    }

    #[test]
    fn a_day_is_the_day_of_its_zone() {
        for (zone, now, starts, ends) in [
            (Tz::UTC, "2024-02-28T23:59:59Z", "2024-02-28T00:00:00Z", "2024-02-29T00:00:00Z"),
            (Tz::UTC, "2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"),
            (America::New_York, "2024-01-01T04:59:59Z", "2023-12-31T05:00:00Z", "2024-01-01T05:00:00Z"),
            // 23 and 25 hours.
            (Europe::Berlin, "2024-03-31T10:00:00Z", "2024-03-30T23:00:00Z", "2024-03-31T22:00:00Z"),
            (Europe::Berlin, "2024-10-27T10:00:00Z", "2024-10-26T22:00:00Z", "2024-10-27T23:00:00Z"),
            // Midnight itself is skipped, and happens twice.
            (America::Sao_Paulo, "2018-11-04T12:00:00Z", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"),
            (America::Sao_Paulo, "2018-11-04T02:59:59Z", "2018-11-03T03:00:00Z", "2018-11-04T03:00:00Z"),
            (America::Havana, "2024-11-03T12:00:00Z", "2024-11-03T04:00:00Z", "2024-11-04T05:00:00Z"),
            // A whole day is skipped.
            (Pacific::Apia, "2011-12-30T09:59:59Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"),
            (Pacific::Apia, "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"),
        ] {
            assert_eq!(day(zone, at(now)), between(starts, ends), "{zone} {now}");
        }
    }

    #[test]
    fn a_month_from_the_31st_ends_with_short_months_and_comes_back() {
        let limit = limit(Window::Month, Tz::UTC, Anchor::SignUp);
        for (now, starts, ends) in [
            ("2024-01-31T12:00:00Z", "2024-01-31", "2024-02-29"),
            ("2024-02-28T23:59:59Z", "2024-01-31", "2024-02-29"),
            ("2024-02-29T00:00:00Z", "2024-02-29", "2024-03-31"),
            ("2024-03-31T00:00:00Z", "2024-03-31", "2024-04-30"),
            ("2024-04-30T00:00:00Z", "2024-04-30", "2024-05-31"),
            ("2025-02-28T00:00:00Z", "2025-02-28", "2025-03-31"),
            ("2025-03-30T23:59:59Z", "2025-02-28", "2025-03-31"),
            // A clock that is behind the one that made the account.
            ("2024-01-30T00:00:00Z", "2023-12-31", "2024-01-31"),
        ] {
            let expected = between(&format!("{starts}T00:00:00Z"), &format!("{ends}T00:00:00Z"));
            let found = bounds(&limit, &anchors("2024-01-31T12:00:00Z"), at(now));
            assert_eq!(found, Some(expected), "{now}");
        }
    }

    #[test]
    fn a_month_counts_from_its_anchor() {
        let anchors = anchors("2024-02-29T08:30:00Z");
        let now = at("2025-03-10T00:00:00Z");
        for (anchor, zone, starts, ends) in [
            (Anchor::Calendar, Tz::UTC, "2025-03-01T00:00:00Z", "2025-04-01T00:00:00Z"),
            // The offset changes within the month.
            (Anchor::Calendar, Europe::Berlin, "2025-02-28T23:00:00Z", "2025-03-31T22:00:00Z"),
            (Anchor::SignUp, Europe::Berlin, "2025-02-27T23:00:00Z", "2025-03-28T23:00:00Z"),
            (Anchor::Subscription, Tz::UTC, "2025-02-28T08:30:00Z", "2025-03-29T08:30:00Z"),
        ] {
            let found = bounds(&limit(Window::Month, zone, anchor), &anchors, now);
            assert_eq!(found, Some(between(starts, ends)), "{anchor:?} {zone}");
        }
        let found = bounds(&limit(Window::Period, Tz::UTC, Anchor::Calendar), &anchors, now);
        assert_eq!(found, Some(anchors.period));
        for window in [Window::Minute, Window::Hour, Window::None] {
            assert_eq!(bounds(&limit(window, Tz::UTC, Anchor::Calendar), &anchors, now), None);
        }
    }

    #[test]
    fn windows_follow_each_other_without_a_gap() {
        let anchors = anchors("2023-01-31T22:15:00Z");
        for zone in [Tz::UTC, Europe::Berlin, America::Sao_Paulo, America::Havana, Pacific::Apia] {
            for (window, anchor) in [
                (Window::Day, Anchor::Calendar),
                (Window::Month, Anchor::Calendar),
                (Window::Month, Anchor::SignUp),
                (Window::Month, Anchor::Subscription),
            ] {
                let limit = limit(window, zone, anchor);
                let mut now = at("2010-01-15T00:00:00Z");
                for _ in 0..1_000 {
                    let here = bounds(&limit, &anchors, now).unwrap();
                    assert!(here.starts <= now && now < here.ends, "{zone} {anchor:?} {now} {here:?}");
                    let last = bounds(&limit, &anchors, here.ends - TimeDelta::seconds(1)).unwrap();
                    assert_eq!(last, here, "{zone} {anchor:?}");
                    let next = bounds(&limit, &anchors, here.ends).unwrap();
                    assert_eq!(next.starts, here.ends, "{zone} {anchor:?}");
                    now = here.ends;
                }
            }
        }
    }
}
