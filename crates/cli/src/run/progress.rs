//! The live part: a line per Job on a terminal, plain lines elsewhere.

use std::collections::HashMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use wasmjob::api::{Job, JobConditionType, Uid};

use crate::exit::say;
use crate::report::table::{completions, status};
use crate::run::printer::{Line, write};

/// Jobs with a line of their own; more would scroll the terminal away.
const LINES_MAX: usize = 12;

/// How often elapsed times are drawn anew.
const DRAW_EVERY: Duration = Duration::from_millis(200);

/// Shows how Jobs get on.
pub(crate) struct Progress {
    live: Option<Live>,
    quiet: bool,
    /// What was last said of a Job.
    said: HashMap<Uid, &'static str>,
}

struct Live {
    bars: MultiProgress,
    lines: HashMap<Uid, ProgressBar>,
}

impl Progress {
    pub(crate) fn new(live: bool, quiet: bool) -> Self {
        let live = live.then(|| Live {
            bars: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()),
            lines: HashMap::new(),
        });
        Self {
            live,
            quiet,
            said: HashMap::new(),
        }
    }

    /// The Job is this now.
    pub(crate) fn job(&mut self, job: &Job) {
        if self.quiet {
            return;
        }
        let status = status(job);
        if let Some(live) = &mut self.live {
            return live.job(job, status);
        }
        // A line for each state that lasts.
        let changed = self.said.insert(job.uid, status) != Some(status);
        if changed && !matches!(status, "FailureTarget" | "SuccessCriteriaMet") {
            say(plain(job, status));
        }
    }

    /// Prints lines of logs above what is live.
    pub(crate) fn print(&self, lines: &[Line], all_to_stderr: bool) {
        match &self.live {
            Some(live) => live.bars.suspend(|| write(lines, all_to_stderr)),
            None => write(lines, all_to_stderr),
        }
    }

    /// Takes away what is live.
    pub(crate) fn end(&mut self) {
        if let Some(live) = self.live.take() {
            // The summary that follows says the same for good.
            let _ = live.bars.clear();
        }
    }
}

impl Live {
    fn job(&mut self, job: &Job, status: &'static str) {
        let bars = &self.bars;
        if self.lines.len() >= LINES_MAX && !self.lines.contains_key(&job.uid) {
            return;
        }
        let bar = self.lines.entry(job.uid).or_insert_with(|| {
            let bar = bars.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(DRAW_EVERY);
            bar
        });
        let text = format!(
            "job/{}: {status}, {} done, {} active, {} failed",
            job.name,
            completions(job),
            job.status.active,
            job.status.failed
        );
        if job.finished().is_some() {
            bar.finish_with_message(text);
        } else {
            bar.set_message(text);
        }
    }
}

fn plain(job: &Job, status: &str) -> String {
    let mut line = format!("job/{}: {status}", job.name);
    if job.finished().is_some() {
        line += &format!(", {} completions", completions(job));
        match job.status.failed {
            0 => {}
            1 => line += ", 1 pod failed",
            failed => line += &format!(", {failed} pods failed"),
        }
    }
    if job.status.is_true(JobConditionType::Failed)
        && let Some(condition) = job.finished()
    {
        line += &format!(": {}: {}", condition.reason, condition.message);
    }
    line
}
