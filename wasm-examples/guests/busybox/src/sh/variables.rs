//! Variables: exported, read-only, and those of functions.

use std::collections::BTreeMap;

use crate::host;

#[derive(Clone, Default)]
struct Variable {
    /// `None` is one that was declared only.
    value: Option<String>,
    exported: bool,
    read_only: bool,
}

/// All variables. `RANDOM` is one that is never the same.
#[derive(Clone)]
pub(super) struct Variables {
    all: BTreeMap<String, Variable>,
    /// What `local` hid, by call of a function.
    hidden: Vec<Vec<(String, Option<Variable>)>>,
    random: u32,
}

impl Variables {
    pub(super) fn of(environment: &[(String, String)]) -> Self {
        let exported = |value: &String| Variable {
            value: Some(value.clone()),
            exported: true,
            read_only: false,
        };
        let mut seed = [0; 4];
        host::random(&mut seed);
        Self {
            all: environment
                .iter()
                .map(|(name, value)| (name.clone(), exported(value)))
                .collect(),
            hidden: Vec::new(),
            random: u32::from_le_bytes(seed),
        }
    }

    pub(super) fn get(&mut self, name: &str) -> Option<String> {
        if name == "RANDOM" {
            return Some(self.next_random().to_string());
        }
        self.peek(name).map(str::to_owned)
    }

    /// As [`Variables::get`], but for `RANDOM`.
    pub(super) fn peek(&self, name: &str) -> Option<&str> {
        self.all
            .get(name)
            .and_then(|variable| variable.value.as_deref())
    }

    /// Sets a variable; `false` if it is read-only.
    pub(super) fn set(&mut self, name: &str, value: &str) -> bool {
        if name == "RANDOM" {
            self.random = value.parse().unwrap_or(0);
            return true;
        }
        match self.all.get_mut(name) {
            Some(variable) if variable.read_only => return false,
            Some(variable) => variable.value = Some(value.to_owned()),
            None => {
                let variable = Variable {
                    value: Some(value.to_owned()),
                    ..Variable::default()
                };
                self.all.insert(name.to_owned(), variable);
            }
        }
        true
    }

    /// `false` if it is read-only.
    pub(super) fn unset(&mut self, name: &str) -> bool {
        if self
            .all
            .get(name)
            .is_some_and(|variable| variable.read_only)
        {
            return false;
        }
        self.all.remove(name);
        true
    }

    pub(super) fn export(&mut self, name: &str) {
        self.all.entry(name.to_owned()).or_default().exported = true;
    }

    pub(super) fn export_value(&mut self, name: &str, value: &str) {
        self.set(name, value);
        self.export(name);
    }

    pub(super) fn protect(&mut self, name: &str) {
        self.all.entry(name.to_owned()).or_default().read_only = true;
    }

    /// What applets get.
    pub(super) fn exported(&self) -> Vec<(String, String)> {
        self.all
            .iter()
            .filter(|(_, variable)| variable.exported)
            .filter_map(|(name, variable)| Some((name.clone(), variable.value.clone()?)))
            .collect()
    }

    /// All that have a value.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.all
            .iter()
            .filter_map(|(name, variable)| Some((name.as_str(), variable.value.as_deref()?)))
    }

    /// A function begins.
    pub(super) fn enter(&mut self) {
        self.hidden.push(Vec::new());
    }

    /// A function ends: what it hid comes back.
    pub(super) fn leave(&mut self) {
        for (name, variable) in self.hidden.pop().unwrap_or_default().into_iter().rev() {
            match variable {
                Some(variable) => self.all.insert(name, variable),
                None => self.all.remove(&name),
            };
        }
    }

    /// Hides `name` until the function ends; `false` outside of functions.
    pub(super) fn hide(&mut self, name: &str) -> bool {
        let Some(hidden) = self.hidden.last_mut() else {
            return false;
        };
        hidden.push((name.to_owned(), self.all.get(name).cloned()));
        true
    }

    /// Makes `name` what it was.
    pub(super) fn restore(&mut self, name: &str, before: &Self) {
        match before.all.get(name) {
            Some(variable) => self.all.insert(name.to_owned(), variable.clone()),
            None => self.all.remove(name),
        };
    }

    /// One of 32768 numbers, as all shells have it.
    fn next_random(&mut self) -> u32 {
        self.random = self.random.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        self.random >> 16 & 0x7fff
    }
}
