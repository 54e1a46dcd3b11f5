//! Who may run: requests against the node's capacity, by priority and then first come
//! first served; and who must make room for one that comes before it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use foldhash::HashMap;
use wasmjob_api::Uid;

use crate::resources::Resources;

/// How many pods behind one that does not fit are looked at for one that does.
/// Looking at all of them at every exit would make work grow with the queue.
const LOOK_BEHIND: usize = 64;

/// For how many pods that wait it is looked, at a time, whether others can make room.
/// Each look costs what all pods that are admitted cost.
const TRIES: usize = 8;

/// The queue and what is in use.
pub(crate) struct Admission {
    capacity: Resources,
    used: Resources,
    /// The highest priority first; in most nodes, there is one. By number in line.
    queue: BTreeMap<Reverse<i32>, BTreeMap<u64, (Uid, Resources)>>,
    /// Where each stands: many may leave at once.
    numbers: HashMap<Uid, u64>,
    next: u64,
    /// How many pods of each priority are admitted.
    admitted: BTreeMap<i32, usize>,
    nominated: Option<Nominated>,
}

/// A pod for which others are being ended.
struct Nominated {
    uid: Uid,
    request: Resources,
    /// Those that have not ended, and what they still hold.
    victims: HashMap<Uid, Resources>,
}

impl Nominated {
    /// What will be in use once its victims have ended and it runs, of `used` now.
    fn used_then(&self, mut used: Resources) -> Resources {
        for held in self.victims.values() {
            used.subtract(*held);
        }
        used.add(self.request);
        used
    }
}

/// A pod that waits, and for which others may have to end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiter {
    pub(crate) uid: Uid,
    pub(crate) request: Resources,
    pub(crate) priority: i32,
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
    /// It is being ended already, and that will not take long. One that may take its
    /// time is not counted on: it makes room as any other does.
    pub(crate) is_ending: bool,
}

impl Admission {
    pub(crate) fn new(capacity: Resources) -> Self {
        Self {
            capacity,
            used: Resources::default(),
            queue: BTreeMap::new(),
            numbers: HashMap::default(),
            next: 0,
            admitted: BTreeMap::new(),
            nominated: None,
        }
    }

    pub(crate) fn push(&mut self, uid: Uid, request: Resources, priority: i32) {
        let level = self.queue.entry(Reverse(priority)).or_default();
        self.next += 1;
        level.insert(self.next, (uid, request));
        self.numbers.insert(uid, self.next);
    }

    /// Takes a pod out of the queue, if it stands there.
    pub(crate) fn forget(&mut self, uid: Uid, priority: i32) {
        if let Some(number) = self.numbers.remove(&uid)
            && let Some(level) = self.queue.get_mut(&Reverse(priority))
        {
            level.remove(&number);
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
    /// for one pod is not taken by those that come after it; what is left beside it is.
    pub(crate) fn turns(&mut self) -> Vec<Turn> {
        let mut turns = Vec::new();
        let mut passed = 0;
        // The pod that others end for was passed: room is kept for it.
        let mut keeps = false;
        let mut admitted = Vec::new();
        'levels: for (Reverse(priority), level) in &self.queue {
            for (number, &(uid, request)) in level {
                if passed > LOOK_BEHIND {
                    break 'levels;
                }
                let mut lacks = self.used.lacks(request, self.capacity);
                if lacks.is_empty()
                    && let Some(nominated) = self.nominated.as_ref().filter(|_| keeps)
                {
                    let then = nominated.used_then(self.used);
                    lacks = then.lacks(request, self.capacity);
                }
                let nominated = self.nominated.as_ref().filter(|it| it.uid == uid);
                if lacks.is_empty() {
                    self.used.add(request);
                    *self.admitted.entry(*priority).or_default() += 1;
                    admitted.push((*priority, *number, uid));
                    if nominated.is_some() {
                        self.nominated = None;
                    }
                    turns.push(Turn::Admitted(uid));
                } else {
                    match nominated.map(|it| it.victims.is_empty()) {
                        // Who came before it took what was freed: it must ask anew, and
                        // nothing is kept for it meanwhile.
                        Some(true) => self.nominated = None,
                        Some(false) => keeps = true,
                        None => {}
                    }
                    turns.push(Turn::Waits(uid, lacks));
                    passed += 1;
                }
            }
        }
        for (priority, number, uid) in admitted {
            self.numbers.remove(&uid);
            if let Some(level) = self.queue.get_mut(&Reverse(priority)) {
                level.remove(&number);
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

    /// The first of `waiters` for which there is room once others have ended, and which
    /// of `pods` must. One that can never have enough does not hold up those behind it.
    pub(crate) fn make_room<T: Ord + Copy>(
        &mut self,
        waiters: impl Iterator<Item = Waiter>,
        pods: &[Candidate<T>],
    ) -> Option<(Uid, Vec<Uid>)> {
        let mut failed: Vec<Waiter> = Vec::new();
        for waiter in waiters {
            // Who wants as much and is no more important fares no better.
            let is_hopeless = failed.iter().any(|it| {
                let wants_less = Resources::default().lacks(it.request, waiter.request);
                waiter.priority <= it.priority && wants_less.is_empty()
            });
            if is_hopeless {
                continue;
            }
            if let Some(victims) = self.preempt(waiter, pods) {
                return Some((waiter.uid, victims));
            }
            failed.push(waiter);
            if failed.len() >= TRIES {
                break;
            }
        }
        None
    }

    /// The fewest and least important of `pods` that must end so that the waiter fits;
    /// nothing, if it cannot fit. From now on what they free is for it.
    fn preempt<T: Ord + Copy>(
        &mut self,
        waiter: Waiter,
        pods: &[Candidate<T>],
    ) -> Option<Vec<Uid>> {
        let Waiter {
            uid,
            request,
            priority,
        } = waiter;
        let mut used = self.used;
        let (mut lower, mut awaited) = (Vec::new(), HashMap::default());
        for pod in pods {
            if pod.is_ending {
                used.subtract(pod.request);
                awaited.insert(pod.uid, pod.request);
            } else if pod.priority < priority {
                used.subtract(pod.request);
                lower.push(pod);
            }
        }
        let fits = |used: Resources| used.lacks(request, self.capacity).is_empty();
        if !fits(used) {
            self.nominated.take_if(|nominated| nominated.uid == uid);
            return None;
        }
        // The most important stay, as long as there is room beside them.
        lower.sort_by_key(|pod| (Reverse(pod.priority), pod.since, pod.uid));
        let mut victims = Vec::new();
        for pod in lower {
            let mut with = used;
            with.add(pod.request);
            match fits(with) {
                true => used = with,
                false => {
                    awaited.insert(pod.uid, pod.request);
                    victims.push(pod.uid);
                }
            }
        }
        self.nominated = Some(Nominated {
            uid,
            request,
            victims: awaited,
        });
        // Those that had to go first, go first.
        victims.reverse();
        Some(victims)
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

    fn candidate(number: u128, priority: i32, size: u64, ending: &[u128]) -> Candidate<u128> {
        Candidate {
            uid: uid(number),
            priority,
            request: of(size),
            since: number,
            is_ending: ending.contains(&number),
        }
    }

    /// Who gets room, of waiters' numbers, priorities and sizes, and who ends for it.
    fn room(
        admission: &mut Admission,
        waiters: &[(u128, i32, u64)],
        pods: &[Candidate<u128>],
    ) -> String {
        let waiters = waiters.iter().map(|(number, priority, size)| Waiter {
            uid: uid(*number),
            request: of(*size),
            priority: *priority,
        });
        match admission.make_room(waiters, pods) {
            Some((it, victims)) => {
                let victims: Vec<_> = victims.into_iter().map(|it| name(it).to_string()).collect();
                format!("{}: {}", name(it), victims.join(", "))
            }
            None => "none".to_owned(),
        }
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
        let pods = |ending: &[u128]| -> Vec<_> {
            let candidate = |(number, priority, size)| candidate(number, priority, size, ending);
            all.into_iter().map(candidate).collect()
        };
        assert!(!admission.may_preempt(of(1), 0));
        assert!(admission.may_preempt(of(1), 1));
        assert!(!admission.may_preempt(of(101), 1));
        admission.push(uid(4), of(35), 5);
        assert_eq!(names(admission.turns()), ["4 waits: Insufficient memory"]);
        assert_eq!(room(&mut admission, &[(4, 5, 35)], &pods(&[])), "4: 3");
        // It is waited for, so that no more must go; and one that would fit waits as well,
        // if the room is needed.
        assert!(!admission.may_preempt(of(1), 9));
        admission.push(uid(5), of(6), 0);
        admission.push(uid(6), of(5), 0);
        assert_eq!(
            names(admission.turns()),
            [
                "4 waits: Insufficient memory",
                "5 waits: Insufficient memory",
                "6 runs"
            ]
        );
        admission.release(uid(3), of(30), 0);
        assert_eq!(
            names(admission.turns()),
            ["4 runs", "5 waits: Insufficient memory"]
        );
        // Nobody ends for what would not fit anyway.
        assert_eq!(room(&mut admission, &[(7, 9, 101)], &pods(&[])), "none");
        // Who is ending is waited for, before others must.
        assert_eq!(room(&mut admission, &[(8, 9, 30)], &pods(&[1])), "8: ");
        assert!(!admission.may_preempt(of(1), 9));
    }

    #[test]
    fn what_others_took_is_asked_for_again() {
        let mut admission = admission();
        admission.push(uid(1), of(60), 0);
        admission.push(uid(2), of(40), 0);
        assert_eq!(admission.turns().len(), 2);
        admission.push(uid(3), of(60), 5);
        assert_eq!(admission.turns().len(), 1);
        let pods = [candidate(1, 0, 60, &[]), candidate(2, 0, 40, &[])];
        assert_eq!(room(&mut admission, &[(3, 5, 60)], &pods), "3: 1");
        admission.push(uid(4), of(50), 9);
        admission.push(uid(5), of(10), 0);
        admission.release(uid(1), of(60), 0);
        // Nothing is kept for a pod that nobody ends for any more.
        assert_eq!(
            names(admission.turns()),
            ["4 runs", "3 waits: Insufficient memory", "5 runs"]
        );
        assert!(admission.may_preempt(of(60), 5));
    }

    #[test]
    fn who_can_never_have_room_holds_up_nobody() {
        let mut admission = admission();
        admission.push(uid(1), of(80), 9);
        admission.push(uid(2), of(20), 0);
        assert_eq!(admission.turns().len(), 2);
        let pods = [candidate(1, 9, 80, &[]), candidate(2, 0, 20, &[])];
        let waiters = [(3, 5, 50), (4, 5, 60), (5, 4, 15)];
        assert_eq!(room(&mut admission, &waiters, &pods), "5: 2");
        // As many as are looked at, and no more; equal ones count once.
        let mut many = vec![(3, 5, 50); 100];
        many.push((5, 4, 15));
        assert_eq!(room(&mut admission, &many, &pods), "5: 2");
        let mut many: Vec<_> = (0..8).map(|n| (3, 5, 58 - n)).collect();
        many.push((5, 4, 15));
        assert_eq!(room(&mut admission, &many, &pods), "none");
    }
}
