//! Redirections: a table of ten descriptors, changed for a command and put back.

use super::ast::{Redirect, Target, Word};
use super::{DESCRIPTORS, Descriptor, Flow, Shell};
use crate::paths;
use crate::stream::{Input, reason};

impl Shell {
    /// Changes the descriptors; `Ok(false)` if one could not be, which was said.
    pub(super) fn redirect(&mut self, redirects: &[Redirect]) -> Result<bool, Flow> {
        for redirect in redirects {
            if !self.redirect_one(redirect)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn redirect_one(&mut self, redirect: &Redirect) -> Result<bool, Flow> {
        let number = redirect.descriptor;
        let descriptor = match &redirect.target {
            Target::Read(word) => {
                let path = self.expand_single(word)?;
                match paths::open(&paths::normalize(&self.directory, &path), &self.input()) {
                    Ok(input) => Descriptor::Input(input),
                    Err(error) => {
                        return self
                            .refuse(&format!("can't open {path}: {}", reason_to_open(&error)));
                    }
                }
            }
            Target::Write(word) => match self.create(word, false)? {
                Some(descriptor) => descriptor,
                None => return Ok(false),
            },
            Target::Append(word) => match self.create(word, true)? {
                Some(descriptor) => descriptor,
                None => return Ok(false),
            },
            Target::Both(word) => match self.create(word, false)? {
                Some(descriptor) => {
                    self.descriptors[2] = Some(descriptor.clone());
                    descriptor
                }
                None => return Ok(false),
            },
            Target::Duplicate(word) => return self.duplicate(number, word),
            Target::Here(word) => {
                let text = self.expand_single(&word.borrow())?;
                Descriptor::Input(Input::bytes(text.into_bytes()))
            }
            Target::HereString(word) => {
                let text = self.expand_single(word)?;
                Descriptor::Input(Input::bytes(format!("{text}\n").into_bytes()))
            }
        };
        self.descriptors[number] = Some(descriptor);
        Ok(true)
    }

    fn create(&mut self, word: &Word, append: bool) -> Result<Option<Descriptor>, Flow> {
        let path = &self.expand_single(word)?;
        let outputs = (&self.output(1), &self.output(2));
        match paths::create(&paths::normalize(&self.directory, path), append, outputs) {
            Ok(output) => Ok(Some(Descriptor::Output(output))),
            Err(error) => {
                self.say(&format!(
                    "can't create {path}: {}",
                    reason_to_create(&error)
                ));
                Ok(None)
            }
        }
    }

    fn duplicate(&mut self, number: usize, word: &Word) -> Result<bool, Flow> {
        let source = self.expand_single(word)?;
        if source == "-" {
            self.descriptors[number] = None;
            return Ok(true);
        }
        let from = source
            .parse()
            .ok()
            .filter(|from: &usize| *from < DESCRIPTORS);
        match from.and_then(|from| self.descriptors[from].clone()) {
            Some(descriptor) => {
                self.descriptors[number] = Some(descriptor);
                Ok(true)
            }
            None => self.refuse(&format!("{source}: Bad file descriptor")),
        }
    }

    fn refuse(&self, message: &str) -> Result<bool, Flow> {
        self.say(message);
        Ok(false)
    }
}

fn reason_to_open(error: &std::io::Error) -> String {
    reason(error).replace("No such file or directory", "no such file")
}

fn reason_to_create(error: &std::io::Error) -> String {
    reason(error).replace("No such file or directory", "nonexistent directory")
}
