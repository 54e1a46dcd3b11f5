//! Jobs that wait for room, by namespace.
//!
//! Those for which something that others free can make room stand in line, grouped by what
//! their pods take: so whoever has freed something asks each group once, however many stand
//! there. The others stand aside until somebody decides otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::{HashMap, HashSet};
use wasmjob_api::Uid;
use wasmjob_controllers::admission::{Likeness, PodClaim, Quota};

/// Where a Job waits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// In line, with that number, among those of that kind.
    Line(u64, Arc<Likeness>),
    /// Until what decides about newcomers is another.
    Aside,
}

/// The lines of all namespaces.
#[derive(Default)]
pub(super) struct Lines {
    lines: HashMap<Arc<str>, Line>,
    aside: HashMap<Arc<str>, BTreeSet<Uid>>,
    next: u64,
    /// Namespaces in which there may be room that was not there.
    freed: BTreeSet<Arc<str>>,
    /// Namespaces about whose newcomers it is to be decided anew.
    decided: BTreeSet<Arc<str>>,
    /// Those of them that have not been looked at since, the next one last.
    again: Vec<Uid>,
}

type Line = HashMap<Arc<Likeness>, Group>;

/// Jobs in line whose pods take the same.
struct Group {
    claim: Arc<PodClaim>,
    places: BTreeMap<u64, Uid>,
}

impl Lines {
    /// Whether nobody is to be looked at.
    pub(super) fn is_quiet(&self) -> bool {
        self.freed.is_empty() && self.decided.is_empty() && self.again.is_empty()
    }

    /// There may be room in the namespace that was not there.
    pub(super) fn free(&mut self, namespace: &Arc<str>) {
        if self.lines.contains_key(namespace) {
            self.freed.insert(Arc::clone(namespace));
        }
    }

    /// What decides about newcomers of the namespace is another.
    pub(super) fn decide_anew(&mut self, namespace: &Arc<str>) {
        if self.aside.contains_key(namespace) || self.lines.contains_key(namespace) {
            self.decided.insert(Arc::clone(namespace));
        }
    }

    /// What decides about all newcomers is another.
    pub(super) fn decide_all_anew(&mut self) {
        let namespaces = self.aside.keys().chain(self.lines.keys());
        self.decided.extend(namespaces.cloned());
    }

    /// A Job that waited at `before` waits in line from now on, if others can make room for
    /// what its pods take, or else aside. Who stands in line keeps the number that it has.
    pub(super) fn wait(
        &mut self,
        namespace: &Arc<str>,
        uid: Uid,
        before: Option<Place>,
        claim: Option<&Arc<PodClaim>>,
    ) -> Place {
        let kind = claim.map(|claim| Arc::new(claim.likeness()));
        match (&before, &kind) {
            (Some(Place::Line(_, old)), Some(new)) if old == new => {}
            (Some(Place::Aside), None) => {}
            (Some(old), _) => self.leave(namespace, uid, old),
            (None, _) => {}
        }
        let (Some(kind), Some(claim)) = (kind, claim) else {
            let aside = self.aside.entry(Arc::clone(namespace));
            aside.or_default().insert(uid);
            return Place::Aside;
        };
        let number = match before {
            Some(Place::Line(number, _)) => number,
            _ => {
                self.next += 1;
                self.next
            }
        };
        let line = self.lines.entry(Arc::clone(namespace)).or_default();
        let group = line.entry(Arc::clone(&kind)).or_insert_with(|| Group {
            claim: Arc::clone(claim),
            places: BTreeMap::new(),
        });
        group.places.insert(number, uid);
        Place::Line(number, kind)
    }

    /// A Job waits no more where it did.
    pub(super) fn leave(&mut self, namespace: &Arc<str>, uid: Uid, place: &Place) {
        match place {
            Place::Line(number, kind) => {
                let Some(line) = self.lines.get_mut(namespace) else {
                    return;
                };
                if let Some(group) = line.get_mut(kind) {
                    group.places.remove(number);
                    if group.places.is_empty() {
                        line.remove(kind);
                    }
                }
                if line.is_empty() {
                    self.lines.remove(namespace);
                }
            }
            Place::Aside => {
                if let Some(aside) = self.aside.get_mut(namespace) {
                    aside.remove(&uid);
                    if aside.is_empty() {
                        self.aside.remove(namespace);
                    }
                }
            }
        }
    }

    /// Takes at most `count` of those who wait where it is to be decided anew: who stands in
    /// line first.
    pub(super) fn take_decided(&mut self, count: usize) -> Vec<Uid> {
        if !self.decided.is_empty() {
            self.gather_decided();
        }
        let mut taken = self.again.split_off(self.again.len().saturating_sub(count));
        taken.reverse();
        taken
    }

    fn gather_decided(&mut self) {
        let mut all = Vec::new();
        for namespace in std::mem::take(&mut self.decided) {
            let groups = self.lines.get(&namespace).into_iter().flatten();
            let mut line: Vec<_> = groups.flat_map(|(_, group)| &group.places).collect();
            line.sort_unstable();
            all.extend(line.into_iter().map(|(_, uid)| *uid));
            all.extend(self.aside.get(&namespace).into_iter().flatten());
        }
        let anew: HashSet<Uid> = all.iter().copied().collect();
        self.again.retain(|uid| !anew.contains(uid));
        all.reverse();
        // Who has waited for it longer comes first.
        all.append(&mut self.again);
        self.again = all;
    }

    /// Takes the namespaces in which there may be room.
    pub(super) fn take_freed(&mut self) -> BTreeSet<Arc<str>> {
        std::mem::take(&mut self.freed)
    }

    /// The first of a line, at most `count`, that find room for a pod each in what is `left`
    /// of the quotas; past those for which it is too small.
    pub(super) fn offer(
        &mut self,
        namespace: &Arc<str>,
        mut left: Vec<Quota>,
        count: usize,
    ) -> Vec<Uid> {
        let mut offered = Vec::new();
        let Some(line) = self.lines.get(namespace) else {
            return offered;
        };
        let fits = |left: &[Quota], claim: &PodClaim| left.iter().all(|it| it.room(claim) > 0);
        let mut next = BTreeMap::new();
        for group in line.values().filter(|group| fits(&left, &group.claim)) {
            let mut places = group.places.iter();
            if let Some((number, uid)) = places.next() {
                next.insert(*number, (*uid, &group.claim, places));
            }
        }
        while let Some((_, (uid, claim, mut places))) = next.pop_first() {
            if !fits(&left, claim) {
                continue;
            }
            if offered.len() == count {
                self.freed.insert(Arc::clone(namespace));
                break;
            }
            for quota in &mut left {
                quota.pod_changed(claim, None, Some(true));
            }
            offered.push(uid);
            if let Some((number, uid)) = places.next() {
                next.insert(*number, (*uid, claim, places));
            }
        }
        offered
    }
}

#[cfg(test)]
mod tests {
    use wasmjob_api::k8s_openapi::api::core::v1 as core;

    use super::*;

    fn claim(memory: &str) -> Arc<PodClaim> {
        let json = format!(
            r#"{{"containers":[{{"name":"c","resources":{{"requests":{{"memory":"{memory}"}}}}}}]}}"#
        );
        let spec: core::PodSpec = serde_json::from_str(&json).unwrap();
        Arc::new(PodClaim::of(&spec))
    }

    fn quota(memory: &str) -> Vec<Quota> {
        let json = format!(
            r#"{{"metadata":{{"name":"q"}},"spec":{{"hard":{{"requests.memory":"{memory}"}}}}}}"#
        );
        vec![Quota::read(&serde_json::from_str(&json).unwrap())]
    }

    fn uid(number: u128) -> Uid {
        Uid::from_random(number)
    }

    /// Jobs whose pods take so much, in that order.
    fn lines(memory: &[&str]) -> (Lines, Arc<str>, Vec<Place>) {
        let (mut lines, namespace) = (Lines::default(), Arc::from("n"));
        let each = memory.iter().zip(0..);
        let places = each
            .map(|(memory, number)| lines.wait(&namespace, uid(number), None, Some(&claim(memory))))
            .collect();
        (lines, namespace, places)
    }

    #[test]
    fn room_is_for_the_first_for_which_it_is_enough() {
        let (mut lines, namespace, places) = lines(&["4Gi", "1Gi", "4Gi", "1024Mi", "1Gi", "2Gi"]);
        assert!(lines.is_quiet());
        let mut offer = |memory, count| lines.offer(&namespace, quota(memory), count);
        assert_eq!(offer("512Mi", 9), []);
        assert_eq!(offer("1Gi", 9), [uid(1)]);
        assert_eq!(offer("2Gi", 9), [uid(1), uid(3)]);
        assert_eq!(offer("5Gi", 9), [uid(0), uid(1)]);
        assert_eq!(offer("4Gi", 9), [uid(0)]);
        assert_eq!(lines.offer(&namespace, Vec::new(), 9).len(), 6);
        assert!(lines.is_quiet());
        // The rest is for the next turn.
        assert_eq!(lines.offer(&namespace, quota("9Gi"), 2), [uid(0), uid(1)]);
        assert_eq!(lines.take_freed().len(), 1);
        lines.leave(&namespace, uid(1), &places[1]);
        assert_eq!(lines.offer(&namespace, quota("1Gi"), 9), [uid(3)]);
        for (place, number) in places.iter().zip(0..) {
            lines.leave(&namespace, uid(number), place);
        }
        lines.free(&namespace);
        assert!(lines.is_quiet());
    }

    #[test]
    fn who_stands_aside_is_asked_when_something_is_decided() {
        let (mut lines, namespace, places) = lines(&["1Gi", "2Gi"]);
        let place = lines.wait(&namespace, uid(0), Some(places[0].clone()), None);
        assert_eq!(place, Place::Aside);
        lines.free(&namespace);
        assert_eq!(lines.take_freed().len(), 1);
        assert_eq!(lines.offer(&namespace, Vec::new(), 9), [uid(1)]);
        assert_eq!(lines.take_decided(9), []);
        lines.decide_all_anew();
        assert_eq!(lines.take_decided(1), [uid(1)]);
        assert!(!lines.is_quiet());
        assert_eq!(lines.take_decided(1), [uid(0)]);
        assert!(lines.is_quiet());
        // Who has not been looked at since is looked at once.
        lines.decide_all_anew();
        assert_eq!(lines.take_decided(1), [uid(1)]);
        lines.decide_all_anew();
        assert_eq!(lines.take_decided(9), [uid(1), uid(0)]);
        // It comes back as the last; who takes something else by now keeps its number.
        let last = lines.wait(&namespace, uid(0), Some(place), Some(&claim("1Gi")));
        let first = lines.wait(
            &namespace,
            uid(1),
            Some(places[1].clone()),
            Some(&claim("1Gi")),
        );
        assert!(matches!(
            (&first, &last),
            (Place::Line(2, _), Place::Line(3, _))
        ));
        assert_eq!(lines.offer(&namespace, Vec::new(), 9), [uid(1), uid(0)]);
        lines.leave(&namespace, uid(0), &last);
        lines.leave(&namespace, uid(1), &first);
        lines.decide_anew(&namespace);
        assert!(lines.is_quiet());
    }
}
