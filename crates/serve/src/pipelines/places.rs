//! What only one document of a directory can have: its name, and each of its routes.

use std::collections::BTreeMap;

use crate::message::Route;
use crate::trigger::{Start, Trigger};

/// A name or a route of a document.
#[derive(Debug, Clone)]
pub struct Place {
    key: Key,
    /// As it is written.
    text: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Name(String),
    /// What its parameters are called makes no difference.
    Route(Vec<Option<String>>),
}

impl Place {
    /// Returns all places that a pipeline has.
    pub fn all_of(name: &str, trigger: &Trigger) -> Vec<Self> {
        let named = Self {
            key: Key::Name(name.to_owned()),
            text: name.to_owned(),
        };
        let of_route = |route: &Route| Self {
            key: Key::Route(route.form(name)),
            text: route.as_str().to_owned(),
        };
        let routes = match &trigger.start {
            Start::Http(http) => http.routes.iter().map(of_route).collect(),
            _ => Vec::new(),
        };
        [named].into_iter().chain(routes).collect()
    }

    /// Checks whether it is one of these.
    pub fn is_one_of(&self, others: &[Self]) -> bool {
        others.iter().any(|other| other.key == self.key)
    }

    fn taken_by(&self, other: &str) -> String {
        let text = &self.text;
        match self.key {
            Key::Name(_) => {
                format!("`{other}` is a pipeline of the name `{text}` too; give one of them another `name`.")
            }
            Key::Route(_) => format!("`{other}` has the route `{text}` too; give one of them another route."),
        }
    }
}

/// Which file has which place.
#[derive(Debug, Default)]
pub struct Places(BTreeMap<Key, String>);

impl Places {
    /// Gives these places to a file: all of them or none.
    ///
    /// # Errors
    /// Returns a sentence for each place that another file has.
    pub fn take(&mut self, file: &str, places: &[Place]) -> Result<(), Vec<String>> {
        let of_another = |place: &Place| {
            let has = self.0.get(&place.key).filter(|has| *has != file)?;
            Some(place.taken_by(has))
        };
        let problems: Vec<String> = places.iter().filter_map(of_another).collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        let taken = places.iter().map(|place| (place.key.clone(), file.to_owned()));
        self.0.extend(taken);
        Ok(())
    }
}
