//! The five locales whose standard patterns are known, as Java 17 has them.

use crate::symbols::Symbols;

/// A language with its region. Month names, separators and standard patterns follow the region named here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Locale {
    /// English, United States: the default everywhere.
    #[default]
    EnUs,
    /// Portuguese, Brazil.
    PtBr,
    /// Spanish, Spain.
    Es,
    /// German, Germany.
    De,
    /// French, France.
    Fr,
}

/// What only the region that a locale names is known to use.
pub(crate) struct Data {
    symbols: Symbols,
    currency: &'static str,
    percent: &'static str,
    /// Full, long, medium, short.
    pub(crate) date_styles: [&'static str; 4],
    pub(crate) time_styles: [&'static str; 4],
    /// What joins a date and a time in one text, by the shorter of the two styles.
    pub(crate) joints: [&'static str; 4],
}

impl Locale {
    /// All locales.
    pub const ALL: [Self; 5] = [Self::EnUs, Self::PtBr, Self::Es, Self::De, Self::Fr];

    /// Finds a locale by its tag: `pt-BR`, `pt_BR`, `pt`, in upper or lower case. Returns `None` for a locale that is
    /// not supported, even if only the region differs (`en-GB` writes dates in another order than `en-US`).
    pub fn from_tag(tag: &str) -> Option<Self> {
        let tag = tag.trim().replace('_', "-").to_ascii_lowercase();
        Some(match tag.as_str() {
            "en" | "en-us" => Self::EnUs,
            "pt" | "pt-br" => Self::PtBr,
            "es" | "es-es" => Self::Es,
            "de" | "de-de" => Self::De,
            "fr" | "fr-fr" => Self::Fr,
            _ => return None,
        })
    }

    /// Returns the tag in Java's form: `pt_BR`.
    pub fn tag(self) -> &'static str {
        match self {
            Self::EnUs => "en_US",
            Self::PtBr => "pt_BR",
            Self::Es => "es_ES",
            Self::De => "de_DE",
            Self::Fr => "fr_FR",
        }
    }

    /// Returns the pattern of plain numbers.
    pub fn number_pattern(self) -> &'static str {
        "#,##0.###"
    }

    /// Returns the pattern of amounts in the region's currency.
    pub fn currency_pattern(self) -> &'static str {
        self.data().currency
    }

    /// Returns the pattern of percentages.
    pub fn percent_pattern(self) -> &'static str {
        self.data().percent
    }

    pub(crate) fn data(self) -> &'static Data {
        match self {
            Self::EnUs => &EN_US,
            Self::PtBr => &PT_BR,
            Self::Es => &ES,
            Self::De => &DE,
            Self::Fr => &FR,
        }
    }
}

impl From<Locale> for Symbols {
    fn from(locale: Locale) -> Self {
        locale.data().symbols
    }
}

static EN_US: Data = Data {
    symbols: Symbols::EN_US,
    currency: "\u{a4}#,##0.00",
    percent: "#,##0%",
    date_styles: ["EEEE, MMMM d, y", "MMMM d, y", "MMM d, y", "M/d/yy"],
    time_styles: ["h:mm:ss a zzzz", "h:mm:ss a z", "h:mm:ss a", "h:mm a"],
    joints: [" 'at' ", " 'at' ", ", ", ", "],
};

static PT_BR: Data = Data {
    symbols: Symbols::PT_BR,
    currency: "\u{a4}\u{a0}#,##0.00",
    percent: "#,##0%",
    date_styles: [
        "EEEE, d 'de' MMMM 'de' y",
        "d 'de' MMMM 'de' y",
        "d 'de' MMM 'de' y",
        "dd/MM/y",
    ],
    time_styles: ["HH:mm:ss zzzz", "HH:mm:ss z", "HH:mm:ss", "HH:mm"],
    joints: [" ", " ", " ", " "],
};

static ES: Data = Data {
    symbols: Symbols::ES,
    currency: "#,##0.00\u{a0}\u{a4}",
    percent: "#,##0\u{a0}%",
    date_styles: ["EEEE, d 'de' MMMM 'de' y", "d 'de' MMMM 'de' y", "d MMM y", "d/M/yy"],
    time_styles: ["H:mm:ss (zzzz)", "H:mm:ss z", "H:mm:ss", "H:mm"],
    joints: [", ", ", ", " ", " "],
};

static DE: Data = Data {
    symbols: Symbols::DE,
    currency: "#,##0.00\u{a0}\u{a4}",
    percent: "#,##0\u{a0}%",
    date_styles: ["EEEE, d. MMMM y", "d. MMMM y", "dd.MM.y", "dd.MM.yy"],
    time_styles: ["HH:mm:ss zzzz", "HH:mm:ss z", "HH:mm:ss", "HH:mm"],
    joints: [" 'um' ", " 'um' ", ", ", ", "],
};

static FR: Data = Data {
    symbols: Symbols::FR,
    currency: "#,##0.00\u{a0}\u{a4}",
    percent: "#,##0\u{a0}%",
    date_styles: ["EEEE d MMMM y", "d MMMM y", "d MMM y", "dd/MM/y"],
    time_styles: ["HH:mm:ss zzzz", "HH:mm:ss z", "HH:mm:ss", "HH:mm"],
    joints: [" 'à' ", " 'à' ", ", ", " "],
};
