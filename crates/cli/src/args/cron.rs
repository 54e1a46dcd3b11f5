//! The arguments of the commands that look ahead.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ValueEnum, ValueHint};
use jiff::Timestamp;
use wasmjob::api::schedule::Zone;
use wasmjob::forecast::SPAN_MAX;

use super::{When, duration};

const NEXT_HELP: &str = "\
Times are the slots of a schedule: a jitter, if the CronJob has one, comes on top. A suspended
CronJob has no next times.

-o json prints a list with one object for each CronJob:
  namespace, name, schedule
  timeZone            the CronJob's, or the default zone
  next                RFC 3339 times in that zone; fewer than -n, or none, if it runs no more";

const FORECAST_HELP: &str = "\
The controllers that `serve` runs are driven in virtual time. The host is taken to be never down
and to have room for every pod. Every pod takes --duration and succeeds, unless a deadline of its
Job or Pod is shorter. The annotation wasmjob.dev/forecast-duration says it for one CronJob;
--duration NAME=DUR wins over it. Shares of a jitter are examples.

Fields of -o json (times are RFC 3339; those of a CronJob are in its zone):
  from, until, timeZone, jobs, complete, failed, replaced, unfinished, skipped
  podsAtOnce          {most, at}
  busiestMinutes      [{time, jobs, pods, days, first, cronJobs}]: the minutes of the day in which
                      the most Jobs start, on how many days, since when, and whose (five of them)
  daysWithoutRun      dates
  days                [{date, jobs, hours}]: Jobs that start, by hour
  cronJobs            [{namespace, name, schedule, timeZone, durationSeconds, jobSeconds, idle,
                      jobs, complete, failed, replaced, unfinished, skipped, overlaps, jobsAtOnce,
                      late, lateSecondsMax, firstStart, lastStart, firstConflict, dst}]
                      jobSeconds: how long one of its Jobs takes; idle: why it never runs;
                      late: Jobs that waited for the one before;
                      dst: [{effect: Skipped or Twice, wall, wallLast, count, change, offsetBefore,
                      offsetAfter, instead, first, second}]
  slots               [{namespace, name, slot, start, end, result, because}], as Jobs end; result is
                      Complete, Failed, Replaced, Unfinished, Skipped, Missed or Collapsed";

/// The arguments of `next`.
#[derive(Debug, clap::Args)]
#[command(after_help = NEXT_HELP)]
pub(crate) struct NextArgs {
    /// Manifests (YAML or JSON), directories of them, or `-` for standard input.
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub(crate) files: Vec<PathBuf>,
    /// Let it be this time (RFC 3339, e.g. 2027-03-27T12:00:00Z) [default: now].
    /// `@every` counts from it.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) from: Option<Timestamp>,
    /// How many times to print of each, 1 to 1000.
    #[arg(short = 'n', long = "count", value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) count: u16,
    /// The zone of CronJobs that name none.
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = zone)]
    pub(crate) zone: Zone,
    /// What to print.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Format,
}

/// The arguments of `forecast`.
#[derive(Debug, clap::Args)]
#[command(after_help = FORECAST_HELP)]
pub(crate) struct ForecastArgs {
    /// Manifests (YAML or JSON), directories of them, or `-` for standard input.
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub(crate) files: Vec<PathBuf>,
    /// Begin at this time (RFC 3339, e.g. 2027-03-27T00:00:00Z) [default: now].
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) from: Option<Timestamp>,
    /// How long to look ahead, e.g. 12h, 7d or 1y; at most 3660d.
    #[arg(long = "for", value_name = "DUR", default_value = "7d", value_parser = span)]
    pub(crate) span: Duration,
    /// How long a pod takes, e.g. 90s; NAME=DUR for one CronJob. Repeatable
    /// [default: 30s].
    #[arg(long = "duration", value_name = "[NAME=]DUR")]
    pub(crate) durations: Vec<TakesArg>,
    /// The zone of CronJobs that name none, and of days and hours.
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = zone)]
    pub(crate) zone: Zone,
    /// What to print.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Format,
    /// Whether to use colours.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: When,
}

/// A format for what lies ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tables for people.
    Text,
    /// One JSON document.
    Json,
}

/// How long pods take: all, or those of one CronJob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TakesArg {
    /// The CronJob, as NAME or NAMESPACE/NAME.
    pub(crate) name: Option<String>,
    pub(crate) duration: Duration,
}

impl std::str::FromStr for TakesArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, text) = match text.split_once('=') {
            Some((name, text)) => (Some(name.to_owned()), text),
            None => (None, text),
        };
        let duration = duration(text)?;
        Ok(Self { name, duration })
    }
}

fn moment(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .map_err(|_| "expected a time of RFC 3339 like 2027-03-27T12:00:00Z".to_owned())
}

fn zone(name: &str) -> Result<Zone, String> {
    match name {
        "" | "Local" => Err("expected a name like UTC or Europe/Berlin".to_owned()),
        _ => Zone::load(name, &Zone::utc()).map_err(|error| error.to_string()),
    }
}

fn span(text: &str) -> Result<Duration, String> {
    let span = duration(text)?;
    match span.is_zero() || span > SPAN_MAX {
        true => Err("must be more than nothing and at most 3660d".to_owned()),
        false => Ok(span),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_and_times_are_read_strictly() {
        assert_eq!(
            zone("Asia/Tokyo").map(|zone| zone.name().to_owned()),
            Ok("Asia/Tokyo".into())
        );
        assert_eq!(
            zone("Mars/Base"),
            Err("unknown time zone Mars/Base".to_owned())
        );
        assert!(zone("").is_err() && zone("Local").is_err());
        assert!(moment("2027-03-27T12:00:00+01:00").is_ok());
        assert!(moment("2027-03-27").is_err() && moment("now").is_err());
    }

    #[test]
    fn a_span_is_bounded() {
        assert!(span("1000y").is_err() && span("0s").is_err() && span("3661d").is_err());
        assert!(span("10y").is_ok() && span("3660d").is_ok());
    }

    #[test]
    fn a_duration_is_for_all_or_for_one() {
        let read = |text: &str| text.parse::<TakesArg>().map(|takes| takes.name);
        assert_eq!(read("90s"), Ok(None));
        assert_eq!(read("a/b=2d"), Ok(Some("a/b".to_owned())));
        assert!(read("b=").is_err());
    }
}
