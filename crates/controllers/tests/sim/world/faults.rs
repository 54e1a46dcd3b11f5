//! Edits, deletions and restarts of the host, at random times, until they stop.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use wasmjob_api::{Deletion, JobSpec, Phase, Pod, Uid};
use wasmjob_controllers::invariants::check_change;

use super::super::journal::End;
use super::super::rng::Rng;
use super::super::scenario;
use super::{Happening, World};

impl World {
    pub(super) fn next_fault(&mut self) {
        let pause = 1 + self.rng.below(60);
        if self.faults_left > 0 && self.job.finished().is_none() {
            self.faults_left -= 1;
            self.queue_in(pause, Happening::Fault);
        } else {
            self.queue_in(pause, Happening::Calm);
        }
    }

    pub(super) fn fault(&mut self) -> Result<(), String> {
        if self.job.finished().is_none() {
            match self.rng.below(100) {
                0..45 => self.edit(scenario::edit)?,
                45..75 => self.delete_any_pod(),
                75..92 => self.restart_host()?,
                92..97 => self.delete_job(),
                _ => {}
            }
        }
        self.next_fault();
        Ok(())
    }

    pub(super) fn calm(&mut self) -> Result<(), String> {
        self.quota = None;
        self.calm_since = Some(self.now);
        if self.job.finished().is_some() {
            return Ok(());
        }
        self.edit(|spec, _| scenario::calm(spec))
    }

    fn edit(
        &mut self,
        change: impl FnOnce(&mut k8s_openapi::api::batch::v1::JobSpec, &mut Rng),
    ) -> Result<(), String> {
        let before = self.job.clone();
        let mut object = self.job.spec.to_object();
        change(&mut object, &mut self.rng);
        let spec = JobSpec::parse(object, &self.job.name, self.job.uid);
        self.job.spec = Arc::new(spec);
        self.job.generation += 1;
        check_change(&before, &self.job).map_err(|violation| format!("after an edit: {violation}"))
    }

    fn delete_any_pod(&mut self) {
        let number = self.rows.len() as u64;
        if number > 0 {
            let at = self.rng.below(number) as usize;
            let uid = self.rows.keys().nth(at).copied();
            uid.into_iter().for_each(|uid| self.delete_pod(uid));
        }
    }

    pub(super) fn delete_pod(&mut self, uid: Uid) {
        let Some(pod) = self.rows.get(&uid).filter(|pod| pod.deletion.is_none()) else {
            return;
        };
        let mut pod = Pod::clone(pod);
        let grace = self.rng.below(31);
        pod.deletion = Some(Deletion {
            at: self.now + SignedDuration::from_secs(grace as i64),
            grace: Duration::from_secs(grace),
        });
        if !pod.status.phase.is_terminal() {
            self.journal.deletion_asked(uid, self.now);
            let kill = self.rng.below(grace + 1);
            self.queue_in(kill, Happening::Kill(uid));
        }
        self.put(pod);
    }

    /// Running pods end as disrupted, and all that was derived is made anew.
    fn restart_host(&mut self) -> Result<(), String> {
        let running = self
            .rows
            .values()
            .filter(|pod| pod.status.phase == Phase::Running);
        let running: Vec<Uid> = running.map(|pod| pod.uid).collect();
        for uid in running {
            self.end(uid, End::Disrupted);
        }
        let kept = format!("{:?}", self.set);
        self.set = self.rows.values().cloned().collect();
        match format!("{:?}", self.set) == kept {
            true => Ok(()),
            false => Err("a rebuilt pod set differs from the one that was kept".to_owned()),
        }
    }

    pub(super) fn delete_job(&mut self) {
        self.job.deletion = Some(self.now);
        let pods: Vec<Uid> = self.rows.keys().copied().collect();
        pods.into_iter().for_each(|uid| self.delete_pod(uid));
    }
}
