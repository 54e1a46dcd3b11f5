//! What each policy makes of the days on which the clocks change.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use jiff::Timestamp;
use wasmjob_schedule::DstPolicy::{self, Kubernetes, Once, Skip};
use wasmjob_schedule::{Schedule, Zone};

/// The times from `from` on that lie before `until`.
fn times(text: &str, zone: &str, dst: DstPolicy, from: &str, until: &str) -> Vec<String> {
    let zone = Zone::load(zone, &Zone::utc()).unwrap();
    let schedule = Schedule::parse(text).unwrap();
    let (mut at, until): (Timestamp, Timestamp) = (from.parse().unwrap(), until.parse().unwrap());
    let mut times = Vec::new();
    while let Some(next) = schedule.next_after(at, &zone, dst)
        && next < until
    {
        times.push(zone.rfc3339(next)[5..].to_owned());
        at = next;
    }
    times
}

fn spring(text: &str, dst: DstPolicy) -> Vec<String> {
    let (from, until) = ("2027-03-27T12:00:00Z", "2027-03-29T12:00:00Z");
    times(text, "Europe/Berlin", dst, from, until)
}

fn autumn(text: &str, dst: DstPolicy) -> Vec<String> {
    let (from, until) = ("2027-10-30T12:00:00Z", "2027-11-01T12:00:00Z");
    times(text, "Europe/Berlin", dst, from, until)
}

#[test]
fn what_is_skipped_runs_after_the_gap_only_with_once() {
    let usual = ["03-29T02:30:00+02:00"];
    assert_eq!(spring("30 2 * * *", Kubernetes), usual);
    assert_eq!(spring("30 2 * * *", Skip), usual);
    assert_eq!(
        spring("30 2 * * *", Once),
        ["03-28T03:00:00+02:00", "03-29T02:30:00+02:00"]
    );
}

#[test]
fn a_gap_that_swallows_several_runs_makes_up_for_one() {
    assert_eq!(spring("*/20 2 28 3 *", Once), ["03-28T03:00:00+02:00"]);
    // One that is due at the end of the gap anyway is the same run.
    assert_eq!(spring("0 2,3 28 3 *", Once), ["03-28T03:00:00+02:00"]);
}

#[test]
fn what_is_repeated_runs_twice_only_in_kubernetes() {
    let once = ["10-31T02:30:00+02:00", "11-01T02:30:00+01:00"];
    assert_eq!(
        autumn("30 2 * * *", Kubernetes),
        [once[0], "10-31T02:30:00+01:00", once[1]]
    );
    assert_eq!(autumn("30 2 * * *", Once), once);
    assert_eq!(autumn("30 2 * * *", Skip), once);
}

#[test]
fn an_interval_is_no_wall_time() {
    for text in ["*/30 * * * *", "0,30 0-23 * * *"] {
        for dst in [Once, Skip] {
            assert_eq!(spring(text, dst), spring(text, Kubernetes));
            assert_eq!(autumn(text, dst), autumn(text, Kubernetes));
            assert_eq!(autumn(text, dst).len(), 95);
        }
    }
}

#[test]
fn a_day_that_a_country_left_out_runs_once_after_it() {
    let samoa = |dst| {
        let (from, until) = ("2011-12-29T12:00:00Z", "2012-01-01T00:00:00Z");
        times("0 12 30 12 *", "Pacific/Apia", dst, from, until)
    };
    assert!(samoa(Kubernetes).is_empty());
    assert!(samoa(Skip).is_empty());
    assert_eq!(samoa(Once), ["12-31T00:00:00+14:00"]);
}

#[test]
fn kubernetes_passes_over_a_day_that_begins_at_one_and_the_others_do_not() {
    // Robfig's search steps from midnight to midnight, and loses its way here.
    let cairo = |dst| {
        let (from, until) = ("2026-04-20T12:00:00Z", "2026-04-28T12:00:00Z");
        times("0 12 24 4 *", "Africa/Cairo", dst, from, until)
    };
    assert!(cairo(Kubernetes).is_empty());
    assert_eq!(cairo(Once), ["04-24T12:00:00+03:00"]);
    assert_eq!(cairo(Skip), ["04-24T12:00:00+03:00"]);
}

#[test]
fn half_an_hour_is_skipped_and_repeated_on_lord_howe() {
    let lord_howe = |text, dst, from, until| times(text, "Australia/Lord_Howe", dst, from, until);
    let spring = ("2027-10-02T12:00:00Z", "2027-10-03T12:00:00Z");
    let autumn = ("2027-04-03T10:00:00Z", "2027-04-04T10:00:00Z");
    assert_eq!(
        lord_howe("10 2 * * *", Once, spring.0, spring.1),
        ["10-03T02:30:00+11:00"]
    );
    assert_eq!(
        lord_howe("45 1 * * *", Once, autumn.0, autumn.1),
        ["04-04T01:45:00+11:00"]
    );
    assert_eq!(
        lord_howe("45 1 * * *", Kubernetes, autumn.0, autumn.1),
        ["04-04T01:45:00+11:00", "04-04T01:45:00+10:30"]
    );
}

#[test]
fn a_zone_in_the_schedule_wins_over_the_callers() {
    let from = "2026-01-01T00:00:00Z".parse().unwrap();
    let tokyo = Zone::load("Asia/Tokyo", &Zone::utc()).unwrap();
    let next = |text| {
        let schedule = Schedule::parse(text).unwrap();
        schedule
            .next_after(from, &tokyo, Kubernetes)
            .unwrap()
            .to_string()
    };
    assert_eq!(next("TZ=UTC 0 1 * * *"), "2026-01-01T01:00:00Z");
    assert_eq!(next("TZ=Local 0 1 * * *"), "2026-01-01T16:00:00Z");
    assert_eq!(next("0 1 * * *"), "2026-01-01T16:00:00Z");
}

#[test]
fn where_gos_search_goes_back_ours_goes_on() {
    // In 2004 Newfoundland set its clocks back from 00:01 on 31 October to 23:01.
    let schedule = Schedule::parse("1 * 31 * *").unwrap();
    let zone = Zone::load("America/St_Johns", &Zone::utc()).unwrap();
    let at = "2004-10-31T02:31:00Z".parse().unwrap();
    let next = schedule.next_after(at, &zone, Kubernetes).unwrap();
    assert_eq!(zone.rfc3339(next), "2004-10-31T00:01:00-03:30");
}
