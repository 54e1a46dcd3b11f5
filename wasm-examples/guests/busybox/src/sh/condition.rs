//! `[[ … ]]`: like `test`, but nothing in it is split, `==` takes a pattern and
//! `=~` a regular expression.

use super::ast::{Condition, Word};
use super::{Run, Shell};
use crate::pattern;
use crate::regex::{Dialect, Regex};
use crate::world::Stop;

impl Shell {
    pub(super) fn condition(&mut self, condition: &Condition) -> Run {
        match condition {
            Condition::Or(left, right) => match self.condition(left)? {
                0 => Ok(0),
                _ => self.condition(right),
            },
            Condition::And(left, right) => match self.condition(left)? {
                0 => self.condition(right),
                status => Ok(status),
            },
            Condition::Not(inner) => Ok(i32::from(self.condition(inner)? == 0)),
            Condition::Test(words) => self.condition_test(words),
        }
    }

    fn condition_test(&mut self, words: &[Word]) -> Run {
        if let [left, operator, right] = words {
            let left = self.expand_single(left)?;
            match operator.plain() {
                Some("=" | "==") => {
                    return Ok(i32::from(!pattern::matches(
                        &self.expand_pattern(right)?,
                        &left,
                    )));
                }
                Some("!=") => {
                    return Ok(i32::from(pattern::matches(
                        &self.expand_pattern(right)?,
                        &left,
                    )));
                }
                Some("=~") => {
                    let right = self.expand_single(right)?;
                    return match Regex::new(&right, Dialect::Extended, false) {
                        Ok(regex) => Ok(i32::from(regex.find(&left, 0).is_none())),
                        Err(mistake) => self.error(2, &format!("[[: {right}: {mistake}")),
                    };
                }
                _ => {}
            }
        }
        let mut args = Vec::new();
        for word in words {
            args.push(self.expand_single(word)?);
        }
        let world = self.world("[[", Vec::new());
        match crate::applets::test(&world, &args) {
            Ok(status) | Err(Stop::Said(status)) => Ok(status),
            Err(Stop::Pipe) => Ok(1),
        }
    }
}
