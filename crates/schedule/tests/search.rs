//! The search for the next and the last time: against a stepper, and against the clock.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]
#![expect(
    clippy::disallowed_methods,
    reason = "it measures how long a search takes"
)]

use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use wasmjob_schedule::{DstPolicy, Schedule, Zone};

const POLICIES: [DstPolicy; 3] = [DstPolicy::Kubernetes, DstPolicy::Once, DstPolicy::Skip];

/// Zones whose clocks change on the hour and not around midnight.
const ZONES: [&str; 7] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Sydney",
    "America/Los_Angeles",
    "Asia/Kolkata",
    "Antarctica/Troll",
];

/// Zones where robfig loses its way.
const DIFFICULT_ZONES: [&str; 9] = [
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "America/St_Johns",
    "Africa/Cairo",
    "America/Havana",
    "America/Sao_Paulo",
    "Asia/Beirut",
    "Asia/Tehran",
    "Pacific/Apia",
];

fn field(min: u32, max: u32) -> impl Strategy<Value = String> {
    let value = min..=max;
    prop_oneof![
        3 => Just("*".to_owned()),
        2 => value.clone().prop_map(|value| value.to_string()),
        1 => (2_u32..20).prop_map(|step| format!("*/{step}")),
        1 => (value.clone(), value.clone())
            .prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => proptest::collection::vec(value, 2..4).prop_map(|values| {
            let values: Vec<_> = values.iter().map(ToString::to_string).collect();
            values.join(",")
        }),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    let fields = (
        field(0, 59),
        field(0, 4),
        field(1, 31),
        field(1, 12),
        field(0, 6),
    );
    fields.prop_map(|(minute, hour, day, month, week)| {
        format!("{minute} {hour} {day} {month} {week}")
    })
}

/// An instant within two days of a change of the clocks, if the zone has any in that year.
fn around_a_change(
    zones: &'static [&'static str],
) -> impl Strategy<Value = (&'static str, Timestamp)> {
    let zone = proptest::sample::select(zones.to_vec());
    (zone, 2000_i64..2040, 0_usize..3, -172_800_i64..172_800).prop_map(
        |(zone, year, nth, seconds)| {
            let start = Timestamp::from_second((year - 1970) * 31_556_952).unwrap();
            let changes = TimeZone::get(zone).unwrap();
            let change = changes.following(start).nth(nth);
            let at = change.map_or(start, |change| change.timestamp());
            (zone, at + SignedDuration::from_secs(seconds))
        },
    )
}

/// Whether the fields fit a wall clock, the long way round.
fn fits(expression: &str, at: jiff::civil::DateTime) -> bool {
    let fields: Vec<&str> = expression.split(' ').collect();
    let has = |text: &str, value: i8, min: i8, max: i8| {
        text.split(',').any(|part| {
            if let Some(step) = part.strip_prefix("*/") {
                return (value - min) % step.parse::<i8>().unwrap() == 0;
            }
            let (low, high) = match part.split_once('-') {
                _ if part == "*" => (min, max),
                Some((low, high)) => (low.parse().unwrap(), high.parse().unwrap()),
                None => (part.parse().unwrap(), part.parse().unwrap()),
            };
            (low..=high).contains(&value)
        })
    };
    let of_month = has(fields[2], at.day(), 1, 31);
    let of_week = has(fields[4], at.weekday().to_sunday_zero_offset(), 0, 6);
    let day = match fields[2] == "*" || fields[4] == "*" {
        true => of_month && of_week,
        false => of_month || of_week,
    };
    at.second() == 0
        && has(fields[0], at.minute(), 0, 59)
        && has(fields[1], at.hour(), 0, 23)
        && has(fields[3], at.month(), 1, 12)
        && day
}

/// Whether an instant is a time of the schedule, by looking at the clocks around it.
fn is_time(expression: &str, zone: &TimeZone, dst: DstPolicy, at: Timestamp) -> bool {
    let wall = |at: Timestamp| zone.to_datetime(at);
    let every_hour = {
        let hour = expression.split(' ').nth(1).unwrap();
        hour == "*"
    };
    if dst == DstPolicy::Kubernetes || every_hour {
        return fits(expression, wall(at));
    }
    let minute = SignedDuration::from_mins(1);
    // The first instant after a gap makes up for what the gap swallowed.
    let (before, now) = (wall(at - minute), wall(at));
    let swallowed = std::iter::successors(Some(before + minute), |wall| Some(*wall + minute))
        .take_while(|wall| *wall < now)
        .any(|wall| fits(expression, wall));
    if dst == DstPolicy::Once && swallowed {
        return true;
    }
    // The first of two instants with the same wall time.
    let repeats = (1..=180).any(|minutes| wall(at - SignedDuration::from_mins(minutes)) == now);
    fits(expression, now) && !repeats
}

/// Compares the next time with the first of the next four days that `is_time`.
fn check_against_stepper(
    expression: &str,
    name: &str,
    from: Timestamp,
    dst: DstPolicy,
) -> Result<(), TestCaseError> {
    let zone = Zone::load(name, &Zone::utc()).unwrap();
    let slow = TimeZone::get(name).unwrap();
    let schedule = Schedule::parse(expression).unwrap();
    let next = schedule.next_after(from, &zone, dst);
    let minute = SignedDuration::from_mins(1);
    let begin = Timestamp::from_second(from.as_second().div_euclid(60) * 60 + 60).unwrap();
    let minutes = 4 * 24 * 60;
    let stepped = std::iter::successors(Some(begin), |at| Some(*at + minute))
        .take(minutes)
        .find(|at| is_time(expression, &slow, dst, *at));
    match stepped {
        Some(at) => prop_assert_eq!(next, Some(at)),
        None => {
            let end = begin + minute * (minutes as i32 - 1);
            prop_assert!(next.is_none_or(|next| next > end));
        }
    }
    Ok(())
}

/// A stepper takes its time.
fn cases() -> u32 {
    let wanted = std::env::var("PROPTEST_CASES").ok();
    wanted.and_then(|cases| cases.parse().ok()).unwrap_or(96)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// `PROPTEST_CASES=5000` looks longer.
    #[test]
    fn the_next_time_is_the_first_that_a_stepper_finds(
        expression in expression(),
        (name, from) in around_a_change(&ZONES),
        policy in 0_usize..3,
    ) {
        check_against_stepper(&expression, name, from, POLICIES[policy])?;
    }

    #[test]
    fn the_other_policies_lose_their_way_nowhere(
        expression in expression(),
        (name, from) in around_a_change(&DIFFICULT_ZONES),
        policy in 1_usize..3,
    ) {
        // One that runs in every hour is searched for as in Kubernetes.
        let mut fields: Vec<&str> = expression.split(' ').collect();
        if fields[1] == "*" {
            fields[1] = "0-4";
        }
        let expression = fields.join(" ");
        check_against_stepper(&expression, name, from, POLICIES[policy])?;
    }

    #[test]
    fn times_rise_and_the_last_one_is_the_last(
        expression in expression(),
        (name, from) in around_a_change(&ZONES),
        policy in 0_usize..3,
        span in 0_i64..10_000_000,
    ) {
        let zone = Zone::load(name, &Zone::utc()).unwrap();
        let schedule = Schedule::parse(&expression).unwrap();
        let dst = POLICIES[policy];
        let until = from + SignedDuration::from_secs(span);
        let mut last = None;
        let mut at = from;
        for _ in 0..200 {
            match schedule.next_after(at, &zone, dst) {
                Some(next) if next <= until => {
                    prop_assert!(next > at);
                    (last, at) = (Some(next), next);
                }
                _ => {
                    prop_assert_eq!(schedule.last_between(from, until, &zone, dst), last);
                    break;
                }
            }
        }
    }

    #[test]
    fn times_rise_also_where_robfig_loses_its_way(
        expression in expression(),
        (name, from) in around_a_change(&DIFFICULT_ZONES),
        policy in 0_usize..3,
        span in 0_i64..1_000_000,
    ) {
        let zone = Zone::load(name, &Zone::utc()).unwrap();
        let schedule = Schedule::parse(&expression).unwrap();
        let dst = POLICIES[policy];
        let until = from + SignedDuration::from_secs(span);
        let last = schedule.last_between(from, until, &zone, dst);
        if let Some(last) = last {
            prop_assert!(from < last && last <= until);
            prop_assert!(schedule.next_after(last, &zone, dst).is_none_or(|next| next > until));
        }
        let mut at = from;
        for _ in 0..50 {
            let Some(next) = schedule.next_after(at, &zone, dst) else { break };
            prop_assert!(next > at);
            at = next;
        }
    }

    #[test]
    fn no_text_panics(text in "[-0-9*/?, @a-z=\u{660}]{0,24}") {
        let _ = Schedule::parse(&text);
        let _ = Schedule::parse(&format!("@every {text}"));
        let _ = Schedule::parse(&format!("TZ=UTC {text}"));
    }
}

#[test]
fn every_counts_from_the_time_that_is_given() {
    let schedule = Schedule::parse("@every 90s").unwrap();
    let utc = Zone::utc();
    let at = |text: &str| -> Timestamp { text.parse().unwrap() };
    let from = at("2026-01-01T00:00:10.7Z");
    let next = schedule.next_after(from, &utc, DstPolicy::Kubernetes);
    assert_eq!(next, Some(at("2026-01-01T00:01:40Z")));
    let last = |until| schedule.last_between(from, at(until), &utc, DstPolicy::Kubernetes);
    assert_eq!(last("2026-01-01T00:01:39Z"), None);
    assert_eq!(
        last("2026-01-01T00:03:10Z"),
        Some(at("2026-01-01T00:03:10Z"))
    );
    assert_eq!(
        last("2056-01-01T00:00:00Z"),
        Some(at("2055-12-31T23:58:40Z"))
    );
    for (text, seconds) in [("@every -1h", 1), ("@every 0.4s", 1), ("@every 1m0.9s", 60)] {
        let schedule = Schedule::parse(text).unwrap();
        assert_eq!(
            schedule.interval(),
            Some(SignedDuration::from_secs(seconds))
        );
    }
}

#[test]
fn times_at_the_ends_of_the_calendar_are_none() {
    let utc = Zone::utc();
    for text in ["* * * * *", "@every 1s", "@every 2562047h", "0 0 31 2 *"] {
        let schedule = Schedule::parse(text).unwrap();
        for dst in POLICIES {
            assert_eq!(schedule.next_after(Timestamp::MAX, &utc, dst), None);
            let _ = schedule.next_after(Timestamp::MIN, &utc, dst);
            let _ = schedule.last_between(Timestamp::MIN, Timestamp::MAX, &utc, dst);
        }
    }
}

/// The least of a few measurements; the machine may be busy.
fn took(mut work: impl FnMut()) -> Duration {
    let measured = (0..9).map(|_| {
        let begin = Instant::now();
        work();
        begin.elapsed()
    });
    measured.min().unwrap()
}

#[test]
fn a_search_takes_less_than_a_millisecond_whatever_the_schedule() {
    // Unoptimised code is about ten times slower.
    let bound = Duration::from_millis(if cfg!(debug_assertions) { 10 } else { 1 });
    let zone = Zone::load("Europe/Berlin", &Zone::utc()).unwrap();
    let texts = [
        "59 23 31 2 *",
        "0 0 31 4,6,9,11 *",
        "0 0 30 2 *",
        "0 0 29 2 *",
        ", , , , ,",
        "0 0 * * ,",
        "0 , * * *",
        ", * * * *",
        "0 0 , * *",
        "0 0 , * ,",
        "0 0 * , *",
        "* * * * *",
        "0 2 28-31 3 0",
        "@every 1s",
        "@yearly",
        "59 23 31 12 6",
    ];
    for text in texts {
        let schedule = Schedule::parse(text).unwrap();
        for start in [
            "2026-03-01T00:00:00Z",
            "2096-03-01T00:00:00Z",
            "1970-01-01T00:00:00Z",
        ] {
            let start: Timestamp = start.parse().unwrap();
            let later = start + SignedDuration::from_hours(30 * 365 * 24);
            for dst in POLICIES {
                let next = took(|| {
                    let _ = schedule.next_after(start, &zone, dst);
                });
                assert!(next <= bound, "{text} {dst:?}: {next:?}");
                let last = took(|| {
                    let _ = schedule.last_between(start, later, &zone, dst);
                });
                assert!(last <= bound, "{text} {dst:?}, last: {last:?}");
            }
        }
    }
}
