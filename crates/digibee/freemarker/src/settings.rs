//! The settings that `<#setting>` changes, and the conversion of numbers and dates to text.

use jiff::tz::TimeZone;
use pipepost_java_format::{DatePattern, Locale, NumberPattern, Style, time_zone};

use crate::ast::Setting;
use crate::iso::IsoStyle;
use crate::number::Number;
use crate::value::{DateKind, DateValue};

/// The settings of a rendering.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) locale: Locale,
    pub(crate) zone: TimeZone,
    number: NumberStyle,
    booleans: Option<(String, String)>,
    date: DateStyle,
    time: DateStyle,
    date_time: DateStyle,
}

/// A way to write numbers.
#[derive(Debug, Clone)]
pub(crate) enum NumberStyle {
    Plain,
    Currency,
    Percent,
    /// `?c`: for machines.
    Computer,
    Pattern(NumberPattern),
}

/// A way to write dates.
#[derive(Debug, Clone)]
pub(crate) enum DateStyle {
    Styles(Style, Style),
    Iso(IsoStyle),
    Pattern(DatePattern),
}

impl Default for Settings {
    fn default() -> Self {
        Self::new(Locale::EnUs, TimeZone::UTC)
    }
}

impl Settings {
    pub(crate) fn new(locale: Locale, zone: TimeZone) -> Self {
        let medium = DateStyle::Styles(Style::Medium, Style::Medium);
        Self {
            locale,
            zone,
            number: NumberStyle::Plain,
            booleans: None,
            date: medium.clone(),
            time: medium.clone(),
            date_time: medium,
        }
    }

    /// Changes a setting; the error says what is wrong with the value.
    pub(crate) fn set(&mut self, setting: Setting, value: &str) -> Result<(), String> {
        match setting {
            Setting::Locale => {
                let tags = "en_US, pt_BR, es, de, fr";
                self.locale = Locale::from_tag(value)
                    .ok_or_else(|| format!("the locale '{value}' is not supported; there are {tags}"))?;
            }
            Setting::NumberFormat => self.number = NumberStyle::parse(value)?,
            Setting::BooleanFormat => {
                let Some((yes, no)) = value.split_once(',') else {
                    return Err(format!(
                        "the boolean format '{value}' needs two words with a comma between them"
                    ));
                };
                // The default of FreeMarker prints nothing: it would look like a programmer's word in the text.
                self.booleans = if value == "true,false" {
                    None
                } else {
                    Some((yes.to_owned(), no.to_owned()))
                };
            }
            Setting::DateFormat => self.date = DateStyle::parse(value)?,
            Setting::TimeFormat => self.time = DateStyle::parse(value)?,
            Setting::DateTimeFormat => self.date_time = DateStyle::parse(value)?,
            Setting::TimeZone => {
                self.zone = time_zone(value).ok_or_else(|| format!("the time zone '{value}' is not known"))?
            }
            Setting::Ignored => {}
        }
        Ok(())
    }

    pub(crate) fn number(&self, number: Number) -> String {
        self.number.write(number, self.locale)
    }

    pub(crate) fn booleans(&self) -> Option<(&str, &str)> {
        self.booleans.as_ref().map(|(yes, no)| (yes.as_str(), no.as_str()))
    }

    pub(crate) fn date(&self, date: &DateValue) -> String {
        self.style(date.kind).write(date, self)
    }

    pub(crate) fn style(&self, kind: DateKind) -> &DateStyle {
        match kind {
            DateKind::Date => &self.date,
            DateKind::Time => &self.time,
            DateKind::DateTime => &self.date_time,
        }
    }
}

impl NumberStyle {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "number" | "" => Self::Plain,
            "currency" => Self::Currency,
            "percent" => Self::Percent,
            "computer" | "c" => Self::Computer,
            _ if text.contains(";;") => {
                return Err(format!(
                    "the extended number format '{text}' (with ';;') is not supported"
                ));
            }
            _ => Self::Pattern(NumberPattern::parse(text).map_err(|error| error.to_string())?),
        })
    }

    pub(crate) fn write(&self, number: Number, locale: Locale) -> String {
        let named = |pattern: &str| {
            NumberPattern::parse(pattern)
                .map(|pattern| write_number(number, &pattern, locale))
                .unwrap_or_default()
        };
        match self {
            Self::Plain => named(locale.number_pattern()),
            Self::Currency => named(locale.currency_pattern()),
            Self::Percent => named(locale.percent_pattern()),
            Self::Computer => computer(number),
            Self::Pattern(pattern) => write_number(number, pattern, locale),
        }
    }
}

fn write_number(number: Number, pattern: &NumberPattern, locale: Locale) -> String {
    match number {
        Number::Integer(integer) => pattern.format_integer(integer, locale),
        Number::Double(double) => pattern.format(double, locale),
        Number::Decimal(_) => pattern.format_decimal(&number.plain(), locale).unwrap_or_default(),
    }
}

/// The form for machines: no grouping, a point, at most 16 fraction digits, in every locale.
pub(crate) fn computer(number: Number) -> String {
    match number {
        Number::Integer(integer) => integer.to_string(),
        Number::Double(double) if double.is_nan() => "NaN".to_owned(),
        Number::Double(double) if double.is_infinite() => if double > 0.0 { "INF" } else { "-INF" }.to_owned(),
        _ => NumberPattern::parse("0.################")
            .map(|pattern| write_number(number, &pattern, Locale::EnUs))
            .unwrap_or_default(),
    }
}

impl DateStyle {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let style = |name: &str| match name {
            "short" => Some(Style::Short),
            "medium" => Some(Style::Medium),
            "long" => Some(Style::Long),
            "full" => Some(Style::Full),
            _ => None,
        };
        if let Some(style) = IsoStyle::parse(text) {
            return style.map(Self::Iso);
        }
        if text.is_empty() {
            return Ok(Self::Styles(Style::Medium, Style::Medium));
        }
        let (date, time) = text.split_once('_').unwrap_or((text, text));
        if let (Some(date), Some(time)) = (style(date), style(time)) {
            return Ok(Self::Styles(date, time));
        }
        DatePattern::parse(text)
            .map(Self::Pattern)
            .map_err(|error| error.to_string())
    }

    pub(crate) fn write(&self, date: &DateValue, settings: &Settings) -> String {
        let when = date.when.with_time_zone(settings.zone.clone());
        match self {
            Self::Iso(style) => style.write(&when, date.kind),
            Self::Pattern(pattern) => pattern.format(&when, settings.locale),
            Self::Styles(..) => self
                .pattern(date.kind, settings.locale)
                .map(|pattern| pattern.format(&when, settings.locale))
                .unwrap_or_default(),
        }
    }

    /// The pattern behind the style; none for ISO.
    pub(crate) fn pattern(&self, kind: DateKind, locale: Locale) -> Option<DatePattern> {
        match self {
            Self::Iso(_) => None,
            Self::Pattern(pattern) => Some(pattern.clone()),
            Self::Styles(date, time) => Some(match kind {
                DateKind::Date => DatePattern::of_style(Some(*date), None, locale),
                DateKind::Time => DatePattern::of_style(None, Some(*time), locale),
                DateKind::DateTime => DatePattern::of_style(Some(*date), Some(*time), locale),
            }),
        }
    }
}
