//! What Java 17 writes and reads, line by line: `facts/*.tsv` were made by running it.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use pipepost_java_format::{DatePattern, Locale, NumberPattern, ReadNumber, Symbols, time_zone};
use proptest::prelude::*;

/// The rows of a table, without its heading.
fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    table
        .lines()
        .filter(|line| !line.starts_with("# ") && !line.is_empty())
        .map(|line| line.split('\t').collect())
}

fn locale(tag: &str) -> Locale {
    Locale::from_tag(tag).expect("the tables name known locales")
}

/// Collects all differences, so that one run shows them all.
fn check(table: &'static str, given: impl Fn(&[&str]) -> (String, String)) {
    let mut wrong = Vec::new();
    let mut count = 0;
    for row in rows(table) {
        let (ours, java) = given(&row);
        count += 1;
        if ours != java {
            wrong.push(format!("{row:?}: {ours:?}"));
        }
    }
    assert!(count > 20, "the table is empty");
    assert!(
        wrong.is_empty(),
        "{} of {count} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn numbers_are_written_as_java_writes_them() {
    check(include_str!("facts/numbers.tsv"), |row| {
        let pattern = NumberPattern::parse(row[1]).expect("Java takes these patterns");
        (
            pattern.format(row[2].parse().expect("a number"), locale(row[0])),
            row[3].to_owned(),
        )
    });
}

#[test]
fn numbers_are_read_as_java_reads_them() {
    check(include_str!("facts/numbers-read.tsv"), |row| {
        let pattern = NumberPattern::parse(row[1]).expect("Java takes these patterns");
        let ours = pattern
            .read(row[2], locale(row[0]))
            .map_or("-".to_owned(), |value| format!("{value:?}"));
        (ours, row[3].to_owned())
    });
}

#[test]
fn dates_are_written_as_java_writes_them() {
    check(include_str!("facts/dates.tsv"), |row| {
        let zone = TimeZone::get(row[1]).expect("a known zone");
        let when = Timestamp::from_millisecond(row[3].parse().expect("a number"))
            .expect("in range")
            .to_zoned(zone);
        (
            DatePattern::parse(row[2])
                .expect("Java takes these patterns")
                .format(&when, locale(row[0])),
            row[4].to_owned(),
        )
    });
}

#[test]
fn dates_are_read_as_java_reads_them() {
    let now: Timestamp = "2025-06-01T00:00:00Z".parse().expect("a timestamp");
    check(include_str!("facts/dates-read.tsv"), |row| {
        let zone = TimeZone::get(row[1]).expect("a known zone");
        let pattern = DatePattern::parse(row[2]).expect("Java takes these patterns");
        let read = pattern.read(row[3], &zone, locale(row[0]), now);
        (
            read.map_or("-".to_owned(), |when| when.timestamp().as_millisecond().to_string()),
            row[4].to_owned(),
        )
    });
}

#[test]
fn two_digit_years_lie_around_the_present() {
    let now: Timestamp = "2025-06-01T00:00:00Z".parse().expect("a timestamp");
    let pattern = DatePattern::parse("dd/MM/yy").expect("a pattern");
    for (text, year) in [
        ("01/02/21", 2021),
        ("01/02/45", 2045),
        ("01/02/46", 1946),
        ("01/02/99", 1999),
        ("01/02/2021", 2021),
    ] {
        assert_eq!(
            pattern
                .read(text, &TimeZone::UTC, Locale::EnUs, now)
                .expect(text)
                .year(),
            year
        );
    }
}

#[test]
fn short_names_are_read_without_their_dot() {
    let pattern = DatePattern::parse("dd MMM yyyy").expect("a pattern");
    let when = pattern
        .read("06 set 2020", &TimeZone::UTC, Locale::PtBr, Timestamp::UNIX_EPOCH)
        .expect("a date");
    assert_eq!(when.date().to_string(), "2020-09-06");
}

#[test]
fn exact_decimals_round_half_to_even() {
    let cents = NumberPattern::parse("0.00").expect("a pattern");
    // The double nearest to 2.675 lies below it, the decimal is a tie.
    assert_eq!(cents.format(2.675, Locale::EnUs), "2.67");
    assert_eq!(cents.format_decimal("2.675", Locale::EnUs).as_deref(), Some("2.68"));
    assert_eq!(cents.format_decimal("-0.001", Locale::EnUs).as_deref(), Some("-0.00"));
    assert_eq!(
        cents
            .format_decimal("99999999999999999999999999.995", Locale::EnUs)
            .as_deref(),
        Some("100000000000000000000000000.00")
    );
    assert_eq!(cents.format_decimal("1e5", Locale::EnUs), None);
    assert_eq!(cents.format_integer(i64::MIN, Locale::De), "-9223372036854775808,00");
}

#[test]
fn what_java_refuses_is_refused() {
    for pattern in [
        "0#",
        "0.0.0",
        "0,",
        "'open",
        "0.#0",
        "#,##0.0,0",
        "0E",
        "0x0",
        "0Euro",
        "0%%",
        "%0%",
        &"0".repeat(400),
    ] {
        assert!(NumberPattern::parse(pattern).is_err(), "{pattern}");
    }
    for pattern in ["yyyy-MM-ddTHH:mm", "b", "'open", "XXXX"] {
        assert!(DatePattern::parse(pattern).is_err(), "{pattern}");
    }
    let error = DatePattern::parse("dd/MM/yyyy").expect("a pattern").read(
        "05/x7/2021",
        &TimeZone::UTC,
        Locale::EnUs,
        Timestamp::UNIX_EPOCH,
    );
    let error = error.expect_err("no month");
    assert_eq!(error.column(), 4);
    assert_eq!(
        error.to_string(),
        "'05/x7/2021' does not fit the pattern 'dd/MM/yyyy': a number expected at character 4"
    );
}

/// What a text is read as at noon of 1 June 2025, in UTC.
fn read(pattern: &DatePattern, text: &str, locale: Locale) -> Option<String> {
    let now: Timestamp = "2025-06-01T12:00:00Z".parse().expect("a timestamp");
    let when = pattern.read(text, &TimeZone::UTC, locale, now).ok()?;
    Some(when.timestamp().to_string())
}

#[test]
fn lenient_dates_are_read_as_they_are_meant() {
    let cases = [
        // pattern, text, to Java's letter, leniently
        (
            "HH:mm:ss.SSSSSS",
            "10:11:12.123456",
            Some("1970-01-01T10:13:15.456Z"),
            Some("1970-01-01T10:11:12.123456Z"),
        ),
        (
            "yyyy-MM-dd HH:mm z",
            "2021-05-07 10:11 GMT-3",
            None,
            Some("2021-05-07T13:11:00Z"),
        ),
        (
            "yyyy-MM-dd HH:mm X",
            "2021-05-07 10:11 EST",
            None,
            Some("2021-05-07T15:11:00Z"),
        ),
        (
            "yyyy-MM-dd HH:mm Z",
            "2021-05-07 10:11 +05:30",
            None,
            Some("2021-05-07T04:41:00Z"),
        ),
        (
            "yyyy-MM-dd HH:mm z",
            "2021-05-07 10:11 America/Sao_Paulo",
            None,
            Some("2021-05-07T13:11:00Z"),
        ),
        ("yyyy-MM-dd HH:mm z", "2021-05-07 10:11 Mars", None, None),
        (
            "yyyy DDD MM",
            "2021 200 03",
            Some("2021-07-19T00:00:00Z"),
            Some("2021-03-01T00:00:00Z"),
        ),
        ("h a", "1 PM", None, Some("1970-01-01T13:00:00Z")),
        ("h a", "1 p. m.", None, Some("1970-01-01T13:00:00Z")),
    ];
    for (pattern, text, strict, lenient) in cases {
        let pattern = DatePattern::parse(pattern).expect("a pattern");
        assert_eq!(read(&pattern, text, Locale::Es).as_deref(), strict, "{text}");
        assert_eq!(read(&pattern.lenient(), text, Locale::Es).as_deref(), lenient, "{text}");
    }
}

#[test]
fn lenient_fractions_are_written_as_fractions() {
    let when = Timestamp::from_millisecond(5)
        .expect("in range")
        .to_zoned(TimeZone::UTC);
    let pattern = DatePattern::parse("S SSS SSSSSS").expect("a pattern");
    assert_eq!(pattern.format(&when, Locale::EnUs), "5 005 000005");
    assert_eq!(pattern.lenient().format(&when, Locale::EnUs), "5 005 005000");
}

#[test]
fn lenient_numbers_are_read_as_they_are_meant() {
    let cases = [
        // locale, pattern, text, to Java's letter, leniently
        (Locale::Fr, "#,##0.00", "1 234,56", Some(1.0), Some(1234.56)),
        (Locale::PtBr, "'R$ '0.0", "R$\u{a0}1,5", None, Some(1.5)),
        (Locale::EnUs, "'-'###", "-300", Some(300.0), Some(-300.0)),
        (Locale::EnUs, "0;(0)", "(5)", Some(-5.0), Some(-5.0)),
        (Locale::EnUs, "0", " 5", None, None),
    ];
    for (locale, pattern, text, strict, lenient) in cases {
        let pattern = NumberPattern::parse(pattern).expect("a pattern");
        assert_eq!(pattern.read(text, locale).ok(), strict, "{text}");
        assert_eq!(pattern.lenient().read(text, locale).ok(), lenient, "{text}");
    }
}

#[test]
fn numbers_without_a_fraction_stay_exact() {
    let read = |pattern: &str, text: &str| {
        let pattern = NumberPattern::parse(pattern).expect("a pattern");
        pattern.read_number(text, Locale::EnUs).expect(text)
    };
    assert_eq!(read("0", "9223372036854775807"), ReadNumber::Integer(i64::MAX));
    assert_eq!(
        read("0", "9223372036854775808"),
        ReadNumber::Double(9_223_372_036_854_775_808.0)
    );
    assert_eq!(read("0.0E0", "1.5E3"), ReadNumber::Integer(1500));
    assert_eq!(read("0%", "200%"), ReadNumber::Integer(2));
    assert_eq!(read("0%", "50%"), ReadNumber::Double(0.5));
    assert_eq!(read("0", "5."), ReadNumber::Integer(5));
}

#[test]
fn regions_have_symbols_of_their_own() {
    let amount = NumberPattern::parse("¤¤ #,##0.00").expect("a pattern");
    let when = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
    let month = DatePattern::parse("d MMM").expect("a pattern");
    let cases = [
        ("en", "USD 1,234.50", "1 Jan"),
        ("es-MX", "MXN 1,234.50", "1 ene."),
        ("es-Latn-AR", "ARS 1.234,50", "1 ene."),
        ("de_CH", "CHF 1’234.50", "1 Jan."),
        ("de-AT", "EUR 1\u{a0}234,50", "1 Jän."),
        ("fr-ZZ", "XXX 1\u{202f}234,50", "1 janv."),
        ("pt-PT", "EUR 1\u{a0}234,50", "1 jan."),
    ];
    for (tag, number, date) in cases {
        let symbols = Symbols::of_tag(tag).expect(tag);
        assert_eq!(amount.format(1234.5, symbols), number, "{tag}");
        assert_eq!(month.format(&when, symbols), date, "{tag}");
    }
    assert_eq!(Symbols::of_tag("tlh"), None);
    // A locale has the symbols of its tag.
    for locale in Locale::ALL {
        assert_eq!(Symbols::of_tag(locale.tag()), Some(locale.into()));
    }
}

#[test]
fn zones_have_names_and_offsets() {
    let seconds = |name: &str| Some(time_zone(name)?.to_offset(Timestamp::UNIX_EPOCH).seconds());
    for (name, expected) in [
        ("UTC", Some(0)),
        ("gmt", Some(0)),
        ("GMT-03:00", Some(-10_800)),
        ("GMT+5", Some(18_000)),
        ("+0530", Some(19_800)),
        ("america/sao_paulo", Some(-10_800)),
        ("PST", Some(-28_800)),
        ("GMT5", None),
        ("GMT+25", None),
        ("Mars", None),
        ("", None),
    ] {
        assert_eq!(seconds(name), expected, "{name}");
    }
}

#[test]
fn an_hour_beyond_all_days_is_no_date() {
    let pattern = DatePattern::parse("hh a").expect("a pattern");
    assert_eq!(read(&pattern, "9223372036854775807 PM", Locale::EnUs), None);
}

proptest! {
    #[test]
    fn nothing_panics(pattern in "[#0,.E%;'¤\u{2030}a-]{0,12}|\\PC{0,8}", date in "[GyYMLwWDdFEuaHkKhmsSzZX'/: ]{0,12}", text in "\\PC{0,20}", value: f64, ms in -60_000_000_000_000i64..60_000_000_000_000) {
        for locale in Locale::ALL {
            if let Ok(pattern) = NumberPattern::parse(&pattern) {
                let written = pattern.format(value, locale);
                let _ = pattern.read(&written, locale);
                let _ = pattern.read(&text, locale);
                let _ = pattern.clone().lenient().read_number(&text, locale);
                let _ = pattern.format_decimal(&text, locale);
                let _ = pattern.format_integer(ms, locale);
            }
            if let Ok(pattern) = DatePattern::parse(&date) {
                let zone = TimeZone::get("America/Sao_Paulo").expect("bundled");
                let when = Timestamp::from_millisecond(ms).expect("in range").to_zoned(zone.clone());
                let written = pattern.format(&when, locale);
                let _ = pattern.read(&written, &zone, locale, Timestamp::UNIX_EPOCH);
                let _ = pattern.read(&text, &zone, locale, Timestamp::UNIX_EPOCH);
                let lenient = pattern.lenient();
                let _ = lenient.read(&written, &zone, locale, Timestamp::UNIX_EPOCH);
                let _ = lenient.read(&text, &zone, locale, Timestamp::UNIX_EPOCH);
            }
        }
    }

    #[test]
    fn a_whole_moment_is_read_back(ms in -2_000_000_000_000i64..4_000_000_000_000) {
        let pattern = DatePattern::parse("EEEE, d MMMM yyyy HH:mm:ss.SSS Z").expect("a pattern");
        let zone = TimeZone::get("Europe/Berlin").expect("bundled");
        let when = Timestamp::from_millisecond(ms).expect("in range").to_zoned(zone.clone());
        for locale in Locale::ALL {
            let read = pattern.read(&pattern.format(&when, locale), &zone, locale, Timestamp::UNIX_EPOCH).expect("its own text");
            // The pattern's offset has no seconds, which zones had before 1900 only.
            prop_assert_eq!(read.timestamp(), when.timestamp());
        }
    }
}
