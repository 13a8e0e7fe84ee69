//! The names of months, days and similar words in each language, as in Unicode's CLDR and therefore in Java 17.

/// The names of a language, or of its form in a region.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) months: [&'static str; 12],
    pub(crate) short_months: [&'static str; 12],
    /// Short month names that stand alone (pattern letter `L`), where they differ.
    pub(crate) standalone_short_months: [&'static str; 12],
    /// From Sunday.
    pub(crate) weekdays: [&'static str; 7],
    pub(crate) short_weekdays: [&'static str; 7],
    pub(crate) am_pm: [&'static str; 2],
    /// Before and after the turn of the era.
    pub(crate) eras: [&'static str; 2],
    /// The long name of the zone UTC.
    pub(crate) utc: &'static str,
}

pub(crate) const ENGLISH: Names = Names {
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
    utc: "Coordinated Universal Time",
};

pub(crate) const BRITISH: Names = Names {
    short_months: [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sept", "Oct", "Nov", "Dec",
    ],
    standalone_short_months: [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sept", "Oct", "Nov", "Dec",
    ],
    am_pm: ["am", "pm"],
    ..ENGLISH
};

pub(crate) const PORTUGUESE: Names = Names {
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
    utc: "Horário Universal Coordenado",
};

pub(crate) const EUROPEAN_PORTUGUESE: Names = Names {
    short_weekdays: ["domingo", "segunda", "terça", "quarta", "quinta", "sexta", "sábado"],
    am_pm: ["da manhã", "da tarde"],
    utc: "Hora Coordenada Universal",
    ..PORTUGUESE
};

pub(crate) const SPANISH: Names = Names {
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
    utc: "tiempo universal coordinado",
};

pub(crate) const AMERICAN_SPANISH: Names = Names {
    short_months: [
        "ene.", "feb.", "mar.", "abr.", "may.", "jun.", "jul.", "ago.", "sep.", "oct.", "nov.", "dic.",
    ],
    standalone_short_months: [
        "ene.", "feb.", "mar.", "abr.", "may.", "jun.", "jul.", "ago.", "sep.", "oct.", "nov.", "dic.",
    ],
    utc: "hora universal coordinada",
    ..SPANISH
};

pub(crate) const GERMAN: Names = Names {
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
    utc: "Koordinierte Weltzeit",
};

pub(crate) const AUSTRIAN: Names = Names {
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
    standalone_short_months: [
        "Jän", "Feb", "Mär", "Apr", "Mai", "Jun", "Jul", "Aug", "Sep", "Okt", "Nov", "Dez",
    ],
    ..GERMAN
};

pub(crate) const FRENCH: Names = Names {
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
    utc: "Temps universel coordonné",
};
