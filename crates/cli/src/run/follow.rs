//! Follows a run: logs, progress, signals and time, until everything has ended.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use wasmjob::api::Pod;
use wasmjob::{Change, Host, Kind, LogFeed, Stored, Taken, Watch};

use crate::args::LogChoice;
use crate::exit::{Exit, say};
use crate::run::printer::{Escape, Printer};
use crate::run::progress::Progress;
use crate::run::state::{News, State, never_ends};
use crate::signals::{SIGHUP, Signals};

/// What the user wants to see, and when it is to stop.
pub(crate) struct Wishes {
    pub(crate) logs: LogChoice,
    pub(crate) logs_to_stderr: bool,
    pub(crate) quiet: bool,
    pub(crate) fail_fast: bool,
    pub(crate) timeout: Option<Duration>,
    pub(crate) live: bool,
    pub(crate) escape: Escape,
}

/// A run that is followed.
pub(crate) struct Follow<'a> {
    host: &'a Host,
    wishes: Wishes,
    watch: Watch,
    feed: Option<LogFeed>,
    signals: Signals,
    printer: Printer,
    progress: Progress,
    state: State,
    taken: Taken,
    exit: Option<Exit>,
}

/// What happened.
enum Event {
    Changes,
    Logs,
    Signal(u8),
    Timeout,
}

impl<'a> Follow<'a> {
    /// Begins to listen, before anything runs.
    pub(crate) fn begin(host: &'a Host, wishes: Wishes) -> Self {
        Self {
            watch: host.watch(),
            feed: (wishes.logs == LogChoice::All).then(|| host.follow_logs()),
            signals: Signals::listen_to_hang_up(),
            printer: Printer::new(wishes.escape),
            progress: Progress::new(wishes.live, wishes.quiet),
            state: State::default(),
            taken: Taken::default(),
            exit: None,
            host,
            wishes,
        }
    }

    /// Follows what was taken on to its end. Gives what became of it, and how to exit.
    pub(crate) async fn until_the_end(mut self, taken: &Taken) -> (State, Exit) {
        self.taken = taken.clone();
        self.state.begin(taken);
        for job in &self.state.jobs {
            if let Some(why) = never_ends(job) {
                say(format_args!("warning: job/{} is not run: {why}", job.name));
            }
        }
        let deadline = self.wishes.timeout.map(|timeout| Instant::now() + timeout);
        self.learn();
        while !self.is_over() {
            if self.host.is_gone() {
                say("error: the host stopped unexpectedly; please report what it printed");
                self.exit = Some(Exit::Host);
                break;
            }
            match self.event(deadline).await {
                Event::Changes => self.learn(),
                Event::Logs => self.print_logs(),
                // A terminal that goes says so more than once: that is not to stop at once.
                Event::Signal(SIGHUP) if self.exit.is_some() => {}
                Event::Signal(number) if self.exit.is_some() => {
                    // The second one: now.
                    self.exit = Some(Exit::Signal(number));
                    break;
                }
                Event::Signal(number) => {
                    self.stop(Exit::Signal(number), "stopping; once more to stop at once")
                }
                Event::Timeout => self.stop(Exit::Timeout, "--timeout is reached; stopping"),
            }
        }
        self.print_logs();
        self.progress.end();
        let exit = self.exit.unwrap_or(if self.state.is_complete() {
            Exit::Complete
        } else {
            Exit::Failed
        });
        (self.state, exit)
    }

    /// Waits for something to happen.
    async fn event(&mut self, deadline: Option<Instant>) -> Event {
        let stopping = self.exit.is_some();
        tokio::select! {
            biased;
            number = self.signals.next() => Event::Signal(number),
            () = until(deadline), if !stopping => Event::Timeout,
            () = changed(&self.watch, self.host) => Event::Changes,
            () = logged(self.feed.as_ref()) => Event::Logs,
        }
    }

    /// Everything has ended; or was told to, and is gone.
    fn is_over(&self) -> bool {
        if self.exit.is_none() {
            return self.state.is_over();
        }
        let (_, left) = self.host.store().list(Kind::Pod, |object| {
            object
                .as_pod()
                .is_some_and(|pod| !pod.status.phase.is_terminal())
        });
        left.is_empty()
    }

    /// Takes in what happened since.
    fn learn(&mut self) {
        // What a pod wrote stands before the news that it has ended.
        self.print_logs();
        loop {
            match self.watch.try_next() {
                Ok(changes) if changes.is_empty() => break,
                Ok(changes) => changes.iter().for_each(|(_, change)| self.change(change)),
                Err(_) => self.relist(),
            }
        }
        if self.wishes.fail_fast
            && self.exit.is_none()
            && self.state.has_failed()
            && !self.state.is_over()
        {
            self.stop(Exit::Failed, "a Job has failed; stopping the others");
        }
    }

    /// Too much happened at once: looks at everything as it is now.
    fn relist(&mut self) {
        self.watch = self.host.watch();
        for kind in [Kind::Job, Kind::Pod] {
            let (_, found) = self.host.store().list(kind, |_| true);
            found.into_iter().for_each(|Stored { object, .. }| {
                self.change(&Change::Modified(object.clone(), object));
            });
        }
    }

    fn change(&mut self, change: &Change) {
        match self.state.learn(change) {
            News::Job(job) => self.progress.job(&job),
            News::PodFailed(pod) if self.wishes.logs == LogChoice::Failed => {
                self.print_log_of(&pod)
            }
            News::PodWaits(pod) if !self.wishes.quiet => {
                let why = pod.status.message.as_deref().unwrap_or_default();
                say(format_args!("pod/{} waits: {why}", pod.name));
            }
            News::PodFailed(_) | News::PodWaits(_) | News::Nothing => {}
        }
    }

    fn print_logs(&mut self) {
        let Some(feed) = &self.feed else { return };
        let mut lines = Vec::new();
        for log in feed.try_next() {
            lines.extend(self.printer.lines(&log));
        }
        if !lines.is_empty() {
            self.progress.print(&lines, self.wishes.logs_to_stderr);
        }
    }

    fn print_log_of(&mut self, pod: &Pod) {
        let mut lines = Vec::new();
        for log in self.host.logs(pod.uid) {
            lines.extend(self.printer.lines(&log));
        }
        self.progress.print(&lines, self.wishes.logs_to_stderr);
    }

    /// Tells everything to end, and how to exit then.
    fn stop(&mut self, exit: Exit, why: &str) {
        self.exit = Some(exit);
        if !self.wishes.quiet {
            say(why);
        }
        self.taken.jobs.iter().for_each(wasmjob::JobHandle::cancel);
        self.taken.pods.iter().for_each(wasmjob::PodHandle::cancel);
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

async fn changed(watch: &Watch, host: &Host) {
    host.store().changed(watch.revision()).await;
}

async fn logged(feed: Option<&LogFeed>) {
    match feed {
        Some(feed) => feed.ready().await,
        None => std::future::pending().await,
    }
}
