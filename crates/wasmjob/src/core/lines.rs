//! Jobs that wait for room, by namespace.
//!
//! Those for which something that others free can make room stand in line. The others
//! stand aside until somebody decides otherwise: in line they would only be in the way.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use foldhash::HashMap;
use wasmjob_api::Uid;

/// Where a Job waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// In line, at this number.
    Line(u64),
    /// Until what decides about newcomers is another.
    Aside,
}

/// The lines of all namespaces.
#[derive(Default)]
pub(super) struct Lines {
    lines: HashMap<Arc<str>, BTreeMap<u64, Uid>>,
    aside: HashMap<Arc<str>, BTreeSet<Uid>>,
    next: u64,
    /// Lines along which room is offered.
    walks: BTreeMap<Arc<str>, Walk>,
    /// Namespaces about whose newcomers it is to be decided anew.
    decided: BTreeSet<Arc<str>>,
}

/// How far along a line room was offered.
#[derive(Default)]
struct Walk {
    /// To those up to here; nobody yet.
    upto: Option<u64>,
    /// More was freed meanwhile: it is offered to the first ones again.
    again: bool,
}

impl Lines {
    /// Whether there is room to be offered.
    pub(super) fn is_quiet(&self) -> bool {
        self.walks.is_empty() && self.decided.is_empty()
    }

    /// There may be room in the namespace that was not there.
    pub(super) fn free(&mut self, namespace: &Arc<str>) {
        match self.walks.get_mut(namespace) {
            Some(walk) => walk.again |= walk.upto.is_some(),
            None if self.lines.contains_key(namespace) => {
                self.walks.insert(Arc::clone(namespace), Walk::default());
            }
            None => {}
        }
    }

    /// What decides about newcomers of the namespace is another.
    pub(super) fn decide_anew(&mut self, namespace: &Arc<str>) {
        self.free(namespace);
        if self.aside.contains_key(namespace) {
            self.decided.insert(Arc::clone(namespace));
        }
    }

    /// What decides about all newcomers is another.
    pub(super) fn decide_all_anew(&mut self) {
        let namespaces: Vec<_> = self.lines.keys().cloned().collect();
        namespaces.iter().for_each(|namespace| self.free(namespace));
        self.decided.extend(self.aside.keys().cloned());
    }

    /// A Job that waits `before` waits in line from now on, or aside; it keeps the place
    /// that it has.
    pub(super) fn wait(
        &mut self,
        namespace: &Arc<str>,
        uid: Uid,
        before: Option<Place>,
        is_in_line: bool,
    ) -> Place {
        match (before, is_in_line) {
            (Some(place @ Place::Line(_)), true) | (Some(place @ Place::Aside), false) => {
                return place;
            }
            (Some(place), _) => self.leave(namespace, uid, place),
            (None, _) => {}
        }
        let namespace = Arc::clone(namespace);
        if !is_in_line {
            self.aside.entry(namespace).or_default().insert(uid);
            return Place::Aside;
        }
        let number = self.next;
        self.next += 1;
        self.lines.entry(namespace).or_default().insert(number, uid);
        Place::Line(number)
    }

    /// A Job waits no more where it did.
    pub(super) fn leave(&mut self, namespace: &Arc<str>, uid: Uid, place: Place) {
        match place {
            Place::Line(number) => {
                if let Some(line) = self.lines.get_mut(namespace) {
                    line.remove(&number);
                    if line.is_empty() {
                        self.lines.remove(namespace);
                    }
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

    /// Takes those that stood aside where it is to be decided anew.
    pub(super) fn take_aside(&mut self) -> Vec<Uid> {
        let decided = std::mem::take(&mut self.decided);
        let aside = decided.iter().filter_map(|it| self.aside.get(it));
        aside.flatten().copied().collect()
    }

    /// The namespaces in which room is to be offered.
    pub(super) fn walked(&self) -> Vec<Arc<str>> {
        self.walks.keys().cloned().collect()
    }

    /// The next of a line to be offered room, at most `count`.
    pub(super) fn ahead(&self, namespace: &Arc<str>, count: usize) -> Vec<(u64, Uid)> {
        let upto = self.walks.get(namespace).and_then(|walk| walk.upto);
        let after = upto.map_or(Bound::Unbounded, Bound::Excluded);
        let line = self.lines.get(namespace).into_iter();
        let rest = line.flat_map(|line| line.range((after, Bound::Unbounded)));
        rest.take(count).map(|(at, uid)| (*at, *uid)).collect()
    }

    /// The walk has come to that number, or else to its end.
    pub(super) fn came_to(&mut self, namespace: &Arc<str>, number: Option<u64>) {
        let Some(walk) = self.walks.get_mut(namespace) else {
            return;
        };
        if number.is_some() {
            walk.upto = number;
        } else if walk.again {
            *walk = Walk::default();
        } else {
            self.walks.remove(namespace);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: u64) -> (Lines, Arc<str>) {
        let (mut lines, namespace) = (Lines::default(), Arc::from("n"));
        for number in 0..count {
            let uid = Uid::from_random(number.into());
            let place = lines.wait(&namespace, uid, None, true);
            assert_eq!(place, Place::Line(number));
        }
        (lines, namespace)
    }

    /// Offers room to at most `count` more.
    fn walk(lines: &mut Lines, namespace: &Arc<str>, count: usize) -> Vec<u64> {
        let these = lines.ahead(namespace, count);
        let last = these.last().filter(|_| these.len() == count);
        lines.came_to(namespace, last.map(|(number, _)| *number));
        these.iter().map(|(number, _)| *number).collect()
    }

    #[test]
    fn a_walk_goes_along_the_line_and_ends() {
        let (mut lines, namespace) = lines(5);
        assert!(lines.is_quiet());
        lines.free(&namespace);
        assert_eq!(walk(&mut lines, &namespace, 2), [0, 1]);
        // What is freed meanwhile holds up nobody who stands behind.
        lines.free(&namespace);
        assert_eq!(walk(&mut lines, &namespace, 2), [2, 3]);
        assert_eq!(walk(&mut lines, &namespace, 2), [4]);
        assert_eq!(walk(&mut lines, &namespace, 9), [0, 1, 2, 3, 4]);
        assert!(lines.is_quiet());
    }

    #[test]
    fn who_stands_aside_is_asked_when_something_is_decided() {
        let (mut lines, namespace) = lines(2);
        let uid = Uid::from_random(0);
        let place = lines.wait(&namespace, uid, Some(Place::Line(0)), false);
        assert_eq!(place, Place::Aside);
        lines.free(&namespace);
        assert_eq!(walk(&mut lines, &namespace, 9), [1]);
        assert_eq!(lines.take_aside(), []);
        lines.decide_all_anew();
        assert_eq!(lines.take_aside(), [uid]);
        assert_eq!(walk(&mut lines, &namespace, 9), [1]);
        // It comes back as the last.
        let place = lines.wait(&namespace, uid, Some(place), true);
        assert_eq!(place, Place::Line(2));
        lines.leave(&namespace, uid, place);
        lines.leave(&namespace, uid, Place::Line(1));
        lines.decide_anew(&namespace);
        assert!(lines.is_quiet());
    }
}
