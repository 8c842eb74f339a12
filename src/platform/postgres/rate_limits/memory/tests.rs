//! One key in the memory of one process, over time that the tests choose.

use super::*;

const LIMIT: Limit = Limit::sliding(80, Duration::from_secs(60));

fn grant(granted: u32) -> Grant {
    Grant { granted, free: 50, retry: Duration::ZERO, reset: Duration::from_secs(60) }
}

/// Uses the block up, and returns what is asked for next.
fn next_wish(memory: &mut Memory, now: Instant) -> Wish {
    while memory.answer(&LIMIT, 1, now).is_some() {}
    let wish = memory.wish(&LIMIT, 1, 1, now);
    memory.learn(&LIMIT, wish, grant(wish.most), now);
    wish
}

#[test]
fn a_block_doubles_while_it_is_used_up_and_begins_anew_when_it_lapses() {
    let mut now = Instant::now();
    let mut memory = Memory::new(now);
    let sizes: Vec<u32> = (0..6).map(|_| next_wish(&mut memory, now).most).collect();
    assert_eq!(sizes, [1, 2, 4, 8, 10, 10]);
    now += BLOCK_LIFE;
    assert!(memory.answer(&LIMIT, 1, now).is_none(), "a block outlived its second");
    assert_eq!(next_wish(&mut memory, now).most, 1);
}

#[test]
fn who_waits_is_asked_for_together() {
    let now = Instant::now();
    assert_eq!(Memory::new(now).wish(&LIMIT, 1, 30, now).most, 30);
    assert_eq!(Memory::new(now).wish(&LIMIT, 1, 300, now).most, 80);
    assert_eq!(Memory::new(now).wish(&LIMIT.one_by_one(), 1, 1, now).most, 1);
}

#[test]
fn a_refusal_holds_until_its_time_and_only_for_as_much() {
    let now = Instant::now();
    let limit = Limit::bucket(100, Duration::from_secs(10));
    let mut memory = Memory::new(now);
    let wish = memory.wish(&limit, 40, 40, now);
    let refused =
        Grant { granted: 0, free: 30, retry: Duration::from_secs(1), reset: Duration::from_secs(7) };
    assert!(!memory.learn(&limit, wish, refused, now).is_admitted());
    assert!(memory.answer(&limit, 40, now).is_some_and(|outcome| !outcome.is_admitted()));
    assert!(memory.answer(&limit, 20, now).is_none(), "what is cheaper may be there");
    assert!(memory.answer(&limit, 40, now + Duration::from_secs(2)).is_none());
}

#[test]
fn points_that_were_not_used_go_back_with_the_next_wish() {
    let now = Instant::now();
    let limit = Limit::bucket(800, Duration::from_secs(10));
    let mut memory = Memory::new(now);
    let mut asked = |cost, now| {
        if memory.answer(&limit, cost, now).is_some() {
            return None;
        }
        let wish = memory.wish(&limit, cost, cost, now);
        memory.learn(&limit, wish, grant(wish.most), now);
        Some((wish.back, wish.most))
    };
    assert_eq!(asked(10, now), Some((0, 12)));
    assert_eq!(asked(10, now), Some((2, 24)));
    assert_eq!([asked(4, now), asked(5, now)], [None, None]);
    let later = now + BLOCK_LIFE;
    assert_eq!(asked(5, later), Some((5, 12)));
    // The small block is good for longer.
    let late = later + SMALL_BLOCK_LIFE - Duration::from_millis(1);
    assert_eq!([asked(5, late), asked(5, late)], [None, Some((2, 12))]);
    assert_eq!(asked(5, late + SMALL_BLOCK_LIFE), Some((7, 12)));
}

/// A hundred points within ten seconds: one is refilled in a tenth of a second.
const BUCKET: Limit = Limit::bucket(100, Duration::from_secs(10));

/// Takes so many points by a question that leaves so many in the block, and returns the number of the block.
fn take(memory: &mut Memory, cost: u32, left: u32, now: Instant) -> u64 {
    let wish = memory.wish(&BUCKET, cost, cost, now);
    let reset = Duration::from_secs(10);
    let grant = Grant { granted: cost + left, free: 0, retry: Duration::ZERO, reset };
    assert!(memory.learn(&BUCKET, wish, grant, now).is_admitted());
    memory.block()
}

#[test]
fn points_that_come_back_are_used_again_while_their_block_is_good() {
    let now = Instant::now();
    let mut memory = Memory::new(now);
    let block = take(&mut memory, 50, 0, now);
    assert!(memory.answer(&BUCKET, 1, now).is_none());
    memory.put_back(&BUCKET, Some(block), 49, now);
    for left in [29, 9] {
        let outcome = memory.answer(&BUCKET, 20, now).unwrap();
        assert!(outcome.is_admitted());
        assert_eq!(outcome.standing().remaining, left);
    }
    assert!(memory.answer(&BUCKET, 20, now).is_none());
    assert_eq!(memory.wish(&BUCKET, 20, 20, now).back, 9);
}

#[test]
fn points_of_a_block_that_lapsed_or_was_followed_are_only_given_back() {
    let now = Instant::now();
    let mut memory = Memory::new(now);
    let first = take(&mut memory, 50, 0, now);
    let second = take(&mut memory, 10, 0, now);
    memory.put_back(&BUCKET, Some(first), 49, now);
    memory.put_back(&BUCKET, None, 1, now);
    assert!(memory.answer(&BUCKET, 1, now).is_none(), "refilled points were spent again");
    let later = now + BLOCK_LIFE;
    memory.put_back(&BUCKET, Some(second), 9, later);
    assert!(memory.answer(&BUCKET, 1, later).is_none(), "a block outlived its second");
    assert_eq!(memory.wish(&BUCKET, 1, 1, later).back, 59);
    assert_eq!(memory.wish(&BUCKET, 1, 1, later).back, 0, "points were given back twice");
    // Never more than a bucket holds.
    memory.put_back(&BUCKET, None, u32::MAX, later);
    memory.put_back(&BUCKET, None, u32::MAX, later);
    assert_eq!(memory.wish(&BUCKET, 1, 1, later).back, 100);
}

#[test]
fn what_the_bucket_refilled_meanwhile_is_not_there_twice() {
    let now = Instant::now();
    let mut memory = Memory::new(now);
    let wish = memory.wish(&BUCKET, 50, 50, now);
    // The bucket was full, and is so again in half a second.
    let reset = Duration::from_millis(500);
    memory.learn(&BUCKET, wish, Grant { granted: 50, free: 95, retry: Duration::ZERO, reset }, now);
    let later = now + Duration::from_millis(300);
    memory.put_back(&BUCKET, Some(memory.block()), 49, later);
    assert!(memory.answer(&BUCKET, 3, later).is_none(), "more was held than the bucket misses");
    assert!(memory.answer(&BUCKET, 2, later).is_some());
    assert_eq!(memory.wish(&BUCKET, 3, 3, later).back, 47);
}

#[test]
fn who_was_refused_waits_less_by_what_came_back() {
    let now = Instant::now();
    let mut memory = Memory::new(now);
    let wish = memory.wish(&BUCKET, 60, 60, now);
    // 20 are there, and 40 are there in four seconds.
    let (retry, reset) = (Duration::from_secs(4), Duration::from_secs(8));
    assert!(!memory.learn(&BUCKET, wish, Grant { granted: 0, free: 20, retry, reset }, now).is_admitted());
    memory.put_back(&BUCKET, None, 15, now);
    let Some(Outcome::Refused { retry_after, standing }) = memory.answer(&BUCKET, 60, now) else {
        panic!("it was not remembered");
    };
    let near =
        |time: Duration, ms: u64| time.abs_diff(Duration::from_millis(ms)) < Duration::from_millis(100);
    assert!(near(retry_after, 2_500), "{retry_after:?}");
    assert_eq!(standing.remaining, 35);
    assert!(near(standing.reset, 6_500), "{standing:?}");
    memory.put_back(&BUCKET, None, 25, now);
    assert!(memory.answer(&BUCKET, 60, now + Duration::from_millis(100)).is_none());
    assert_eq!(memory.wish(&BUCKET, 60, 60, now).back, 40);
}

#[test]
fn a_window_forgets_nothing() {
    let now = Instant::now();
    let mut memory = Memory::new(now);
    let wish = memory.wish(&LIMIT, 1, 1, now);
    memory.learn(&LIMIT, wish, grant(1), now);
    memory.put_back(&LIMIT, Some(memory.block()), 1, now);
    assert!(memory.answer(&LIMIT, 1, now).is_none());
    assert_eq!(memory.wish(&LIMIT, 1, 1, now).back, 0);
}
