//! Problems that only the host can find, such as a body's template, told as the document's own problems are.

use crate::positions::{Positions, push_token};
use crate::problem::{Place, Position, Problem, Problems, StepPlace};
use crate::step::Step;

/// Finds the lines and columns of a document's settings.
#[derive(Debug)]
pub struct Locator<'a> {
    positions: Positions<'a>,
}

impl<'a> Locator<'a> {
    /// Of a document's text, which need not be right.
    pub fn of(document: &'a str) -> Self {
        let document = document.strip_prefix('\u{FEFF}').unwrap_or(document);
        Locator {
            positions: Positions::of(document),
        }
    }

    /// Puts a problem at a setting of a step, given by its JSON pointer from the step (`/params/body`); `inner` is a
    /// place within the text that stands there.
    pub fn place(&self, problem: Problem, step: &Step, setting: &str, inner: Option<Position>) -> Problem {
        let mut pointer = "/flowSpec".to_owned();
        push_token(&mut pointer, &step.path.branch);
        push_token(&mut pointer, &step.path.index.to_string());
        pointer.push_str(setting);
        let position = match inner {
            Some(inner) => self.positions.within(&pointer, inner),
            None => self.positions.value(&pointer),
        };
        let place = Place {
            branch: Some(step.path.branch.clone()),
            step: Some(StepPlace {
                index: step.path.index,
                id: step.id.clone(),
                name: step.name.clone(),
            }),
            parameter: Some(setting.to_owned()).filter(|setting| !setting.is_empty()),
        };
        problem.at(place, position)
    }
}

impl Problem {
    /// One that keeps the document from running, without a place yet.
    pub fn error(message: impl Into<String>) -> Self {
        Self::invalid(message)
    }

    /// One that does not, without a place yet.
    pub fn caution(message: impl Into<String>) -> Self {
        Self::warning(message)
    }

    /// The same with what to do now.
    #[must_use]
    pub fn with_advice(self, advice: impl Into<String>) -> Self {
        self.advise(advice)
    }
}

impl Problems {
    /// These and further ones, in the order of the text.
    #[must_use]
    pub fn and(self, further: impl IntoIterator<Item = Problem>) -> Self {
        let mut all: Vec<Problem> = self.iter().cloned().collect();
        all.extend(further);
        Self::sorted(all)
    }
}
