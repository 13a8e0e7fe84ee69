//! Java's number and date patterns: what `DecimalFormat` and `SimpleDateFormat` take, written and read as Java does.
//!
//! Templates and expressions of integration platforms carry these patterns (`#,##0.00`, `dd/MM/yyyy HH:mm`), and the
//! text that they give is compared with what a Java runtime gives. So this crate follows Java 17 with its default
//! (CLDR) locale data, for the five locales that [`Locale`] names and, but for the named styles, for the regions that
//! [`Symbols`] knows.
//!
//! Two crates stand on it, so that the same pattern gives the same text in both:
//!
//! - the body templates (`pipepost-freemarker`), which follow Java to the letter;
//! - the expressions (`pipepost-double-braces`), whose `FORMATDATE`, `FORMATNUMBER` and their kin take
//!   [`lenient`](DatePattern::lenient) patterns, because what they read was written by strangers.
//!
//! It is not a general localisation library: no plural rules, no calendars but the proleptic Gregorian one, no other
//! locales. It reads no clock and no environment.
//!
//! Order of calls: parse a pattern once ([`NumberPattern::parse`], [`DatePattern::parse`]), then `format` or `read` as
//! often as needed.
//!
//! ```
//! use pipepost_java_format::{DatePattern, Locale, NumberPattern};
//!
//! let price = NumberPattern::parse("#,##0.00")?;
//! assert_eq!(price.format(1234.5, Locale::PtBr), "1.234,50");
//!
//! let zone = jiff::tz::TimeZone::get("America/Sao_Paulo")?;
//! let when = DatePattern::parse("dd/MM/yyyy HH:mm")?.read("06/09/2020 02:02", &zone, Locale::PtBr, jiff::Timestamp::UNIX_EPOCH)?;
//! assert_eq!(DatePattern::parse("d MMM yyyy")?.format(&when, Locale::EnUs), "6 Sep 2020");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod date;
mod date_read;
mod double;
mod error;
mod locale;
mod names;
mod number;
mod number_pattern;
mod number_read;
mod symbols;
mod zone;
mod zone_names;

pub use date::{DatePattern, Style};
pub use double::java_double;
pub use error::{PatternError, ReadError};
pub use locale::Locale;
pub use number::{MAX_PATTERN_DIGITS, NumberPattern};
pub use number_read::ReadNumber;
pub use symbols::Symbols;
pub use zone::time_zone;
