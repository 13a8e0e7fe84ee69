//! The functions: their names, the numbers of their arguments, which arguments are patterns, and what each function
//! does.

mod arguments;
mod compiled;
mod conditional;
mod dates;
mod escapes;
mod json;
mod math;
mod numerical;
mod strings;
mod utilities;

use std::borrow::Cow;

pub(crate) use arguments::Arguments;
pub(crate) use compiled::{Compiled, PatternKind};
use pipepost_suggest::nearest;
use serde_json::Value;

use crate::error::Failure;

/// The longest text that a function makes, in bytes. It bounds what a short expression can ask for.
pub(crate) const MAX_TEXT: usize = 32 * 1024 * 1024;

type Outcome<'a> = Result<Cow<'a, Value>, Failure>;

/// Turns a plain result into what functions return.
trait Answer {
    fn answer<'a>(self) -> Outcome<'a>;
}

impl<T: Into<Value>> Answer for T {
    fn answer<'a>(self) -> Outcome<'a> {
        Ok(Cow::Owned(self.into()))
    }
}

/// One function of the language.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// The arguments, as the signature shows them.
    parameters: &'static str,
    least: usize,
    /// `None` for any number.
    most: Option<usize>,
    /// Arguments that are compiled once when they are constant.
    pub(crate) patterns: &'static [(usize, PatternKind)],
    pub(crate) run: for<'a> fn(Arguments<'a>) -> Outcome<'a>,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Function {
    const fn new(
        name: &'static str,
        parameters: &'static str,
        least: usize,
        most: usize,
        run: for<'a> fn(Arguments<'a>) -> Outcome<'a>,
    ) -> Self {
        Self {
            name,
            parameters,
            least,
            most: Some(most),
            patterns: &[],
            run,
        }
    }

    const fn any_number(mut self) -> Self {
        self.most = None;
        self
    }

    const fn patterns(mut self, patterns: &'static [(usize, PatternKind)]) -> Self {
        self.patterns = patterns;
        self
    }

    fn signature(&self) -> String {
        format!("{}({})", self.name, self.parameters)
    }

    /// The error is what would have been right.
    pub(crate) fn check_count(&self, count: usize) -> Result<(), String> {
        if count >= self.least && self.most.is_none_or(|most| count <= most) {
            return Ok(());
        }
        let plural = |count| if count == 1 { "" } else { "s" };
        let right = match (self.least, self.most) {
            (0, Some(0)) => "none".to_owned(),
            (least, None) => format!("at least {least}"),
            (least, Some(most)) if least == most => format!("{least} argument{}", plural(least)),
            (least, Some(most)) => format!("{least} to {most} arguments"),
        };
        Err(format!("{right}: {}", self.signature()))
    }
}

/// The groups in which the functions are documented.
const GROUPS: [&[Function]; 8] = [
    conditional::FUNCTIONS,
    dates::FUNCTIONS,
    escapes::FUNCTIONS,
    json::FUNCTIONS,
    math::FUNCTIONS,
    numerical::FUNCTIONS,
    strings::FUNCTIONS,
    utilities::FUNCTIONS,
];

/// Names that Digibee lists without saying what they do.
const UNDOCUMENTED: [&str; 2] = ["ARRAYTOOBJECT", "OBJECTTOARRAY"];

/// Returns the signature of every function, such as `REPLACE(value, pattern, replacement)`.
pub fn function_signatures() -> impl Iterator<Item = String> {
    all().map(Function::signature)
}

/// The signature of one function.
pub(crate) fn signature(name: &str) -> Option<String> {
    all().find(|function| function.name == name).map(Function::signature)
}

/// The function with this name, whatever its case; the error is what would have been right.
pub(crate) fn find(name: &str) -> Result<&'static Function, String> {
    let name = name.to_ascii_uppercase();
    if let Some(function) = all().find(|function| function.name == name) {
        return Ok(function);
    }
    if UNDOCUMENTED.contains(&name.as_str()) {
        return Err("another function, because what this one does is not documented".to_owned());
    }
    Err(match nearest(&name, all().map(|function| function.name)) {
        Some(nearest) => format!("{nearest}, the nearest known"),
        None => "one of the known functions".to_owned(),
    })
}

fn all() -> impl Iterator<Item = &'static Function> {
    GROUPS.into_iter().flatten()
}
