//! Who may run: requests against the node's capacity, first come first served.

use std::collections::VecDeque;

use wasmjob_api::Uid;

use crate::resources::Resources;

/// How many pods behind one that does not fit are looked at for one that does.
/// Looking at all of them at every exit would make work grow with the queue.
const LOOK_BEHIND: usize = 64;

/// The queue and what is in use.
pub(crate) struct Admission {
    capacity: Resources,
    used: Resources,
    queue: VecDeque<(Uid, Resources)>,
}

/// A pod's turn.
pub(crate) enum Turn {
    /// It may run; what it asked for is taken.
    Admitted(Uid),
    /// It must wait, for this.
    Waits(Uid, Vec<&'static str>),
}

impl Admission {
    pub(crate) fn new(capacity: Resources) -> Self {
        Self {
            capacity,
            used: Resources::default(),
            queue: VecDeque::new(),
        }
    }

    pub(crate) fn push(&mut self, uid: Uid, request: Resources) {
        self.queue.push_back((uid, request));
    }

    /// Takes a pod out of the queue, if it stands there.
    pub(crate) fn forget(&mut self, uid: Uid) {
        self.queue.retain(|(queued, _)| *queued != uid);
    }

    /// Gives back what a pod that was admitted had.
    pub(crate) fn release(&mut self, request: Resources) {
        self.used.subtract(request);
    }

    /// Admits whoever fits now, in order, and says who must wait.
    pub(crate) fn turns(&mut self) -> Vec<Turn> {
        let mut turns = Vec::new();
        let (mut at, mut passed) = (0, 0);
        while at < self.queue.len() && passed <= LOOK_BEHIND {
            let (uid, request) = self.queue[at];
            let lacks = self.used.lacks(request, self.capacity);
            if lacks.is_empty() {
                self.used.add(request);
                if at == 0 {
                    self.queue.pop_front();
                } else {
                    self.queue.remove(at);
                }
                turns.push(Turn::Admitted(uid));
            } else {
                turns.push(Turn::Waits(uid, lacks));
                at += 1;
                passed += 1;
            }
        }
        turns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_waits_and_smaller_ones_may_pass() {
        let of = |memory_bytes| Resources {
            cpu_milli: 0,
            memory_bytes,
            pods: 1,
        };
        let mut admission = Admission::new(Resources {
            cpu_milli: 1000,
            memory_bytes: 100,
            pods: 10,
        });
        let uid = |n| Uid::from_random(n);
        for (n, size) in [(1, 60), (2, 60), (3, 30)] {
            admission.push(uid(n), of(size));
        }
        let names = |turns: Vec<Turn>| -> Vec<String> {
            let name = |u: Uid| (1..4).find(|n| uid(*n) == u).unwrap();
            turns
                .into_iter()
                .map(|turn| match turn {
                    Turn::Admitted(u) => format!("{} runs", name(u)),
                    Turn::Waits(u, lacks) => format!("{} waits: {}", name(u), lacks.join(", ")),
                })
                .collect()
        };
        assert_eq!(
            names(admission.turns()),
            ["1 runs", "2 waits: Insufficient memory", "3 runs"]
        );
        admission.release(of(60));
        assert_eq!(names(admission.turns()), ["2 runs"]);
    }
}
