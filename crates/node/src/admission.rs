//! Who may run: requests against the node's capacity, by priority and then first come
//! first served; and who must make room for one that comes before it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use foldhash::HashSet;
use wasmjob_api::Uid;

use crate::resources::Resources;

/// How many pods behind one that does not fit are looked at for one that does.
/// Looking at all of them at every exit would make work grow with the queue.
const LOOK_BEHIND: usize = 64;

/// The queue and what is in use.
pub(crate) struct Admission {
    capacity: Resources,
    used: Resources,
    /// The highest priority first; in most nodes, there is one.
    queue: BTreeMap<Reverse<i32>, VecDeque<(Uid, Resources)>>,
    /// How many pods of each priority are admitted.
    admitted: BTreeMap<i32, usize>,
    nominated: Option<Nominated>,
}

/// A pod for which others are being ended.
struct Nominated {
    uid: Uid,
    /// Those that have not ended.
    victims: HashSet<Uid>,
}

/// A pod's turn.
pub(crate) enum Turn {
    /// It may run; what it asked for is taken.
    Admitted(Uid),
    /// It must wait, for this.
    Waits(Uid, Vec<&'static str>),
}

/// A pod that is admitted, as it is looked at for making room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<T> {
    pub(crate) uid: Uid,
    pub(crate) priority: i32,
    pub(crate) request: Resources,
    /// Since when; of two pods the younger goes first.
    pub(crate) since: T,
    /// It is being ended already.
    pub(crate) is_ending: bool,
}

impl Admission {
    pub(crate) fn new(capacity: Resources) -> Self {
        Self {
            capacity,
            used: Resources::default(),
            queue: BTreeMap::new(),
            admitted: BTreeMap::new(),
            nominated: None,
        }
    }

    pub(crate) fn push(&mut self, uid: Uid, request: Resources, priority: i32) {
        let level = self.queue.entry(Reverse(priority)).or_default();
        level.push_back((uid, request));
    }

    /// Takes a pod out of the queue, if it stands there.
    pub(crate) fn forget(&mut self, uid: Uid, priority: i32) {
        if let Some(level) = self.queue.get_mut(&Reverse(priority)) {
            level.retain(|(queued, _)| *queued != uid);
            if level.is_empty() {
                self.queue.remove(&Reverse(priority));
            }
        }
        self.nominated.take_if(|nominated| nominated.uid == uid);
    }

    /// Gives back what a pod that was admitted had.
    pub(crate) fn release(&mut self, uid: Uid, request: Resources, priority: i32) {
        self.used.subtract(request);
        if let Some(count) = self.admitted.get_mut(&priority) {
            *count -= 1;
            if *count == 0 {
                self.admitted.remove(&priority);
            }
        }
        if let Some(nominated) = &mut self.nominated {
            nominated.victims.remove(&uid);
        }
    }

    /// Admits whoever fits now, in order, and says who must wait. What is being freed
    /// for one pod is not taken by those that come after it.
    pub(crate) fn turns(&mut self) -> Vec<Turn> {
        let mut turns = Vec::new();
        let mut passed = 0;
        'levels: for (Reverse(priority), level) in &mut self.queue {
            let mut at = 0;
            while at < level.len() {
                if passed > LOOK_BEHIND {
                    break 'levels;
                }
                let (uid, request) = level[at];
                let lacks = self.used.lacks(request, self.capacity);
                let is_nominated = self.nominated.as_ref().is_some_and(|it| it.uid == uid);
                if lacks.is_empty() {
                    self.used.add(request);
                    *self.admitted.entry(*priority).or_default() += 1;
                    if at == 0 {
                        level.pop_front();
                    } else {
                        level.remove(at);
                    }
                    if is_nominated {
                        self.nominated = None;
                    }
                    turns.push(Turn::Admitted(uid));
                } else {
                    turns.push(Turn::Waits(uid, lacks));
                    at += 1;
                    passed += 1;
                    if is_nominated {
                        break 'levels;
                    }
                }
            }
        }
        self.queue.retain(|_, level| !level.is_empty());
        turns
    }

    /// Whether a pod of that priority that waits may have others end for it: some are
    /// less important, and nobody is being waited for.
    pub(crate) fn may_preempt(&self, request: Resources, priority: i32) -> bool {
        if !Resources::default()
            .lacks(request, self.capacity)
            .is_empty()
        {
            // It never fits.
            return false;
        }
        let is_free = self
            .nominated
            .as_ref()
            .is_none_or(|it| it.victims.is_empty());
        let lowest = self.admitted.first_key_value();
        is_free && lowest.is_some_and(|(lowest, _)| *lowest < priority)
    }

    /// The fewest and least important of `pods` that must end so that `request` fits, if
    /// it can at all. From now on what they free is for the pod `uid`.
    pub(crate) fn preempt<T: Ord + Copy>(
        &mut self,
        uid: Uid,
        request: Resources,
        priority: i32,
        pods: impl Iterator<Item = Candidate<T>>,
    ) -> Vec<Uid> {
        let mut used = self.used;
        let (mut lower, mut ending) = (Vec::new(), HashSet::default());
        for pod in pods {
            if pod.is_ending {
                used.subtract(pod.request);
                ending.insert(pod.uid);
            } else if pod.priority < priority {
                used.subtract(pod.request);
                lower.push(pod);
            }
        }
        let fits = |used: Resources| used.lacks(request, self.capacity).is_empty();
        if !fits(used) {
            self.nominated.take_if(|nominated| nominated.uid == uid);
            return Vec::new();
        }
        // The most important stay, as long as there is room beside them.
        lower.sort_by_key(|pod| (Reverse(pod.priority), pod.since, pod.uid));
        let mut victims = Vec::new();
        for pod in lower {
            let mut with = used;
            with.add(pod.request);
            match fits(with) {
                true => used = with,
                false => victims.push(pod.uid),
            }
        }
        let awaited = victims.iter().copied().chain(ending);
        self.nominated = Some(Nominated {
            uid,
            victims: awaited.collect(),
        });
        // Those that had to go first, go first.
        victims.reverse();
        victims
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(memory_bytes: u64) -> Resources {
        Resources {
            cpu_milli: 0,
            memory_bytes,
            pods: 1,
        }
    }

    fn admission() -> Admission {
        Admission::new(Resources {
            cpu_milli: 1000,
            memory_bytes: 100,
            pods: 10,
        })
    }

    fn uid(number: u128) -> Uid {
        Uid::from_random(number)
    }

    fn name(of: Uid) -> u128 {
        (1..10).find(|number| uid(*number) == of).unwrap()
    }

    fn names(turns: Vec<Turn>) -> Vec<String> {
        let text = |turn| match turn {
            Turn::Admitted(it) => format!("{} runs", name(it)),
            Turn::Waits(it, lacks) => format!("{} waits: {}", name(it), lacks.join(", ")),
        };
        turns.into_iter().map(text).collect()
    }

    #[test]
    fn what_does_not_fit_waits_and_smaller_ones_may_pass() {
        let mut admission = admission();
        for (number, size) in [(1, 60), (2, 60), (3, 30)] {
            admission.push(uid(number), of(size), 0);
        }
        assert_eq!(
            names(admission.turns()),
            ["1 runs", "2 waits: Insufficient memory", "3 runs"]
        );
        admission.release(uid(1), of(60), 0);
        assert_eq!(names(admission.turns()), ["2 runs"]);
    }

    #[test]
    fn the_more_important_come_first_then_the_earlier() {
        let mut admission = admission();
        for (number, priority) in [(1, 0), (2, 5), (3, -5), (4, 5)] {
            admission.push(uid(number), of(40), priority);
        }
        assert_eq!(
            names(admission.turns()),
            [
                "2 runs",
                "4 runs",
                "1 waits: Insufficient memory",
                "3 waits: Insufficient memory"
            ]
        );
        admission.forget(uid(1), 0);
        admission.release(uid(2), of(40), 5);
        assert_eq!(names(admission.turns()), ["3 runs"]);
    }

    #[test]
    fn the_least_important_and_youngest_make_room_and_nobody_takes_it() {
        let mut admission = admission();
        // Number, priority, size; in the order in which they came.
        let all = [(1, 0, 30), (2, 3, 30), (3, 0, 30)];
        for (number, priority, size) in all {
            admission.push(uid(number), of(size), priority);
        }
        assert_eq!(admission.turns().len(), 3);
        let pods = |ending: &'static [u128]| {
            all.into_iter()
                .map(move |(number, priority, size)| Candidate {
                    uid: uid(number),
                    priority,
                    request: of(size),
                    since: number,
                    is_ending: ending.contains(&number),
                })
        };
        assert!(!admission.may_preempt(of(1), 0));
        assert!(admission.may_preempt(of(1), 1));
        assert!(!admission.may_preempt(of(101), 1));
        admission.push(uid(4), of(35), 5);
        assert_eq!(names(admission.turns()), ["4 waits: Insufficient memory"]);
        let victims = admission.preempt(uid(4), of(35), 5, pods(&[]));
        assert_eq!(victims.into_iter().map(name).collect::<Vec<_>>(), [3]);
        // It is waited for, so that no more must go; and one that would fit waits as well.
        assert!(!admission.may_preempt(of(1), 9));
        admission.push(uid(5), of(5), 0);
        assert_eq!(names(admission.turns()), ["4 waits: Insufficient memory"]);
        admission.release(uid(3), of(30), 0);
        assert_eq!(names(admission.turns()), ["4 runs", "5 runs"]);
        // Nobody ends for what would not fit anyway.
        assert!(admission.preempt(uid(6), of(101), 9, pods(&[])).is_empty());
        // Who is ending is waited for, before others must.
        let victims = admission.preempt(uid(7), of(30), 9, pods(&[1]));
        assert!(victims.is_empty());
        assert!(!admission.may_preempt(of(1), 9));
    }
}
