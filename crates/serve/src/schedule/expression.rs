//! Reads cron expressions of both kinds, and says which field is wrong.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

/// The reason why an expression starts nothing. Each is a whole sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// It has another number of fields.
    #[error(
        "`{expression}` has {fields} fields; write 5 (minute hour day month weekday), 6 (second first) or 7 (year last)."
    )]
    Fields {
        /// The expression.
        expression: String,
        /// How many fields it has.
        fields: usize,
    },
    /// A field holds something else than it takes.
    #[error("The {field} of `{expression}` is `{value}`: {reason}.")]
    Field {
        /// The expression.
        expression: String,
        /// The field's name.
        field: &'static str,
        /// What the field holds.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Quartz knows no expression with both a day of the month and a weekday.
    #[error("`{0}` names a day of the month and a weekday; with 6 or 7 fields one of them must be `?`.")]
    BothDays(String),
    /// A short name that is not one.
    #[error("`{0}` is not a schedule; the short ones are @yearly, @monthly, @weekly, @daily and @hourly.")]
    ShortName(String),
    /// No time matches any more.
    #[error("`{0}` never fires: no time from now on matches it.")]
    Never(String),
    /// There is no such zone.
    #[error("`{0}` is not the name of a time zone; write one of the IANA names, such as `America/Sao_Paulo`.")]
    Zone(String),
}

/// What a change of the clock means to a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It names its hours.
    WallClock,
    /// Every hour.
    Interval,
}

/// An expression that was read.
#[derive(Debug, Clone)]
pub(super) struct Expression {
    text: String,
    cron: Cron,
    kind: Kind,
}

/// A field: its name, its least and its greatest value.
struct Field {
    name: &'static str,
    least: u16,
    greatest: u16,
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

const SECOND: Field = Field::numbers("second", 0, 59);
const MINUTE: Field = Field::numbers("minute", 0, 59);
const HOUR: Field = Field::numbers("hour", 0, 23);
const DAY: Field = Field::numbers("day of the month", 1, 31);
const MONTH: Field = Field {
    name: "month",
    least: 1,
    greatest: 12,
    names: &MONTHS,
};
const QUARTZ_WEEKDAY: Field = Field {
    name: "weekday",
    least: 1,
    greatest: 7,
    names: &WEEKDAYS,
};
const UNIX_WEEKDAY: Field = Field {
    name: "weekday",
    least: 0,
    greatest: 7,
    names: &WEEKDAYS,
};
const YEAR: Field = Field::numbers("year", 1970, 2099);

const QUARTZ: [Field; 7] = [SECOND, MINUTE, HOUR, DAY, MONTH, QUARTZ_WEEKDAY, YEAR];
const UNIX: [Field; 5] = [MINUTE, HOUR, DAY, MONTH, UNIX_WEEKDAY];

impl Expression {
    pub(super) fn new(text: &str) -> Result<Self, ScheduleError> {
        let upper = text.trim().to_uppercase();
        let written = match upper.as_str() {
            "@YEARLY" | "@ANNUALLY" => "0 0 1 1 *",
            "@MONTHLY" => "0 0 1 * *",
            "@WEEKLY" => "0 0 * * 0",
            "@DAILY" | "@MIDNIGHT" => "0 0 * * *",
            "@HOURLY" => "0 * * * *",
            name if name.starts_with('@') => return Err(ScheduleError::ShortName(text.to_owned())),
            other => other,
        };
        let values: Vec<&str> = written.split_whitespace().collect();
        let (fields, is_quartz): (&[Field], bool) = match values.len() {
            5 => (&UNIX, false),
            6 => (&QUARTZ[..6], true),
            7 => (&QUARTZ, true),
            fields => {
                return Err(ScheduleError::Fields {
                    expression: text.to_owned(),
                    fields,
                });
            }
        };
        let mut normal = Vec::with_capacity(values.len());
        for (field, value) in fields.iter().zip(&values) {
            let wrong = |reason: String| ScheduleError::Field {
                expression: text.to_owned(),
                field: field.name,
                value: (*value).to_owned(),
                reason,
            };
            normal.push(field.normal(value, is_quartz).map_err(wrong)?);
        }
        if is_quartz && names_a_day(values[3]) && names_a_day(values[5]) {
            return Err(ScheduleError::BothDays(text.to_owned()));
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Optional)
            .year(Year::Optional)
            .alternative_weekdays(is_quartz)
            .sloppy_ranges(true)
            .build();
        let read = |values: &[String]| parser.parse(&values.join(" "));
        let cron = read(&normal).map_err(|error| {
            // Which field it is shows when each is read among stars.
            let is_wrong = |&at: &usize| {
                let mut stars = vec!["*".to_owned(); normal.len()];
                stars[at].clone_from(&normal[at]);
                read(&stars).is_err()
            };
            let at = (0..normal.len()).find(is_wrong).unwrap_or_default();
            ScheduleError::Field {
                expression: text.to_owned(),
                field: fields[at].name,
                value: values[at].to_owned(),
                reason: reason(&error),
            }
        })?;
        // A step names hours too: `2/12` are 2 and 14.
        let is_interval = cron.pattern.hours.values().len() == 24;
        Ok(Self {
            text: text.to_owned(),
            cron,
            kind: if is_interval { Kind::Interval } else { Kind::WallClock },
        })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn cron(&self) -> &Cron {
        &self.cron
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }
}

fn names_a_day(value: &str) -> bool {
    !matches!(value, "*" | "?")
}

/// croner's reason without its heading and its full stop.
fn reason(error: &croner::errors::CronError) -> String {
    let told = error.to_string();
    let (_, reason) = told.split_once(": ").unwrap_or(("", &told));
    let mut characters = reason.trim_end_matches('.').chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => "it cannot be read".to_owned(),
    }
}

impl Field {
    const fn numbers(name: &'static str, least: u16, greatest: u16) -> Self {
        Self {
            name,
            least,
            greatest,
            names: &[],
        }
    }

    /// The value in the form that croner reads: names as numbers, and ranges over the end (`FRI-MON`, `22-2`) as lists.
    fn normal(&self, value: &str, is_quartz: bool) -> Result<String, String> {
        // croner's own sign for "both days", which neither Quartz nor Unix knows.
        if value.starts_with('+') {
            return Err("`+` has no meaning here".to_owned());
        }
        if self.name == DAY.name && value.contains("L-") {
            return Err(
                "a distance to the last day, such as `L-3`, is not supported; write the days, or `L` or `LW`"
                    .to_owned(),
            );
        }
        if self.name == QUARTZ_WEEKDAY.name && is_quartz && value == "L" {
            return Ok("7".to_owned());
        }
        let parts: Result<Vec<String>, String> = value.split(',').map(|part| self.part(part)).collect();
        parts.map(|parts| parts.join(","))
    }

    fn part(&self, part: &str) -> Result<String, String> {
        if part.is_empty() {
            return Err("a part between commas is empty".to_owned());
        }
        let (range, step) = match part.split_once('/') {
            None => (part, None),
            Some((range, step)) => (range, Some(self.step(step)?)),
        };
        if range.contains(['L', 'W', '#', '*', '?']) && !self.names.contains(&range) {
            return Ok(self.numbered(part));
        }
        let Some((from, to)) = range.split_once('-') else {
            if !range.is_empty() {
                self.number(range)?;
            }
            return Ok(self.numbered(part));
        };
        let (from, to) = (self.number(from)?, self.number(to)?);
        if from <= to {
            return Ok(self.numbered(part));
        }
        if self.name == YEAR.name {
            return Err("the range ends before it begins".to_owned());
        }
        let values = (from..=self.greatest).chain(self.least..=to);
        let kept: Vec<String> = values
            .step_by(usize::from(step.unwrap_or(1)))
            .map(|value| value.to_string())
            .collect();
        Ok(kept.join(","))
    }

    fn step(&self, step: &str) -> Result<u16, String> {
        let number: u16 = step.parse().map_err(|_| format!("the step `{step}` is not a number"))?;
        let values = self.greatest - self.least + 1;
        if number == 0 || number >= values && values > 1 {
            return Err(format!(
                "the step must be from 1 to {}, because it counts within this field",
                values - 1
            ));
        }
        Ok(number)
    }

    /// A number, or a name such as `MON`.
    fn number(&self, text: &str) -> Result<u16, String> {
        if let Some(position) = self.names.iter().position(|name| *name == text) {
            return Ok(self.first_named() + u16::try_from(position).unwrap_or_default());
        }
        text.parse()
            .ok()
            .filter(|number| (self.least..=self.greatest).contains(number))
            .ok_or_else(|| match self.names.first() {
                None => format!("`{text}` is not a number from {} to {}", self.least, self.greatest),
                Some(first) => format!(
                    "`{text}` is not a number from {} to {} and not a name such as {first}",
                    self.least, self.greatest
                ),
            })
    }

    /// The number of the first name.
    fn first_named(&self) -> u16 {
        self.least
    }

    /// The part with its names as numbers.
    fn numbered(&self, part: &str) -> String {
        let mut text = part.to_owned();
        for (position, name) in self.names.iter().enumerate() {
            text = text.replace(name, &(usize::from(self.first_named()) + position).to_string());
        }
        text
    }
}
