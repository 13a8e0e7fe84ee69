//! The symbols of a language and a region for patterns: names, separators, the currency's sign, the first day of the
//! week.

use crate::names::{
    AMERICAN_SPANISH, AUSTRIAN, BRITISH, ENGLISH, EUROPEAN_PORTUGUESE, FRENCH, GERMAN, Names, PORTUGUESE, SPANISH,
};

/// The symbols of a language and a region that patterns use, as in Java's `DateFormatSymbols`, `DecimalFormatSymbols`
/// and `Calendar`. Each [`Locale`](crate::Locale) has its own; [`of_tag`](Self::of_tag) knows more regions, but not
/// their standard patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symbols {
    pub(crate) names: &'static Names,
    pub(crate) decimal: char,
    pub(crate) grouping: char,
    /// The sign of the region's currency, and its code.
    pub(crate) currency: (&'static str, &'static str),
    pub(crate) week: Week,
}

/// How weeks are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Week {
    /// 0 is Sunday.
    pub(crate) first_weekday: i64,
    /// How many days of a week must lie in a year for it to be the year's first.
    pub(crate) minimal_days: i64,
}

impl Week {
    const AMERICAN: Self = Self::new(0, 1);
    const EUROPEAN: Self = Self::new(1, 4);

    const fn new(first_weekday: i64, minimal_days: i64) -> Self {
        Self {
            first_weekday,
            minimal_days,
        }
    }
}

impl Default for Symbols {
    /// American English.
    fn default() -> Self {
        Self::EN_US
    }
}

impl Symbols {
    pub(crate) const EN_US: Self = Self {
        names: &ENGLISH,
        decimal: '.',
        grouping: ',',
        currency: ("$", "USD"),
        week: Week::AMERICAN,
    };
    pub(crate) const PT_BR: Self = Self {
        names: &PORTUGUESE,
        decimal: ',',
        grouping: '.',
        currency: ("R$", "BRL"),
        week: Week::AMERICAN,
    };
    pub(crate) const ES: Self = Self {
        names: &SPANISH,
        decimal: ',',
        grouping: '.',
        currency: ("€", "EUR"),
        week: Week::EUROPEAN,
    };
    pub(crate) const DE: Self = Self {
        names: &GERMAN,
        ..Self::ES
    };
    pub(crate) const FR: Self = Self {
        names: &FRENCH,
        grouping: '\u{202f}',
        ..Self::ES
    };

    /// Returns the symbols of a tag such as `pt-br`, `pt_BR` or `de`, in upper or lower case. An unknown region gets
    /// its language's usual symbols, and a currency without a name. `None` for a language that is not supported.
    pub fn of_tag(tag: &str) -> Option<Self> {
        let tag = tag.trim().replace('_', "-").to_ascii_lowercase();
        let mut parts = tag.split('-');
        let language = parts.next()?;
        // The script of `es-Latn-MX` says nothing new.
        let region = parts.find(|part| part.len() == 2 || part.len() == 3).unwrap_or("");
        let mut symbols = Self::of_parts(language, region)?;
        symbols.currency = match (language, region) {
            (_, "us" | "pr" | "sv" | "pa") => ("$", "USD"),
            (_, "br") => ("R$", "BRL"),
            (_, "mx") => ("$", "MXN"),
            (_, "ar") => ("$", "ARS"),
            (_, "cl") => ("$", "CLP"),
            (_, "co") => ("$", "COP"),
            (_, "pe") => ("S/", "PEN"),
            (_, "ca") => ("$", "CAD"),
            (_, "gb") => ("£", "GBP"),
            (_, "ch" | "li") => ("CHF", "CHF"),
            ("de" | "es" | "fr", "de" | "at" | "es" | "fr" | "be" | "lu") | ("pt", "pt") | ("en", "ie") => ("€", "EUR"),
            // A language alone stands for the country that it comes from.
            (_, "") => symbols.currency,
            _ => ("¤", "XXX"),
        };
        Some(symbols)
    }

    /// All but the currency.
    fn of_parts(language: &str, region: &str) -> Option<Self> {
        let american_spanish = Self {
            names: &AMERICAN_SPANISH,
            week: Week::AMERICAN,
            ..Self::ES
        };
        Some(match (language, region) {
            ("en", "gb" | "au") => Self {
                names: &BRITISH,
                week: Week::EUROPEAN,
                ..Self::EN_US
            },
            ("en", "ie") => Self {
                week: Week::EUROPEAN,
                ..Self::EN_US
            },
            ("en", _) => Self::EN_US,
            ("pt", "pt") => Self {
                names: &EUROPEAN_PORTUGUESE,
                grouping: '\u{a0}',
                week: Week::new(0, 4),
                ..Self::PT_BR
            },
            ("pt", _) => Self::PT_BR,
            ("es", "mx" | "us" | "pr" | "gt" | "hn" | "ni" | "pa" | "sv" | "do" | "pe" | "419") => Self {
                decimal: '.',
                grouping: ',',
                ..american_spanish
            },
            ("es", "co" | "py" | "ve") => american_spanish,
            ("es", "ar" | "bo" | "cl" | "ec" | "uy") => Self {
                week: Week::new(1, 1),
                ..american_spanish
            },
            ("es", _) => Self::ES,
            ("de", "ch" | "li") => Self {
                decimal: '.',
                grouping: '’',
                ..Self::DE
            },
            ("de", "at") => Self {
                names: &AUSTRIAN,
                grouping: '\u{a0}',
                ..Self::DE
            },
            ("de", _) => Self::DE,
            ("fr", "ca") => Self {
                grouping: '\u{a0}',
                week: Week::AMERICAN,
                ..Self::FR
            },
            ("fr", _) => Self::FR,
            _ => return None,
        })
    }
}
