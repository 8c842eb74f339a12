//! When entries should tick, counted out minute by minute from tables of clock changes: neither an expression nor a
//! library of zones is asked.

use chrono::{DateTime, Datelike, NaiveDateTime, TimeDelta, Timelike, Utc, Weekday};
use loquent::jobs::cron::{CatchUp, Declaration};

/// What local clocks show: hours east of Greenwich, and from when on.
#[derive(Debug, Clone, Copy)]
pub struct Zone {
    pub name: &'static str,
    offsets: &'static [(&'static str, i64)],
}

pub const UTC: Zone = Zone { name: "UTC", offsets: &[("2000-01-01T00:00:00Z", 0)] };
pub const BERLIN: Zone = Zone {
    name: "Europe/Berlin",
    offsets: &[("2025-10-26T01:00:00Z", 1), ("2026-03-29T01:00:00Z", 2), ("2026-10-25T01:00:00Z", 1)],
};
pub const SYDNEY: Zone = Zone {
    name: "Australia/Sydney",
    offsets: &[("2025-10-04T16:00:00Z", 11), ("2026-04-04T16:00:00Z", 10), ("2026-10-03T16:00:00Z", 11)],
};

/// An entry, with its schedule said once more in Rust.
#[derive(Clone, Copy)]
pub struct Planned {
    pub declared: Declaration,
    pub zone: Zone,
    pub is_tick: fn(NaiveDateTime) -> bool,
}

const fn planned(
    name: &'static str,
    schedule: &'static str,
    zone: Zone,
    catch_up: CatchUp,
    is_tick: fn(NaiveDateTime) -> bool,
) -> Planned {
    Planned { declared: Declaration { name, schedule, zone: zone.name, catch_up }, zone, is_tick }
}

/// Whether the clock shows one of these hours at one of these minutes.
fn shows(local: NaiveDateTime, hours: &[u32], minutes: &[u32]) -> bool {
    hours.contains(&local.hour()) && minutes.contains(&local.minute())
}

fn is_month_end(local: NaiveDateTime) -> bool {
    (local + TimeDelta::days(1)).month() != local.month()
}

fn is_workday(local: NaiveDateTime) -> bool {
    !matches!(local.weekday(), Weekday::Sat | Weekday::Sun)
}

/// Two zones that change their clocks into opposite directions, ends of months, and all rules.
pub const PLAN: [Planned; 9] = [
    planned("each.quarters", "0 */6 * * *", UTC, CatchUp::Each, |local| shows(local, &[0, 6, 12, 18], &[0])),
    planned("once.quarters", "0 */6 * * *", UTC, CatchUp::Once, |local| shows(local, &[0, 6, 12, 18], &[0])),
    planned("skip.quarters", "0 */6 * * *", UTC, CatchUp::Skip, |local| shows(local, &[0, 6, 12, 18], &[0])),
    planned("each.berlin_night", "30 2 * * *", BERLIN, CatchUp::Each, |local| shows(local, &[2], &[30])),
    planned("once.sydney_night", "30 2 * * *", SYDNEY, CatchUp::Once, |local| shows(local, &[2], &[30])),
    planned("skip.sydney_twice", "0,30 2,14 * * *", SYDNEY, CatchUp::Skip, |local| {
        shows(local, &[2, 14], &[0, 30])
    }),
    planned("each.month_end", "30 23 L * *", BERLIN, CatchUp::Each, |local| {
        is_month_end(local) && shows(local, &[23], &[30])
    }),
    planned("once.long_months", "0 4 31 * *", SYDNEY, CatchUp::Once, |local| {
        local.day() == 31 && shows(local, &[4], &[0])
    }),
    planned("skip.workdays", "0 9 * * MON-FRI", BERLIN, CatchUp::Skip, |local| {
        is_workday(local) && shows(local, &[9], &[0])
    }),
];

/// Beside them at full size: more ticks in the time down than are caught up at once.
pub const DENSE: Planned = planned("each.half_hours", "*/30 * * * *", UTC, CatchUp::Each, |local| {
    shows(local, &(0..24).collect::<Vec<_>>(), &[0, 30])
});

pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

impl Zone {
    /// What the clocks show, as a function of the instant.
    fn clock(self) -> impl Fn(DateTime<Utc>) -> NaiveDateTime {
        let offsets: Vec<_> = self.offsets.iter().map(|(since, hours)| (at(since), *hours)).collect();
        move |instant| {
            let known = offsets.iter().rev().find(|(since, _)| *since <= instant);
            instant.naive_utc() + TimeDelta::hours(known.expect("the table reaches so far back").1)
        }
    }
}

impl Planned {
    /// All ticks after `from`, up to `to`. The clock is watched minute by minute: a minute it shows for the first time, or
    /// has jumped over, ticks; one that it shows again does not.
    pub fn ticks(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        let clock = self.zone.clock();
        let (mut shown, mut now, mut ticks) = (clock(from), from, Vec::new());
        while now < to {
            now += TimeDelta::minutes(1);
            let local = clock(now);
            let mut is_tick = false;
            while shown < local {
                shown += TimeDelta::minutes(1);
                is_tick |= (self.is_tick)(shown);
            }
            if is_tick {
                ticks.push(now);
            }
        }
        ticks
    }

    /// What runs of `ticks` when nobody looks from `down` until `up`.
    pub fn run(&self, ticks: &[DateTime<Utc>], down: DateTime<Utc>, up: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        let missed: Vec<_> = ticks.iter().filter(|tick| (down..up).contains(tick)).collect();
        let newest = missed.last().copied();
        let is_run = |tick: &DateTime<Utc>| match self.declared.catch_up {
            CatchUp::Each => true,
            CatchUp::Once => !missed.contains(&tick) || newest == Some(tick),
            CatchUp::Skip => !missed.contains(&tick),
        };
        ticks.iter().copied().filter(is_run).collect()
    }
}

#[test]
fn the_tables_know_the_days_on_which_clocks_change() {
    let night = |plan: &Planned, day: &str| {
        let from = at(day);
        plan.ticks(from, from + TimeDelta::days(1))
    };
    let (berlin, sydney) = (&PLAN[3], &PLAN[5]);
    assert_eq!(night(berlin, "2026-03-28T12:00:00Z"), [at("2026-03-29T01:00:00Z")]);
    assert_eq!(night(berlin, "2026-10-24T12:00:00Z"), [at("2026-10-25T00:30:00Z")]);
    assert_eq!(
        night(sydney, "2026-04-04T12:00:00Z"),
        ["2026-04-04T15:00:00Z", "2026-04-04T15:30:00Z", "2026-04-05T04:00:00Z", "2026-04-05T04:30:00Z"]
            .map(at)
    );
    assert_eq!(
        night(sydney, "2026-10-03T12:00:00Z"),
        ["2026-10-03T16:00:00Z", "2026-10-04T03:00:00Z", "2026-10-04T03:30:00Z"].map(at)
    );
}
