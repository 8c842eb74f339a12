//! Three months in which clocks change, months end, and nobody looks for two days; and what should come of them.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use loquent::jobs::cron::CatchUp;

use super::{
    calendar::{Planned, at},
    world::{Tick, World, difference},
};

/// Three months and when the two days without a process begin.
pub struct Season {
    pub down: DateTime<Utc>,
    pub up: DateTime<Utc>,
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    plan: Vec<Planned>,
    /// By entry of the plan.
    ticks: Vec<Vec<DateTime<Utc>>>,
}

impl Season {
    /// Berlin changes its clocks in March, Sydney in April.
    pub fn spring(plan: &[Planned]) -> Self {
        Self::new("2026-02-15T00:05:00Z", "2026-03-30T12:10:00Z", plan)
    }

    /// Sydney changes its clocks in early October, Berlin at its end.
    pub fn autumn(plan: &[Planned]) -> Self {
        Self::new("2026-09-15T00:05:00Z", "2026-10-30T12:10:00Z", plan)
    }

    fn new(from: &str, down: &str, plan: &[Planned]) -> Self {
        let (from, down) = (at(from), at(down));
        let (to, up) = (from + TimeDelta::days(91), down + TimeDelta::days(2));
        let ticks = plan.iter().map(|planned| planned.ticks(from, to)).collect();
        Self { down, up, from, to, plan: plan.to_vec(), ticks }
    }

    pub fn is_down(&self, instant: DateTime<Utc>) -> bool {
        (self.down..self.up).contains(&instant)
    }

    /// The instants at which there is something to do.
    pub fn instants(&self) -> BTreeSet<DateTime<Utc>> {
        let seen = self.ticks.iter().flatten().copied().filter(|tick| !self.is_down(*tick));
        seen.chain([self.up]).collect()
    }

    /// What should have run by its end, in order.
    fn expected(&self) -> Vec<Tick> {
        let mut expected = Vec::new();
        for (planned, ticks) in self.plan.iter().zip(&self.ticks) {
            let run = planned.run(ticks, self.down, self.up);
            let missed = ticks.iter().filter(|tick| self.is_down(**tick)).count();
            let kept = run.len() + missed - ticks.len();
            match planned.declared.catch_up {
                CatchUp::Each => assert_eq!(kept, missed),
                CatchUp::Once => assert_eq!(kept, 1, "{} misses nothing", planned.declared.name),
                CatchUp::Skip => assert_eq!(kept, 0),
            }
            expected.extend(run.into_iter().map(|tick| (planned.declared.name.to_owned(), tick)));
        }
        expected.sort_by(|one, other| (one.1, &one.0).cmp(&(other.1, &other.0)));
        expected
    }

    /// Asserts that each tick has had its effect once, and when it was noted. Ticks, and how many of them late.
    pub async fn judge(&self, world: &mut World) -> (usize, usize) {
        world.settled().await;
        let expected = self.expected();
        let effects = world.ticks("effects").await;
        assert_eq!(difference(&effects, &expected), "", "effects of {} ticks", expected.len());
        assert_eq!(difference(&world.ticks("cron_ticks").await, &expected), "");
        let caught_up = world.noted_late_or_early().await;
        for (name, tick) in &caught_up {
            assert!(self.is_down(*tick), "{name} was not on time at {tick}");
        }
        (effects.len(), caught_up.len())
    }
}
