use jiff::civil::Weekday;

/// A language and a region, with what formats take from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Locale {
    pub(crate) names: &'static Names,
    pub(crate) decimal: char,
    pub(crate) group: char,
    /// The sign of the region's currency, and its code.
    pub(crate) currency: (&'static str, &'static str),
    pub(crate) first_day: Weekday,
    /// How many days of a week must lie in a year for it to be the year's first.
    pub(crate) least_days: i8,
}

/// The names of a language.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) months: [&'static str; 12],
    pub(crate) short_months: [&'static str; 12],
    /// From Monday.
    pub(crate) days: [&'static str; 7],
    pub(crate) short_days: [&'static str; 7],
    pub(crate) halves: [&'static str; 2],
    /// Before and after the turn of the era.
    pub(crate) eras: [&'static str; 2],
}

impl Default for Locale {
    /// American English.
    fn default() -> Self {
        Locale {
            names: &ENGLISH,
            decimal: '.',
            group: ',',
            currency: ("$", "USD"),
            first_day: Weekday::Sunday,
            least_days: 1,
        }
    }
}

impl Locale {
    /// The locale of a tag such as `pt-br`, `pt_BR` or `de`, in any case.
    pub(crate) fn from_tag(tag: &str) -> Option<Locale> {
        let tag = tag.trim().replace('_', "-").to_ascii_lowercase();
        let mut parts = tag.split('-');
        let language = parts.next()?;
        // The script of `es-Latn-MX` says nothing new.
        let region = parts.find(|part| part.len() == 2 || part.len() == 3).unwrap_or("");
        let mut locale = Locale::default();
        let american_week = (Weekday::Sunday, 1);
        let european_week = (Weekday::Monday, 4);
        let ((names, group, decimal), week) = match (language, region) {
            ("en", "gb" | "au") => ((&BRITISH, ',', '.'), european_week),
            ("en", "ie") => ((&ENGLISH, ',', '.'), european_week),
            ("en", _) => ((&ENGLISH, ',', '.'), american_week),
            ("pt", "pt") => ((&EUROPEAN_PORTUGUESE, '\u{a0}', ','), (Weekday::Sunday, 4)),
            ("pt", _) => ((&PORTUGUESE, '.', ','), american_week),
            ("es", "mx" | "us" | "pr" | "gt" | "hn" | "ni" | "pa" | "sv" | "do" | "pe" | "419") => {
                ((&AMERICAN_SPANISH, ',', '.'), american_week)
            }
            ("es", "co" | "py" | "ve") => ((&AMERICAN_SPANISH, '.', ','), american_week),
            ("es", "ar" | "bo" | "cl" | "ec" | "uy") => ((&AMERICAN_SPANISH, '.', ','), (Weekday::Monday, 1)),
            ("es", _) => ((&SPANISH, '.', ','), european_week),
            ("de", "ch" | "li") => ((&GERMAN, '’', '.'), european_week),
            ("de", "at") => ((&AUSTRIAN, '\u{a0}', ','), european_week),
            ("de", _) => ((&GERMAN, '.', ','), european_week),
            ("fr", "ca") => ((&FRENCH, '\u{a0}', ','), american_week),
            ("fr", _) => ((&FRENCH, '\u{202f}', ','), european_week),
            _ => return None,
        };
        (locale.names, locale.group, locale.decimal) = (names, group, decimal);
        (locale.first_day, locale.least_days) = week;
        locale.currency = match (language, region) {
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
            // A language alone stands for the country that it comes from.
            ("de" | "es" | "fr", "" | "de" | "at" | "es" | "fr" | "be" | "lu") | ("pt", "pt") | ("en", "ie") => {
                ("€", "EUR")
            }
            ("en", "") => ("$", "USD"),
            ("pt", "") => ("R$", "BRL"),
            _ => ("¤", "XXX"),
        };
        Some(locale)
    }
}

const ENGLISH: Names = Names {
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
    days: [
        "Monday",
        "Tuesday",
        "Wednesday",
        "Thursday",
        "Friday",
        "Saturday",
        "Sunday",
    ],
    short_days: ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
    halves: ["AM", "PM"],
    eras: ["BC", "AD"],
};

const BRITISH: Names = Names {
    short_months: [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sept", "Oct", "Nov", "Dec",
    ],
    halves: ["am", "pm"],
    ..ENGLISH
};

const PORTUGUESE: Names = Names {
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
    days: [
        "segunda-feira",
        "terça-feira",
        "quarta-feira",
        "quinta-feira",
        "sexta-feira",
        "sábado",
        "domingo",
    ],
    short_days: ["seg.", "ter.", "qua.", "qui.", "sex.", "sáb.", "dom."],
    halves: ["AM", "PM"],
    eras: ["a.C.", "d.C."],
};

const EUROPEAN_PORTUGUESE: Names = Names {
    short_days: ["segunda", "terça", "quarta", "quinta", "sexta", "sábado", "domingo"],
    halves: ["da manhã", "da tarde"],
    ..PORTUGUESE
};

const SPANISH: Names = Names {
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
    days: ["lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"],
    short_days: ["lun", "mar", "mié", "jue", "vie", "sáb", "dom"],
    halves: ["a.\u{a0}m.", "p.\u{a0}m."],
    eras: ["a. C.", "d. C."],
};

const AMERICAN_SPANISH: Names = Names {
    short_months: [
        "ene.", "feb.", "mar.", "abr.", "may.", "jun.", "jul.", "ago.", "sep.", "oct.", "nov.", "dic.",
    ],
    ..SPANISH
};

const GERMAN: Names = Names {
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
    days: [
        "Montag",
        "Dienstag",
        "Mittwoch",
        "Donnerstag",
        "Freitag",
        "Samstag",
        "Sonntag",
    ],
    short_days: ["Mo.", "Di.", "Mi.", "Do.", "Fr.", "Sa.", "So."],
    halves: ["AM", "PM"],
    eras: ["v. Chr.", "n. Chr."],
};

const AUSTRIAN: Names = Names {
    months: [
        "Jänner",
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
        "Jän.", "Feb.", "März", "Apr.", "Mai", "Juni", "Juli", "Aug.", "Sep.", "Okt.", "Nov.", "Dez.",
    ],
    ..GERMAN
};

const FRENCH: Names = Names {
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
    days: ["lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"],
    short_days: ["lun.", "mar.", "mer.", "jeu.", "ven.", "sam.", "dim."],
    halves: ["AM", "PM"],
    eras: ["av. J.-C.", "ap. J.-C."],
};
