//! Dates and numbers as `java.text` writes and reads them: `SimpleDateFormat` and `DecimalFormat`.
//!
//! The names of months and days are those of Unicode's CLDR, which Java uses since version 9.

mod date_format;
mod date_parse;
mod locale;
mod number_format;
mod zone;

pub(crate) use date_format::DateFormat;
pub(crate) use locale::Locale;
pub(crate) use number_format::NumberFormat;
pub(crate) use zone::time_zone;
