//! What the parser refuses and how it says so, also for strings that nobody means well.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use wasmjob_schedule::{Schedule, Trigger};

fn check(text: &str, message: &str) {
    assert_eq!(Schedule::parse(text).unwrap_err().to_string(), message);
}

#[test]
fn the_messages_are_those_of_robfig() {
    check("", "empty spec string");
    check("* * * *", "expected exactly 5 fields, found 4: [* * * *]");
    check(" @hourly", "expected exactly 5 fields, found 1: [@hourly]");
    check("@reboot", "unrecognized descriptor: @reboot");
    check("@every\t5m", "unrecognized descriptor: @every\t5m");
    check(
        "@every 5",
        "failed to parse duration @every 5: time: missing unit in duration \"5\"",
    );
    check("60 * * * *", "end of range (60) above maximum (59): 60");
    check("0 0 0 * *", "beginning of range (0) below minimum (1): 0");
    check(
        "5-1 * * * *",
        "beginning of range (5) beyond end of range (1): 5-1",
    );
    check(
        "*/0 * * * *",
        "step of range should be a positive number: */0",
    );
    check("1-2-3 * * * *", "too many hyphens: 1-2-3");
    check("*/5/5 * * * *", "too many slashes: */5/5");
    check(
        "-1 * * * *",
        "failed to parse int from : strconv.Atoi: parsing \"\": invalid syntax",
    );
    check("1/-2 * * * *", "negative number (-2) not allowed: -2");
    check(
        "\u{660} * * * *",
        "failed to parse int from \u{660}: strconv.Atoi: parsing \"\u{660}\": invalid syntax",
    );
    check(
        "0\0 * * * *",
        "failed to parse int from 0\0: strconv.Atoi: parsing \"0\\x00\": invalid syntax",
    );
    check(
        "99999999999999999999 * * * *",
        "failed to parse int from 99999999999999999999: strconv.Atoi: parsing \
         \"99999999999999999999\": value out of range",
    );
    check(
        "TZ=Mars/Base 0 0 * * *",
        "provided bad location Mars/Base: unknown time zone Mars/Base",
    );
    check(
        "CRON_TZ=../../etc/passwd 0 0 * * *",
        "provided bad location ../../etc/passwd: time: invalid location name",
    );
}

#[test]
fn where_gos_parser_panics_there_is_a_message() {
    for text in [
        "TZ=0",
        "TZ=",
        "CRON_TZ=0",
        "CRON_TZ=Europe/Berlin",
        "TZ=UTC\t@daily",
    ] {
        check(
            text,
            "provided bad location: no schedule follows the time zone",
        );
    }
}

#[test]
fn a_mebibyte_is_refused_in_a_short_message() {
    let long = "9".repeat(1 << 20);
    let hostile = [
        long.clone(),
        format!("{long} * * * *"),
        format!("* * * * {long}"),
        format!("@{long}"),
        format!("@every {long}s"),
        format!("TZ={long} * * * * *"),
        "* ".repeat(1 << 19),
        "ä".repeat(1 << 19),
    ];
    for text in hostile {
        let message = Schedule::parse(&text).unwrap_err().to_string();
        assert!(message.len() < 1024, "{}", message.len());
    }
    // Long, but nothing is wrong with it.
    let commas = format!("0 {}5 * * *", ",".repeat(1 << 20));
    assert!(Schedule::parse(&commas).is_ok());
}

#[test]
fn reboot_is_a_trigger_but_no_schedule() {
    assert_eq!(Trigger::parse("@reboot"), Ok(Trigger::Reboot));
    assert!(Trigger::parse("@Reboot").is_err());
    assert!(matches!(Trigger::parse("@daily"), Ok(Trigger::Schedule(_))));
}
