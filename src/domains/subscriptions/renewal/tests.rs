use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::*;
use crate::domains::{
    catalog::{Anchor, Limit, Rollover, Scope},
    subscriptions::periods::Period,
};

/// Plans by their place: the last of a key is the one offered.
struct Shelf(Vec<Arc<Plan>>);

impl Offer for Shelf {
    fn plan(&self, id: Uuid) -> Option<Arc<Plan>> {
        self.0.iter().find(|plan| plan.id == id).cloned()
    }

    fn offered(&self, key: &str) -> Option<Arc<Plan>> {
        self.0.iter().rfind(|plan| plan.key == key && plan.is_offered).cloned()
    }
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn plan(number: u128, key: &str, credits: Option<i64>, rollover: Rollover) -> Plan {
    let content = PlanContent {
        name: key.to_uppercase(),
        description: None,
        prices: Vec::new(),
        credits,
        rollover,
        limits: Vec::new(),
        features: BTreeSet::new(),
        models: BTreeSet::new(),
        min_output_tokens: 1,
        max_output_tokens: None,
        max_context_tokens: None,
        max_members: None,
        is_metered: false,
        points_per_minute: None,
    };
    Plan { id: id(number), key: key.to_owned(), version: 1, is_offered: true, content }
}

fn shelf() -> Shelf {
    let tokens = Limit {
        meter: Meter::Tokens,
        window: Window::Period,
        scope: Scope::Account,
        amount: Some(1_000),
        zone: Tz::UTC,
        anchor: Anchor::Subscription,
        rollover: Rollover::Unlimited,
    };
    let mut pro = plan(2, "pro", Some(300), Rollover::Capped { percent: 50 });
    pro.content.limits.push(tokens);
    let free = plan(1, "free", Some(10), Rollover::None);
    let team = plan(3, "team", None, Rollover::None);
    Shelf([free, pro, team].map(Arc::new).into())
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// On the plan of this number since New Year.
fn row(plan: u128) -> SubscriptionRow {
    let anchor_at = at("2026-01-01T00:00:00Z");
    let period = Period::first(anchor_at, Tz::UTC);
    let mut row = SubscriptionRow {
        id: id(99),
        account_id: id(98),
        plan_id: id(plan),
        next_plan_id: None,
        reverts_to_plan_id: None,
        reverts_at: None,
        anchor_at,
        period: 0,
        period_started_at: anchor_at,
        period_ends_at: anchor_at,
        revision: 0,
    };
    row.enter(period);
    row
}

fn granted(meter: Meter, source: GrantSource, amount: i64, rest: i64) -> PeriodGrant {
    PeriodGrant { meter, source, amount, rest, is_of_period: true, is_ending: true }
}

/// Source, meter and amount of what a step grants.
fn grants(step: &Step) -> Vec<(GrantSource, Meter, i64)> {
    let grants = step.bookings.iter().filter_map(|booking| match booking {
        Booking::Grant(grant) => Some((grant.source, grant.meter, grant.amount)),
        Booking::Expire => None,
    });
    grants.collect()
}

fn look(row: &SubscriptionRow, grants: &[PeriodGrant], shelf: &Shelf, now: &str) -> Step {
    let renewal = Renewal::of(row, grants, shelf, &|| id(7)).unwrap();
    renewal.bring_to(at(now)).unwrap().finish()
}

#[test]
fn nothing_happens_before_the_end_of_a_period() {
    let step = look(
        &row(1),
        &[granted(Meter::Credits, GrantSource::Plan, 10, 10)],
        &shelf(),
        "2026-01-31T23:59:59Z",
    );
    assert_eq!(step, Step { row: row(1), bookings: vec![Booking::Expire], changes: Vec::new() });
}

#[test]
fn a_look_twice_is_a_look_once() {
    let first = look(&row(2), &[], &shelf(), "2026-02-01T00:00:00Z");
    assert_eq!(
        grants(&first),
        [(GrantSource::Plan, Meter::Credits, 300), (GrantSource::Plan, Meter::Tokens, 1_000)]
    );
    assert_eq!(first.row.revision, 1);
    let second = look(&first.row, &[], &shelf(), "2026-02-01T00:00:00Z");
    assert_eq!((grants(&second), &second.row), (Vec::new(), &first.row));
}

#[test]
fn a_rest_is_carried_over_as_the_ended_plan_says() {
    let rest = [
        granted(Meter::Credits, GrantSource::Plan, 300, 120),
        granted(Meter::Credits, GrantSource::Rollover, 100, 90),
        PeriodGrant { is_ending: false, ..granted(Meter::Tokens, GrantSource::Plan, 1_000, 700) },
    ];
    let mut going = row(2);
    going.next_plan_id = Some(id(1));
    let step = look(&going, &rest, &shelf(), "2026-02-01T00:00:00Z");
    assert_eq!(
        grants(&step),
        [(GrantSource::Rollover, Meter::Credits, 150), (GrantSource::Plan, Meter::Credits, 10)]
    );
    assert_eq!((step.row.plan_id, step.row.next_plan_id), (id(1), None));
    let none =
        look(&row(1), &[granted(Meter::Credits, GrantSource::Plan, 10, 9)], &shelf(), "2026-02-01T00:00:00Z");
    assert_eq!(grants(&none), [(GrantSource::Plan, Meter::Credits, 10)]);
}

#[test]
fn going_up_and_down_and_up_again_wins_nothing() {
    let now = at("2026-01-10T00:00:00Z");
    let (shelf, new_id) = (shelf(), || id(7));
    let mut given = vec![granted(Meter::Credits, GrantSource::Plan, 10, 3)];
    let mut row = row(1);
    for (to, expected) in
        [(2, vec![(Meter::Credits, 290), (Meter::Tokens, 1_000)]), (1, vec![]), (2, vec![]), (3, vec![])]
    {
        let plan = shelf.plan(id(to)).unwrap();
        let renewal = Renewal::of(&row, &given, &shelf, &new_id).unwrap().bring_to(now).unwrap();
        let step = renewal.change(plan, Cause::Change, now).finish();
        let found: Vec<_> = grants(&step).into_iter().map(|(_, meter, amount)| (meter, amount)).collect();
        assert_eq!(found, expected, "to {to}");
        assert_eq!(step.changes.len(), 1);
        given.extend(found.iter().map(|(meter, amount)| granted(*meter, GrantSource::Plan, *amount, 0)));
        row = step.row;
    }
}

#[test]
fn a_plan_on_loan_goes_back_whenever_somebody_looks() {
    let shelf = shelf();
    let given = [granted(Meter::Credits, GrantSource::Plan, 10, 10)];
    let (lent, until) = (at("2026-01-10T00:00:00Z"), at("2026-02-10T00:00:00Z"));
    let renewal =
        Renewal::of(&row(1), &given, &shelf, &|| id(7)).unwrap().bring_to(lent).unwrap().finish().row;
    let pro = shelf.plan(id(2)).unwrap();
    let on_loan = Renewal::of(&renewal, &given, &shelf, &|| id(7))
        .unwrap()
        .lend(Arc::clone(&pro), until, lent)
        .finish();
    assert_eq!((on_loan.row.plan_id, on_loan.row.reverts_to_plan_id), (id(2), Some(id(1))));
    // The period that begins while it is on loan is that of the loan, also if the first look comes after it.
    let late = look(&on_loan.row, &given, &shelf, "2026-02-20T00:00:00Z");
    let plan_grants = [(GrantSource::Plan, Meter::Credits, 300), (GrantSource::Plan, Meter::Tokens, 1_000)];
    assert_eq!(grants(&late)[1..], plan_grants);
    assert_eq!((late.row.plan_id, late.row.reverts_at), (id(1), None));
    // One that begins after it is the customer's own.
    let later = look(&on_loan.row, &given, &shelf, "2026-03-01T00:00:00Z");
    assert_eq!(grants(&later).last(), Some(&(GrantSource::Plan, Meter::Credits, 10)));
    assert_eq!((later.row.plan_id, later.row.period), (id(1), 2));
    // Another loan does not become what comes back, and a change of one's own ends it.
    let again = Renewal::of(&on_loan.row, &given, &shelf, &|| id(7)).unwrap();
    let again = again.lend(shelf.plan(id(3)).unwrap(), until + TimeDelta::days(1), lent).finish().row;
    assert_eq!((again.plan_id, again.reverts_to_plan_id), (id(3), Some(id(1))));
    let own =
        Renewal::of(&again, &given, &shelf, &|| id(7)).unwrap().change(pro, Cause::Change, lent).finish().row;
    assert_eq!((own.plan_id, own.reverts_to_plan_id, own.reverts_at), (id(2), None, None));
}

#[test]
fn a_wish_for_the_end_of_the_period_can_be_taken_back_and_outlives_a_loan() {
    let shelf = shelf();
    let schedule = |row: &SubscriptionRow, to| {
        let plan = shelf.plan(id(to)).unwrap();
        Renewal::of(row, &[], &shelf, &|| id(7)).unwrap().schedule(&plan).unwrap().finish().row
    };
    let wished = schedule(&row(2), 1);
    assert_eq!((wished.plan_id, wished.next_plan_id, wished.revision), (id(2), Some(id(1)), 1));
    assert_eq!(schedule(&wished, 1), wished);
    assert_eq!(schedule(&wished, 2).next_plan_id, None);
    let (lent, until) = (at("2026-01-10T00:00:00Z"), at("2026-02-10T00:00:00Z"));
    let team = shelf.plan(id(3)).unwrap();
    let lent = Renewal::of(&wished, &[], &shelf, &|| id(7)).unwrap().lend(team, until, lent).finish().row;
    let february = look(&lent, &[], &shelf, "2026-02-01T00:00:00Z").row;
    assert_eq!(
        (february.plan_id, february.reverts_to_plan_id, february.next_plan_id),
        (id(3), Some(id(1)), None)
    );
    assert_eq!(look(&february, &[], &shelf, "2026-02-10T00:00:00Z").row.plan_id, id(1));
}

#[test]
fn a_new_version_waits_for_the_renewal_and_an_unknown_plan_is_said() {
    let mut shelf = shelf();
    shelf.0.push(Arc::new(plan(4, "free", Some(20), Rollover::None)));
    let before = look(&row(1), &[], &shelf, "2026-01-31T00:00:00Z");
    assert_eq!(before.row.plan_id, id(1));
    let after = look(&row(1), &[], &shelf, "2026-02-01T00:00:00Z");
    assert_eq!((after.row.plan_id, grants(&after)), (id(4), vec![(GrantSource::Plan, Meter::Credits, 20)]));
    assert_eq!(after.changes.len(), 1);
    let unknown = Renewal::of(&row(5), &[], &shelf, &|| id(7)).err();
    assert_eq!(unknown, Some(UnknownPlan(id(5))));
}
