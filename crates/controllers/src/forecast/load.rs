//! How much happens when: minutes, hours and days.
//!
//! CronJobs are driven one after the other, a day of each at a time. What they do in that
//! day is sorted and passed through once, and forgotten.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use wasmjob_api::schedule::Zone;

use super::Settings;

/// Busy minutes that are told.
pub const MINUTES_MAX: usize = 10;

/// CronJobs that are named with a busy minute.
pub const CRON_JOBS_NAMED: usize = 5;

/// Minutes of a day.
const DAY_MINUTES: usize = 24 * 60;

/// Jobs that start, by hour of the day.
pub type Days = BTreeMap<Date, [u32; 24]>;

/// How much happens when, in the default zone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Load {
    /// For each day, how many Jobs start in each hour that the clock shows.
    pub days: Days,
    /// The minutes of the day in which the most Jobs start together, most first; at most
    /// [`MINUTES_MAX`].
    pub busiest_minutes: Vec<BusyMinute>,
    /// The most pods at once.
    pub pods: Peak,
}

/// A minute of the day in which Jobs start.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BusyMinute {
    /// Minutes since midnight, as the clock shows it.
    pub minute: u16,
    /// The most Jobs that start in it on one day.
    pub jobs: u32,
    /// The most pods that run at once on such a day, in this minute.
    pub pods: i64,
    /// On how many days so many Jobs start.
    pub days: u32,
    /// The first of them.
    pub first: Timestamp,
    /// The places of CronJobs that start in it, at most [`CRON_JOBS_NAMED`].
    pub cron_jobs: Vec<usize>,
}

/// The most of something, and when it was first reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Peak {
    /// How many.
    pub most: i64,
    /// When.
    pub at: Timestamp,
}

impl Load {
    /// Days on which no Job starts.
    pub fn days_without(&self) -> impl Iterator<Item = Date> {
        let empty = self
            .days
            .iter()
            .filter(|(_, hours)| hours.iter().all(|jobs| *jobs == 0));
        empty.map(|(day, _)| *day)
    }
}

/// What happens at an instant, in microseconds since 1970: small, for there are many.
#[derive(Clone, Copy)]
struct Happening {
    at: i64,
    what: What,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// Pods end, or start. Those that end stand first: who ends when another one starts
    /// was not there together with it.
    Pods(i64),
    /// A Job of that CronJob starts.
    Job(usize),
}

/// Passes through what happens.
pub(super) struct Sweep {
    zone: Zone,
    happenings: Vec<Happening>,
    days: Days,
    minutes: Vec<BusyMinute>,
    pods: i64,
    peak: Peak,
}

impl Sweep {
    pub(super) fn new(settings: &Settings) -> Self {
        let zone = settings.zone.clone();
        let last = super::world::a_moment_before(settings.until);
        let (first, last) = (zone.civil(settings.from).date(), zone.civil(last).date());
        let days = first.series(jiff::Span::new().days(1));
        Self {
            days: days
                .take_while(|day| *day <= last)
                .map(|day| (day, [0; 24]))
                .collect(),
            zone,
            happenings: Vec::new(),
            minutes: vec![BusyMinute::default(); DAY_MINUTES],
            pods: 0,
            peak: Peak {
                most: 0,
                at: settings.from,
            },
        }
    }

    /// A Job starts.
    pub(super) fn job(&mut self, cron_job: usize, at: Timestamp) {
        self.happen(at, What::Job(cron_job));
    }

    /// So many pods more, or less.
    pub(super) fn pods(&mut self, at: Timestamp, pods: i64) {
        self.happen(at, What::Pods(pods));
    }

    fn happen(&mut self, at: Timestamp, what: What) {
        let at = at.as_microsecond();
        self.happenings.push(Happening { at, what });
    }

    /// Passes through what happened since it last did.
    pub(super) fn pass(&mut self) {
        let mut happenings = std::mem::take(&mut self.happenings);
        happenings.sort_unstable_by_key(|happening| (happening.at, happening.what));
        for minute in happenings.chunk_by(|a, b| minute(a.at) == minute(b.at)) {
            self.pass_minute(minute);
        }
        happenings.clear();
        self.happenings = happenings;
    }

    fn pass_minute(&mut self, happenings: &[Happening]) {
        let Some(at) = happenings
            .first()
            .map(|happening| minute(happening.at) * 60)
        else {
            return;
        };
        let mut pods_most = self.pods;
        let mut started = Vec::new();
        for happening in happenings {
            match happening.what {
                What::Job(cron_job) => started.push(cron_job),
                What::Pods(pods) => {
                    self.pods += pods;
                    pods_most = pods_most.max(self.pods);
                    if self.pods > self.peak.most
                        && let Ok(at) = Timestamp::from_microsecond(happening.at)
                    {
                        self.peak = Peak {
                            most: self.pods,
                            at,
                        };
                    }
                }
            }
        }
        if let Ok(at) = Timestamp::from_second(at)
            && !started.is_empty()
        {
            self.count(at, &started, pods_most);
        }
    }

    fn count(&mut self, at: Timestamp, started: &[usize], pods: i64) {
        let jobs = u32::try_from(started.len()).unwrap_or(u32::MAX);
        let shown = self.zone.civil(at);
        let (hour, minute) = (shown.hour().unsigned_abs(), shown.minute().unsigned_abs());
        if let Some(hours) = self.days.get_mut(&shown.date())
            && let Some(hour) = hours.get_mut(usize::from(hour))
        {
            *hour = hour.saturating_add(jobs);
        }
        let of_day = u16::from(hour) * 60 + u16::from(minute);
        let Some(known) = self.minutes.get_mut(usize::from(of_day)) else {
            return;
        };
        if jobs == known.jobs {
            known.days += 1;
            known.pods = known.pods.max(pods);
        } else if jobs > known.jobs {
            let mut cron_jobs = started.to_vec();
            cron_jobs.dedup();
            cron_jobs.truncate(CRON_JOBS_NAMED);
            *known = BusyMinute {
                minute: of_day,
                jobs,
                pods,
                days: 1,
                first: at,
                cron_jobs,
            };
        }
    }

    pub(super) fn load(self) -> Load {
        let mut minutes = self.minutes;
        minutes.retain(|minute| minute.jobs > 0);
        // The sort keeps the order of those that are alike.
        minutes.sort_by_key(|minute| std::cmp::Reverse((minute.jobs, minute.pods)));
        minutes.truncate(MINUTES_MAX);
        Load {
            days: self.days,
            busiest_minutes: minutes,
            pods: self.peak,
        }
    }
}

/// The minute since 1970 of an instant in microseconds.
fn minute(at: i64) -> i64 {
    at.div_euclid(60_000_000)
}
