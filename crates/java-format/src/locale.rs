//! The five locales, with the names and signs that Java 17 uses for them.

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

/// Everything that patterns take from a locale.
pub(crate) struct Data {
    pub(crate) months: [&'static str; 12],
    pub(crate) short_months: [&'static str; 12],
    /// Short month names that stand alone (pattern letter `L`), where they differ.
    pub(crate) standalone_short_months: [&'static str; 12],
    /// From Sunday.
    pub(crate) weekdays: [&'static str; 7],
    pub(crate) short_weekdays: [&'static str; 7],
    pub(crate) am_pm: [&'static str; 2],
    pub(crate) eras: [&'static str; 2],
    /// 0 is Sunday.
    pub(crate) first_weekday: i64,
    pub(crate) minimal_days: i64,
    pub(crate) decimal: char,
    pub(crate) grouping: char,
    pub(crate) currency_symbol: &'static str,
    pub(crate) currency_code: &'static str,
    pub(crate) currency: &'static str,
    pub(crate) percent: &'static str,
    /// The long name of the zone UTC.
    pub(crate) utc: &'static str,
    /// Full, long, medium, short.
    pub(crate) date_styles: [&'static str; 4],
    pub(crate) time_styles: [&'static str; 4],
    /// What joins a date and a time in one text, by the date's style.
    pub(crate) joints: [&'static str; 4],
}

impl Locale {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::EnUs, Self::PtBr, Self::Es, Self::De, Self::Fr];

    /// Finds a locale by its tag: `pt-BR`, `pt_BR`, `pt`, in any case. `None` for one that we do not have, also when
    /// only the region differs (`en-GB` writes dates in another order than `en-US`).
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

    /// The tag in Java's form: `pt_BR`.
    pub fn tag(self) -> &'static str {
        match self {
            Self::EnUs => "en_US",
            Self::PtBr => "pt_BR",
            Self::Es => "es_ES",
            Self::De => "de_DE",
            Self::Fr => "fr_FR",
        }
    }

    /// The pattern of plain numbers.
    pub fn number_pattern(self) -> &'static str {
        "#,##0.###"
    }

    /// The pattern of amounts in the region's currency.
    pub fn currency_pattern(self) -> &'static str {
        self.data().currency
    }

    /// The pattern of percentages.
    pub fn percent_pattern(self) -> &'static str {
        self.data().percent
    }

    /// The decimal separator.
    pub fn decimal_separator(self) -> char {
        self.data().decimal
    }

    /// The separator between groups of digits.
    pub fn grouping_separator(self) -> char {
        self.data().grouping
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

static EN_US: Data = Data {
    months: [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
    short_months: [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ],
    standalone_short_months: [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ],
    weekdays: [
        "Sunday",
        "Monday",
        "Tuesday",
        "Wednesday",
        "Thursday",
        "Friday",
        "Saturday",
    ],
    short_weekdays: ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"],
    am_pm: ["AM", "PM"],
    eras: ["BC", "AD"],
    first_weekday: 0,
    minimal_days: 1,
    decimal: '.',
    grouping: ',',
    currency_symbol: "$",
    currency_code: "USD",
    currency: "\u{a4}#,##0.00",
    percent: "#,##0%",
    utc: "Coordinated Universal Time",
    date_styles: ["EEEE, MMMM d, y", "MMMM d, y", "MMM d, y", "M/d/yy"],
    time_styles: ["h:mm:ss a zzzz", "h:mm:ss a z", "h:mm:ss a", "h:mm a"],
    joints: [" 'at' ", " 'at' ", ", ", ", "],
};

static PT_BR: Data = Data {
    months: [
        "janeiro",
        "fevereiro",
        "março",
        "abril",
        "maio",
        "junho",
        "julho",
        "agosto",
        "setembro",
        "outubro",
        "novembro",
        "dezembro",
    ],
    short_months: [
        "jan.", "fev.", "mar.", "abr.", "mai.", "jun.", "jul.", "ago.", "set.", "out.", "nov.", "dez.",
    ],
    standalone_short_months: [
        "jan.", "fev.", "mar.", "abr.", "mai.", "jun.", "jul.", "ago.", "set.", "out.", "nov.", "dez.",
    ],
    weekdays: [
        "domingo",
        "segunda-feira",
        "terça-feira",
        "quarta-feira",
        "quinta-feira",
        "sexta-feira",
        "sábado",
    ],
    short_weekdays: ["dom.", "seg.", "ter.", "qua.", "qui.", "sex.", "sáb."],
    am_pm: ["AM", "PM"],
    eras: ["a.C.", "d.C."],
    first_weekday: 0,
    minimal_days: 1,
    decimal: ',',
    grouping: '.',
    currency_symbol: "R$",
    currency_code: "BRL",
    currency: "\u{a4}\u{a0}#,##0.00",
    percent: "#,##0%",
    utc: "Horário Universal Coordenado",
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
    months: [
        "enero",
        "febrero",
        "marzo",
        "abril",
        "mayo",
        "junio",
        "julio",
        "agosto",
        "septiembre",
        "octubre",
        "noviembre",
        "diciembre",
    ],
    short_months: [
        "ene", "feb", "mar", "abr", "may", "jun", "jul", "ago", "sept", "oct", "nov", "dic",
    ],
    standalone_short_months: [
        "ene", "feb", "mar", "abr", "may", "jun", "jul", "ago", "sept", "oct", "nov", "dic",
    ],
    weekdays: ["domingo", "lunes", "martes", "miércoles", "jueves", "viernes", "sábado"],
    short_weekdays: ["dom", "lun", "mar", "mié", "jue", "vie", "sáb"],
    am_pm: ["a.\u{a0}m.", "p.\u{a0}m."],
    eras: ["a. C.", "d. C."],
    first_weekday: 1,
    minimal_days: 4,
    decimal: ',',
    grouping: '.',
    currency_symbol: "€",
    currency_code: "EUR",
    currency: "#,##0.00\u{a0}\u{a4}",
    percent: "#,##0\u{a0}%",
    utc: "tiempo universal coordinado",
    date_styles: ["EEEE, d 'de' MMMM 'de' y", "d 'de' MMMM 'de' y", "d MMM y", "d/M/yy"],
    time_styles: ["H:mm:ss (zzzz)", "H:mm:ss z", "H:mm:ss", "H:mm"],
    joints: [", ", ", ", " ", " "],
};

static DE: Data = Data {
    months: [
        "Januar",
        "Februar",
        "März",
        "April",
        "Mai",
        "Juni",
        "Juli",
        "August",
        "September",
        "Oktober",
        "November",
        "Dezember",
    ],
    short_months: [
        "Jan.", "Feb.", "März", "Apr.", "Mai", "Juni", "Juli", "Aug.", "Sept.", "Okt.", "Nov.", "Dez.",
    ],
    standalone_short_months: [
        "Jan", "Feb", "Mär", "Apr", "Mai", "Jun", "Jul", "Aug", "Sep", "Okt", "Nov", "Dez",
    ],
    weekdays: [
        "Sonntag",
        "Montag",
        "Dienstag",
        "Mittwoch",
        "Donnerstag",
        "Freitag",
        "Samstag",
    ],
    short_weekdays: ["So.", "Mo.", "Di.", "Mi.", "Do.", "Fr.", "Sa."],
    am_pm: ["AM", "PM"],
    eras: ["v. Chr.", "n. Chr."],
    first_weekday: 1,
    minimal_days: 4,
    decimal: ',',
    grouping: '.',
    currency_symbol: "€",
    currency_code: "EUR",
    currency: "#,##0.00\u{a0}\u{a4}",
    percent: "#,##0\u{a0}%",
    utc: "Koordinierte Weltzeit",
    date_styles: ["EEEE, d. MMMM y", "d. MMMM y", "dd.MM.y", "dd.MM.yy"],
    time_styles: ["HH:mm:ss zzzz", "HH:mm:ss z", "HH:mm:ss", "HH:mm"],
    joints: [" 'um' ", " 'um' ", ", ", ", "],
};

static FR: Data = Data {
    months: [
        "janvier",
        "février",
        "mars",
        "avril",
        "mai",
        "juin",
        "juillet",
        "août",
        "septembre",
        "octobre",
        "novembre",
        "décembre",
    ],
    short_months: [
        "janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc.",
    ],
    standalone_short_months: [
        "janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc.",
    ],
    weekdays: ["dimanche", "lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi"],
    short_weekdays: ["dim.", "lun.", "mar.", "mer.", "jeu.", "ven.", "sam."],
    am_pm: ["AM", "PM"],
    eras: ["av. J.-C.", "ap. J.-C."],
    first_weekday: 1,
    minimal_days: 4,
    decimal: ',',
    grouping: '\u{202f}',
    currency_symbol: "€",
    currency_code: "EUR",
    currency: "#,##0.00\u{a0}\u{a4}",
    percent: "#,##0\u{a0}%",
    utc: "Temps universel coordonné",
    date_styles: ["EEEE d MMMM y", "d MMMM y", "d MMM y", "dd/MM/y"],
    time_styles: ["HH:mm:ss zzzz", "HH:mm:ss z", "HH:mm:ss", "HH:mm"],
    joints: [" 'à' ", " 'à' ", ", ", " "],
};
