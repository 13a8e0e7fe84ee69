//! Dates and times as ISO 8601 and XML Schema write them: the formats `iso` and `xs` with their options, and the built-ins
//! `?iso`, `?iso_local` and `?iso_utc`.

use jiff::Zoned;
use jiff::tz::TimeZone;

use crate::value::DateKind;

/// How much of a date is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct IsoStyle {
    /// As XML Schema has it, where a date may have an offset.
    is_xs: bool,
    accuracy: Accuracy,
    /// Whether the offset is written, if the format says so.
    offset: Option<bool>,
    is_utc: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Accuracy {
    Hours,
    Minutes,
    Seconds,
    /// Those that there are, without zeros behind them.
    #[default]
    Milliseconds,
    /// Three digits.
    AllMilliseconds,
}

impl IsoStyle {
    /// Reads a format: `iso` or `xs`, and options such as `m nz`, each behind a blank or `_`. None for another format.
    pub(crate) fn parse(text: &str) -> Option<Result<Self, String>> {
        let (is_xs, options) = match (text.strip_prefix("iso"), text.strip_prefix("xs")) {
            (Some(options), _) => (false, options),
            (_, Some(options)) => (true, options),
            _ => return None,
        };
        if !options.is_empty() && !options.starts_with([' ', '_']) {
            return None;
        }
        Some(Self::with(is_xs, options).map_err(|reason| format!("the format '{text}' is not understood: {reason}")))
    }

    fn with(is_xs: bool, options: &str) -> Result<Self, String> {
        let mut style = Self {
            is_xs,
            ..Self::default()
        };
        let mut accuracy = None;
        for option in options.split([' ', '_']).filter(|option| !option.is_empty()) {
            let twice = || Err(format!("'{option}' says again what another option says"));
            let found = match option {
                "h" | "m" if is_xs => return Err("XML Schema has no times without seconds".to_owned()),
                "h" => Accuracy::Hours,
                "m" => Accuracy::Minutes,
                "s" => Accuracy::Seconds,
                "ms" => Accuracy::AllMilliseconds,
                "fz" | "nz" => {
                    if style.offset.replace(option == "fz").is_some() {
                        return twice();
                    }
                    continue;
                }
                "u" => {
                    if std::mem::replace(&mut style.is_utc, true) {
                        return twice();
                    }
                    continue;
                }
                _ => {
                    return Err(format!(
                        "there is no option '{option}'; there are h, m, s, ms, fz, nz and u"
                    ));
                }
            };
            if accuracy.replace(found).is_some() {
                return twice();
            }
        }
        style.accuracy = accuracy.unwrap_or_default();
        Ok(style)
    }

    /// The style of a built-in, by what its name says behind `iso`, `iso_local` or `iso_utc`. Without a word the seconds are
    /// the last that is written.
    pub(crate) fn of_builtin(form: &str) -> Self {
        let says = |option: &str| form.split('_').any(|word| word == option);
        Self {
            accuracy: match () {
                () if says("h") => Accuracy::Hours,
                () if says("m") => Accuracy::Minutes,
                () if says("ms") => Accuracy::Milliseconds,
                () => Accuracy::Seconds,
            },
            offset: says("nz").then_some(false),
            ..Self::default()
        }
    }

    pub(crate) fn write(self, when: &Zoned, kind: DateKind) -> String {
        let in_utc;
        let when = if self.is_utc {
            in_utc = when.with_time_zone(TimeZone::UTC);
            &in_utc
        } else {
            when
        };
        let mut text = String::new();
        if kind != DateKind::Time {
            text = format!("{:04}-{:02}-{:02}", when.year(), when.month(), when.day());
        }
        if kind == DateKind::DateTime {
            text.push('T');
        }
        if kind != DateKind::Date {
            text.push_str(&self.time(when));
        }
        // ISO 8601 has no date with an offset.
        if self.offset.unwrap_or(true) && (self.is_xs || kind != DateKind::Date) {
            text.push_str(&offset(when));
        }
        text
    }

    fn time(self, when: &Zoned) -> String {
        let millisecond = when.subsec_nanosecond() / 1_000_000;
        let mut time = format!("{:02}", when.hour());
        if self.accuracy != Accuracy::Hours {
            time.push_str(&format!(":{:02}", when.minute()));
        }
        if !matches!(self.accuracy, Accuracy::Hours | Accuracy::Minutes) {
            time.push_str(&format!(":{:02}", when.second()));
        }
        match self.accuracy {
            Accuracy::AllMilliseconds => time.push_str(&format!(".{millisecond:03}")),
            Accuracy::Milliseconds if millisecond > 0 => {
                time.push_str(format!(".{millisecond:03}").trim_end_matches('0'));
            }
            _ => {}
        }
        time
    }
}

fn offset(when: &Zoned) -> String {
    let seconds = when.offset().seconds();
    if seconds == 0 {
        return "Z".to_owned();
    }
    let sign = if seconds < 0 { '-' } else { '+' };
    format!("{sign}{:02}:{:02}", seconds.abs() / 3600, seconds.abs() / 60 % 60)
}
