//! `wasmjob forecast`: CronJobs played through in virtual time.

mod heat_map;
mod json;
mod problems;
mod text;

use std::io::IsTerminal;
use std::time::Duration;

use jiff::SignedDuration;
use wasmjob::api::CronJob;
use wasmjob::forecast::{Forecast, ForecastError, Settings, Subject, forecast as foresee};

use crate::args::{ForecastArgs, Format, TakesArg};
use crate::exit::{Exit, say};
use crate::report::is_closed_pipe;
use crate::{subjects, when};

/// How long a pod takes, unless somebody says otherwise.
const TAKES: Duration = Duration::from_secs(30);

/// What was looked at, and what came out.
struct Outlook<'a> {
    subjects: &'a [Subject],
    settings: &'a Settings,
    forecast: &'a Forecast,
    /// How long pods take of which nothing else is said.
    takes: Duration,
}

/// Prints what would run.
pub(crate) fn forecast(args: &ForecastArgs) -> anyhow::Result<Exit> {
    let from = args.from.unwrap_or_else(when::now);
    let until = SignedDuration::try_from(args.span).ok();
    let Some(until) = until.and_then(|span| from.checked_add(span).ok()) else {
        say("error: --for: it would end after the year 9999");
        return Ok(Exit::Usage);
    };
    let cron_jobs = match subjects::read(&args.files, from) {
        Ok(cron_jobs) => cron_jobs,
        Err(exit) => return Ok(exit),
    };
    let subjects = match with_durations(cron_jobs, &args.durations) {
        Ok(subjects) => subjects,
        Err(text) => {
            say(text);
            return Ok(Exit::Usage);
        }
    };
    let settings = Settings {
        from,
        until,
        zone: args.zone.clone(),
    };
    let forecast = match foresee(&subjects, &settings, &mut |_| {}) {
        Ok(forecast) => forecast,
        Err(error) => return Ok(refused(&error, &settings)),
    };
    let outlook = Outlook {
        subjects: &subjects,
        settings: &settings,
        forecast: &forecast,
        takes: takes(&args.durations),
    };
    let stdout = std::io::stdout();
    let color = args.color.applies(stdout.is_terminal());
    // One document may be long, and is written in small pieces.
    let mut out = std::io::BufWriter::new(stdout.lock());
    let written = match args.output {
        Format::Text => text::print(&outlook, color, &mut out),
        Format::Json => json::print(&outlook, &mut out),
    };
    match written {
        Err(error) if is_closed_pipe(&error) => Ok(Exit::Complete),
        written => written.map(|()| Exit::Complete),
    }
}

fn refused(error: &ForecastError, settings: &Settings) -> Exit {
    match error {
        ForecastError::TooMuch(at) => {
            let at = when::in_zone(*at, &settings.zone);
            say(format_args!(
                "error: too much happens: more than {} looks, Jobs and pods before {at}\nhint: ask for less with --for",
                wasmjob::forecast::STEPS_MAX
            ));
        }
        ForecastError::Span => say(format_args!("error: --for: {error}")),
    }
    Exit::Usage
}

/// Gives each CronJob the duration of its pods: that of `--duration NAME=DUR`, or of its
/// annotation, or of `--duration DUR`.
///
/// # Errors
///
/// If a name is none, or says too little.
fn with_durations(cron_jobs: Vec<CronJob>, durations: &[TakesArg]) -> Result<Vec<Subject>, String> {
    let is_meant = |name: &str, cron_job: &CronJob| {
        name == &*cron_job.name || name == subjects::name(cron_job)
    };
    for name in durations.iter().filter_map(|takes| takes.name.as_deref()) {
        if !cron_jobs.iter().any(|cron_job| is_meant(name, cron_job)) {
            return Err(format!("error: --duration: there is no CronJob {name:?}"));
        }
    }
    let all = takes(durations);
    let subject = |cron_job: CronJob| {
        let mut named = durations.iter().rev();
        let named = named.find(|takes| {
            let name = takes.name.as_deref();
            name.is_some_and(|name| is_meant(name, &cron_job))
        });
        let duration = named
            .map(|takes| takes.duration)
            .or(cron_job.spec.options.forecast_duration)
            .unwrap_or(all);
        Subject { cron_job, duration }
    };
    Ok(cron_jobs.into_iter().map(subject).collect())
}

/// The last duration that is for all.
fn takes(durations: &[TakesArg]) -> Duration {
    let all = durations.iter().rev().find(|takes| takes.name.is_none());
    all.map_or(TAKES, |takes| takes.duration)
}

impl Outlook<'_> {
    /// The CronJob at that place, as people name it.
    fn name(&self, place: usize) -> String {
        let subject = self.subjects.get(place);
        subject.map_or_else(String::new, |subject| subjects::name(&subject.cron_job))
    }

    /// A sum over all CronJobs.
    fn sum(&self, of: impl Fn(&wasmjob::forecast::Totals) -> u64) -> u64 {
        self.forecast
            .cron_jobs
            .iter()
            .map(|cron| of(&cron.totals))
            .sum()
    }
}
