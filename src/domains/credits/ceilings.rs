//! The alarm before a ceiling refuses: operators hear of it once a process, day and account.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::quota::{Count, CountScope};
use crate::{
    domains::catalog::{Ceilings, Meter, Window},
    platform::metrics::names,
};

/// Accounts that are remembered as told of in a day; those beyond are counted and not logged.
const REMEMBERED: usize = 1_000;

/// Looks at what holds have counted; clones share what was told.
#[derive(Debug, Clone, Default)]
pub struct CeilingAlarm(Arc<Mutex<Told>>);

#[derive(Debug, Default)]
struct Told {
    day: NaiveDate,
    /// The nil id is the deployment.
    accounts: HashSet<Uuid>,
}

impl CeilingAlarm {
    /// Raises the alarm where a hold has brought a count of credits a day to the share of its ceiling.
    pub fn look(&self, ceilings: &Ceilings, account_id: Uuid, counts: &[Count], now: DateTime<Utc>) {
        for count in
            counts.iter().filter(|count| (count.meter, count.window) == (Meter::Credits, Window::Day))
        {
            let (scope, ceiling, subject) = match count.scope {
                CountScope::Account => ("account", ceilings.account_credits_a_day, account_id),
                CountScope::Deployment => ("deployment", ceilings.deployment_credits_a_day, Uuid::nil()),
                CountScope::Member => continue,
            };
            let Some(ceiling) = ceiling else { continue };
            if is_near(count.used.saturating_add(count.held), ceiling, ceilings.alarm_percent) {
                names::CEILING_ALARMS.add([scope.into()], 1);
                if self.is_news(subject, now) {
                    tracing::warn!(
                        scope,
                        account.id = %account_id,
                        used = count.used,
                        held = count.held,
                        ceiling,
                        "micro-credits of today come near their ceiling; beyond it calls are refused"
                    );
                }
            }
        }
    }

    fn is_news(&self, subject: Uuid, now: DateTime<Utc>) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.day != now.date_naive() {
            *told = Told { day: now.date_naive(), accounts: HashSet::new() };
        }
        // The deployment, which has no id, is always remembered.
        (subject.is_nil() || told.accounts.len() < REMEMBERED) && told.accounts.insert(subject)
    }
}

fn is_near(amount: i64, ceiling: i64, percent: u32) -> bool {
    i128::from(amount) * 100 >= i128::from(ceiling) * i128::from(percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_told_of_once_a_day() {
        let alarm = CeilingAlarm::default();
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let monday: DateTime<Utc> = "2026-01-05T10:00:00Z".parse().unwrap();
        assert!(alarm.is_news(one, monday) && alarm.is_news(other, monday));
        assert!(!alarm.is_news(one, monday));
        assert!(alarm.is_news(one, monday + chrono::Days::new(1)));
        let crowd = (0..2_000).filter(|&id| alarm.is_news(Uuid::from_u128(id), monday)).count();
        assert_eq!(crowd, REMEMBERED);
    }

    #[test]
    fn the_share_is_exact() {
        assert!(is_near(80, 100, 80) && !is_near(79, 100, 80) && is_near(i64::MAX, i64::MAX, 100));
    }
}
