//! What the annotations of a CronJob ask for beyond Kubernetes. Each is off by default.
//!
//! | annotation | values | default |
//! |---|---|---|
//! | `wasmjob.dev/catch-up` | `latest`, `none`, `all` | `latest`, as Kubernetes does |
//! | `wasmjob.dev/catch-up-limit` | 1 to 50 runs, for `all` | 10 |
//! | `wasmjob.dev/dst` | `kubernetes`, `once`, `skip` | `kubernetes` |
//! | `wasmjob.dev/jitter` | a duration, `0s` to `24h` | none |
//! | `wasmjob.dev/forecast-duration` | a duration | what `wasmjob forecast` is told |
//! | `wasmjob.dev/reboot` | `true`, `false` | `false` |
//!
//! A run at each start of the host is an annotation beside a schedule, and not
//! `schedule: "@reboot"`, so that the object stays one that Kubernetes accepts.

use std::collections::BTreeMap;
use std::time::Duration;

use wasmjob_schedule::{DstPolicy, GoDuration};

use super::SLOT_RECORDS_MAX;

/// What is done about slots that passed while nobody could start them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CatchUp {
    /// The latest one runs, however late (`startingDeadlineSeconds` permitting), as in Kubernetes.
    #[default]
    Latest,
    /// None runs. A slot runs within ten seconds or not at all.
    None,
    /// Every one runs, oldest first, of the latest `limit` ones.
    All {
        /// At most so many; 1 to 50.
        limit: usize,
    },
}

/// The annotations, read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CronJobOptions {
    /// `wasmjob.dev/catch-up` and `wasmjob.dev/catch-up-limit`.
    pub catch_up: CatchUp,
    /// `wasmjob.dev/dst`.
    pub dst: DstPolicy,
    /// `wasmjob.dev/jitter`: a run starts up to so much after its slot.
    pub jitter: Duration,
    /// `wasmjob.dev/forecast-duration`: how long a pod takes, to a forecast. Nothing else
    /// looks at it.
    pub forecast_duration: Option<Duration>,
    /// `wasmjob.dev/reboot`: one run more at each start of the host.
    pub reboot: bool,
}

/// An annotation with a value that it does not have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OptionError {
    /// The annotation.
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// What it may be: words, or a sentence about numbers.
    pub allowed: Allowed,
}

/// What an annotation may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Allowed {
    /// One of these.
    Words(&'static [&'static str]),
    /// What this sentence says.
    Text(&'static str),
}

const CATCH_UP: &str = "wasmjob.dev/catch-up";
const CATCH_UP_LIMIT: &str = "wasmjob.dev/catch-up-limit";
const DST: &str = "wasmjob.dev/dst";
const JITTER: &str = "wasmjob.dev/jitter";
const FORECAST_DURATION: &str = "wasmjob.dev/forecast-duration";
const REBOOT: &str = "wasmjob.dev/reboot";

/// Runs that make up for missed ones, unless a limit is given.
const LIMIT: usize = 10;
/// As many as the ledger has room for, so that each of them can be explained.
const LIMIT_MAX: usize = SLOT_RECORDS_MAX;
/// A day spreads even what runs daily over all of it.
const JITTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

impl CronJobOptions {
    /// Reads what `annotations` say, and lists those that say nothing. For these the
    /// default holds.
    #[must_use]
    pub fn parse(annotations: Option<&BTreeMap<String, String>>) -> (Self, Vec<OptionError>) {
        let mut read = Reader {
            annotations,
            errors: Vec::new(),
        };
        let limit = read
            .value(
                CATCH_UP_LIMIT,
                Allowed::Text("must be a number from 1 to 50"),
                limit,
            )
            .unwrap_or(LIMIT);
        let options = Self {
            catch_up: read
                .word(CATCH_UP, &["latest", "none", "all"], |word| match word {
                    "none" => CatchUp::None,
                    "all" => CatchUp::All { limit },
                    _ => CatchUp::Latest,
                })
                .unwrap_or_default(),
            dst: read
                .word(DST, &["kubernetes", "once", "skip"], |word| match word {
                    "once" => DstPolicy::Once,
                    "skip" => DstPolicy::Skip,
                    _ => DstPolicy::Kubernetes,
                })
                .unwrap_or_default(),
            jitter: read
                .value(
                    JITTER,
                    Allowed::Text("must be a duration from 0s to 24h, like 30s or 1h30m"),
                    jitter,
                )
                .unwrap_or_default(),
            forecast_duration: read.value(
                FORECAST_DURATION,
                Allowed::Text("must be a duration like 90s or 1h30m"),
                |text| GoDuration::parse(text).ok()?.to_duration(),
            ),
            reboot: read
                .word(REBOOT, &["true", "false"], |word| word == "true")
                .unwrap_or_default(),
        };
        (options, read.errors)
    }
}

struct Reader<'a> {
    annotations: Option<&'a BTreeMap<String, String>>,
    errors: Vec<OptionError>,
}

impl Reader<'_> {
    fn word<T>(
        &mut self,
        key: &'static str,
        words: &'static [&'static str],
        read: impl Fn(&str) -> T,
    ) -> Option<T> {
        self.value(key, Allowed::Words(words), |text| {
            words.contains(&text).then(|| read(text))
        })
    }

    fn value<T>(
        &mut self,
        key: &'static str,
        allowed: Allowed,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.annotations?.get(key)?;
        let value = read(text);
        if value.is_none() {
            self.errors.push(OptionError {
                key,
                value: text.clone(),
                allowed,
            });
        }
        value
    }
}

fn limit(text: &str) -> Option<usize> {
    let limit = text.parse().ok()?;
    (1..=LIMIT_MAX).contains(&limit).then_some(limit)
}

fn jitter(text: &str) -> Option<Duration> {
    let jitter = GoDuration::parse(text).ok()?.to_duration()?;
    (jitter <= JITTER_MAX).then_some(jitter)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use wasmjob_schedule::DstPolicy;

    use super::{CatchUp, CronJobOptions};

    fn parse(annotations: &[(&str, &str)]) -> (CronJobOptions, Vec<&'static str>) {
        let annotations: BTreeMap<_, _> = annotations
            .iter()
            .map(|(key, value)| (format!("wasmjob.dev/{key}"), (*value).to_owned()))
            .collect();
        let (options, errors) = CronJobOptions::parse(Some(&annotations));
        (options, errors.iter().map(|error| error.key).collect())
    }

    #[test]
    fn everything_is_off_by_default() {
        let (options, errors) = CronJobOptions::parse(None);
        assert!(errors.is_empty());
        assert_eq!(options, CronJobOptions::default());
        assert_eq!(options.catch_up, CatchUp::Latest);
        assert_eq!(options.dst, DstPolicy::Kubernetes);
        assert_eq!((options.jitter, options.reboot), (Duration::ZERO, false));
    }

    #[test]
    fn values_are_read() {
        let (options, errors) = parse(&[
            ("catch-up", "all"),
            ("catch-up-limit", "3"),
            ("dst", "once"),
            ("jitter", "1m30s"),
            ("forecast-duration", "2h"),
            ("reboot", "true"),
        ]);
        assert!(errors.is_empty());
        assert_eq!(options.catch_up, CatchUp::All { limit: 3 });
        assert_eq!(options.dst, DstPolicy::Once);
        assert_eq!(options.jitter, Duration::from_secs(90));
        assert_eq!(options.forecast_duration, Some(Duration::from_secs(7200)));
        assert!(options.reboot);
        let (options, _) = parse(&[("catch-up", "all")]);
        assert_eq!(options.catch_up, CatchUp::All { limit: 10 });
    }

    #[test]
    fn what_says_nothing_is_told_and_left_at_its_default() {
        let (options, errors) = parse(&[
            ("catch-up", "All"),
            ("catch-up-limit", "0"),
            ("dst", ""),
            ("jitter", "-1s"),
            ("forecast-duration", "7 days"),
            ("reboot", "yes"),
        ]);
        assert_eq!(options, CronJobOptions::default());
        assert_eq!(errors.len(), 6);
        for value in ["30", "25h", "1d", "NaN", "99999999999h"] {
            assert_eq!(parse(&[("jitter", value)]).1, ["wasmjob.dev/jitter"]);
        }
        for value in ["51", "-1", "ten", "99999999999999999999"] {
            let errors = parse(&[("catch-up-limit", value)]).1;
            assert_eq!(errors, ["wasmjob.dev/catch-up-limit"]);
        }
    }
}
