//! Histories by chance, of steps that are likely to matter.

use rand::{RngExt, rngs::StdRng};
use uuid::Uuid;

use super::{DAY, WHOLE, twins::Twins};
use crate::credits::reference::{Actual, Grant, Line, Meter, NEVER, State, Target};

/// A day or month (of thirty days) that `now` is in.
fn bounds(now: i64, length: i64, shift: i64) -> (i64, i64) {
    let start = (now - shift).div_euclid(length) * length + shift;
    (start, start + length)
}

/// The lines of a call: some meters of some windows, with limits that matter.
fn lines_of(twins: &Twins, rng: &mut StdRng, account: usize, scale: i64) -> Vec<Line> {
    let now = twins.model.now;
    let available = twins.model.balance(account).available;
    let fixed = match rng.random_range(0..4) {
        0 => 0,
        1 => available.saturating_add(rng.random_range(-2..=2)).max(0),
        _ => rng.random_range(0..=scale / 4),
    };
    let rate = match rng.random_range(0..5) {
        0 => 0,
        1 => rng.random_range(1..=10_000_000_000_000),
        _ => rng.random_range(1..=scale.min(10_000_000) * 10_000),
    };
    let (prompt, limits) = (rng.random_range(0..200), [None, Some(0), Some(1), Some(3), Some(7)]);
    // Now and then the zone of the day is another.
    let shift = if rng.random_range(0..12) == 0 { 7_200 } else { 0 };
    let mut count = |meter: Meter, window: Meter, bounds: Option<(i64, i64)>, is_member: bool| {
        let user = twins.users[if is_member { rng.random_range(1..3) } else { 0 }];
        let limit = limits[rng.random_range(0..limits.len())];
        Line { meter, target: Target::Counter { user, meter, window, bounds, limit }, fixed: 1, rate: 0 }
    };
    let all = [
        count("messages", "day", Some(bounds(now, DAY, shift)), false),
        count("messages", "day", Some(bounds(now, DAY, 0)), true),
        count("llm_requests", "minute", None, false),
        count("llm_requests", "none", Some(WHOLE), true),
    ];
    let mut lines: Vec<Line> = all.into_iter().filter(|_| rng.random_range(0..3) == 0).collect();
    let counter = |meter: Meter, window: Meter, bounds, limit| Target::Counter {
        user: Uuid::nil(),
        meter,
        window,
        bounds,
        limit,
    };
    let tokens = |target| Line { meter: "tokens", target, fixed: prompt, rate: 1_000_000 };
    let credits = |target| Line { meter: "credits", target, fixed, rate };
    let some =
        |rng: &mut StdRng, most: i64| Some(rng.random_range(0..=most)).filter(|_| rng.random_range(0..4) > 0);
    match rng.random_range(0..6) {
        0 => {
            lines.push(tokens(counter("tokens", "month", Some(bounds(now, 30 * DAY, 0)), some(rng, 60_000))))
        }
        1 => lines.push(tokens(counter("tokens", "minute", None, some(rng, 20_000)))),
        2 => lines.push(tokens(Target::Wallet)),
        _ => {}
    }
    match rng.random_range(0..8) {
        0 => lines.push(credits(counter("credits", "period", Some(bounds(now, 30 * DAY, 500)), None))),
        1 => {}
        _ => lines.push(credits(Target::Wallet)),
    }
    if rng.random_range(0..4) == 0 {
        lines.push(credits(counter("credits", "hour", None, some(rng, scale))));
    }
    if rng.random_range(0..4) == 0 {
        let limit = scale.saturating_mul(rng.random_range(1..10));
        lines.push(credits(Target::Deployment { day: bounds(now, DAY, 0).0, limit }));
    }
    lines
}

/// Takes one step that is likely to matter.
pub async fn step(twins: &mut Twins, rng: &mut StdRng, scale: i64) {
    let account = rng.random_range(0..twins.accounts.len());
    let expires = match rng.random_range(0..3) {
        0 => NEVER,
        _ => twins.model.now + rng.random_range(-10..200_000),
    };
    match rng.random_range(0..100) {
        0..12 => {
            // Few keys, so that many of them are granted for a second time.
            let key = rng.random_range(0..60_u32).to_string();
            let grant = Grant::new(
                Uuid::from_u128(rng.random()),
                &key,
                rng.random_range(1..4),
                rng.random_range(1..=scale),
                expires,
            );
            let meter = if rng.random_range(0..4) == 0 { "tokens" } else { "credits" };
            twins.grant(account, meter, grant).await;
        }
        12..17 => {
            let seconds = [1, 20, 61, 3_600, DAY, 31 * DAY];
            twins.pass(seconds[rng.random_range(0..seconds.len())]).await;
        }
        17..21 => {
            let amount = rng.random_range(1..=scale) * [1, -1][rng.random_range(0..2)];
            let id = Uuid::from_u128((account as u128 + 1) * 1_000 + rng.random_range(0..20));
            twins.adjust(id, account, amount, expires).await;
        }
        21..25 => {
            let grants =
                twins.model.wallets.get(&(account, "credits")).map_or(&[][..], |wallet| &wallet.grants);
            if let Some(grant) = grants.get(rng.random_range(0..grants.len().max(1))).map(|grant| grant.id) {
                let reference = rng.random_range(0..3).to_string();
                twins.revoke(account, grant, rng.random_range(1..=scale), &reference).await;
            }
        }
        25..62 => {
            let lines = lines_of(twins, rng, account, scale);
            let want = rng.random_range(0..=10_000);
            let min = rng.random_range(0..=want.min(64));
            // Now and then the time of the lines is just over.
            let until = twins.model.now + rng.random_range(-2..40);
            twins.hold(Uuid::from_u128(rng.random()), account, lines, (min, want), until).await;
        }
        roll => resolve_some(twins, rng, scale, roll < 92).await,
    }
}

/// Mostly of a hold that is open, now and then of one that was resolved before or never was.
async fn resolve_some(twins: &mut Twins, rng: &mut StdRng, scale: i64, is_open: bool) {
    let holds = twins.model.holds.iter();
    let choices: Vec<(Uuid, i64)> = holds
        .filter(|(_, hold)| (hold.state == State::Open) == is_open)
        .map(|(id, hold)| {
            let credits = hold.draws.iter().filter(|draw| draw.meter == "credits");
            (*id, credits.map(|draw| draw.held).max().unwrap_or(0))
        })
        .collect();
    let (id, held) = match choices.len() {
        0 => (Uuid::from_u128(rng.random()), 5),
        count => choices[rng.random_range(0..count)],
    };
    let tokens = rng.random_range(0..12_000);
    let settled = |credits| Some(Actual { credits, tokens });
    match rng.random_range(0..12) {
        0..3 => twins.resolve(id, settled(rng.random_range(0..=held))).await,
        3..5 => twins.resolve(id, settled(held)).await,
        5..7 => twins.resolve(id, settled(held + rng.random_range(1..=scale))).await,
        7..9 => twins.resolve(id, None).await,
        9 => twins.resolve_below_zero(id).await,
        _ => twins.refund(id).await,
    }
}
