//! Java's number and date patterns: those of `DecimalFormat` and `SimpleDateFormat`, written and read as Java does.
//!
//! Templates and expressions of integration platforms contain these patterns (`#,##0.00`, `dd/MM/yyyy HH:mm`), and
//! their result is compared with the result of a Java runtime. So this crate follows Java 17 with its default (CLDR)
//! locale data, for the five locales that [`Locale`] names and, except for the named styles, for the regions that
//! [`Symbols`] knows.
//!
//! Two crates use it, so that the same pattern gives the same text in both:
//!
//! - the body templates (`pipepost-freemarker`), which follow Java to the letter;
//! - the expressions (`pipepost-double-braces`), whose `FORMATDATE`, `FORMATNUMBER` and similar functions use
//!   [`lenient`](DatePattern::lenient) patterns, because the texts that they read come from other systems.
//!
//! It is not a general localisation library: it has no plural rules, no calendars except the proleptic Gregorian one,
//! and no other locales. It reads no clock and no environment.
//!
//! Order of calls: parse a pattern once ([`NumberPattern::parse`], [`DatePattern::parse`]), then call `format` or
//! `read` any number of times.
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
