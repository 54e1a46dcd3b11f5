//! Measures a forecast: `forecast [CRON_JOBS] [DAYS]`, by default 1,000 and 365.
//!
//! Of a hundred CronJobs, 3 run every five minutes, 2 every quarter of an hour, 30 every
//! hour, 50 every day and 15 every week; a third has a zone, some forbid or replace.

use std::process::ExitCode;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use wasmjob_api::schedule::Zone;
use wasmjob_api::{CronJob, Uid, defaults};
use wasmjob_controllers::forecast::{Settings, Subject, forecast};

fn subject(n: u64) -> Subject {
    let (minute, hour, day) = (n % 60, n / 7 % 24, n / 3 % 7);
    let schedule = match n % 100 {
        0..3 => "*/5 * * * *".to_owned(),
        3..5 => "*/15 * * * *".to_owned(),
        5..35 => format!("{minute} * * * *"),
        35..85 => format!("{minute} {hour} * * *"),
        _ => format!("{minute} {hour} * * {day}"),
    };
    let policy = ["Allow", "Allow", "Forbid", "Replace"][n as usize / 3 % 4];
    let zone = ["UTC", "Europe/Berlin", "America/New_York"][n as usize % 3];
    let pod = json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]});
    let object = json!({
        "metadata": {"name": format!("cron-{n}"), "namespace": "default"},
        "spec": {"schedule": schedule, "timeZone": zone, "concurrencyPolicy": policy,
                 "jobTemplate": {"spec": {"template": {"spec": pod}}}},
    });
    let mut object = serde_json::from_value(object).unwrap_or_default();
    defaults::cron_job(&mut object);
    Subject {
        cron_job: CronJob::new(object, Uid::from_random(n.into()), Timestamp::UNIX_EPOCH),
        duration: Duration::from_secs(30 + n % 50 * 10),
    }
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example talks"
)]
#[expect(clippy::disallowed_methods, reason = "it measures its own time")]
fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).map(|number| number.parse::<u64>());
    let (Ok(count), Ok(days)) = (
        numbers.next().unwrap_or(Ok(1000)),
        numbers.next().unwrap_or(Ok(365)),
    ) else {
        eprintln!("usage: forecast [CRON_JOBS] [DAYS]");
        return ExitCode::FAILURE;
    };
    let subjects: Vec<_> = (0..count).map(subject).collect();
    let from = Timestamp::from_second(1_798_761_600).unwrap_or_default();
    let hours = SignedDuration::from_hours(24 * i64::try_from(days).unwrap_or(0));
    let settings = Settings {
        from,
        until: from.checked_add(hours).unwrap_or(from),
        zone: Zone::utc(),
    };
    let began = std::time::Instant::now();
    let mut told = 0_u64;
    let foreseen = match forecast(&subjects, &settings, &mut |_| told += 1) {
        Ok(foreseen) => foreseen,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let seconds = began.elapsed().as_secs_f64();
    let jobs: u64 = foreseen.cron_jobs.iter().map(|cron| cron.totals.jobs).sum();
    let rate = jobs as f64 / seconds;
    println!(
        "{count} CronJobs, {days} days: {jobs} Jobs, {told} slots told, {seconds:.2} s, {rate:.0} Jobs/s, {} pods at most",
        foreseen.load.pods.most
    );
    ExitCode::SUCCESS
}
