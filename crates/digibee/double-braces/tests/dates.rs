//! Dates: Java's patterns in several languages and zones. The clock stands at Saturday, 8 May 2021, 12:13:14.005 UTC.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixed;

use fixed::Fixed;
use serde_json::{Value, json};

const NOW: i64 = 1_620_475_994_005;

fn eval(expression: &str) -> Value {
    Fixed::message(json!({"none": null, "iso": "2021-05-08T12:13:14.005Z"})).eval(expression)
}

fn fails(expression: &str) -> String {
    Fixed::message(json!({"secret": "s3cret"})).fails(expression)
}

#[test]
fn every_letter_is_written_as_in_java() {
    let cases = [
        (
            "yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
            "en-US",
            "UTC",
            "2021-05-08T12:13:14.005Z",
        ),
        (
            "yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
            "en-US",
            "America/Sao_Paulo",
            "2021-05-08T09:13:14.005-03:00",
        ),
        ("dd/MM/yy HH'h'mm", "pt-BR", "America/Sao_Paulo", "08/05/21 09h13"),
        (
            "EEEE, d 'de' MMMM 'de' yyyy",
            "pt-BR",
            "UTC",
            "sábado, 8 de maio de 2021",
        ),
        ("EEE, d MMM yyyy", "en-US", "UTC", "Sat, 8 May 2021"),
        ("EEEE, d. MMMM yyyy", "de", "UTC", "Samstag, 8. Mai 2021"),
        ("EEEE d MMMM yyyy", "fr", "UTC", "samedi 8 mai 2021"),
        ("EEEE, d 'de' MMMM", "es", "UTC", "sábado, 8 de mayo"),
        ("h:mm a", "en-US", "UTC", "12:13 PM"),
        ("K:mm a", "en-US", "UTC", "0:13 PM"),
        ("k H", "en-US", "UTC", "12 12"),
        ("G yyyy y yy", "en-US", "UTC", "AD 2021 2021 21"),
        ("D DDD w W F u E", "en-US", "UTC", "128 128 19 2 2 6 Sat"),
        ("w W", "de", "UTC", "18 1"),
        ("YYYY", "en-US", "UTC", "2021"),
        ("M MM MMM MMMM", "en-US", "UTC", "5 05 May May"),
        ("S SSS SSSSSS", "en-US", "UTC", "5 005 005000"),
        ("X XX XXX Z", "en-US", "Asia/Kolkata", "+05 +0530 +05:30 +0530"),
        ("z", "en-US", "UTC", "UTC"),
        ("z zzzz", "en-US", "America/New_York", "EDT GMT-04:00"),
        ("z", "en-US", "America/Sao_Paulo", "BRT"),
        ("zzzz", "pt-BR", "UTC", "Horário Universal Coordenado"),
        ("z", "en-US", "GMT+2", "GMT+02:00"),
        ("''yyyy''", "en-US", "UTC", "'2021'"),
        ("timestamp", "en-US", "UTC", "1620475994005"),
    ];
    for (pattern, locale, zone, expected) in cases {
        let expression = format!(
            "TOSTRING(FORMATDATE({NOW}, 'timestamp', {}, null, null, '{locale}', '{zone}'))",
            json!(pattern)
        );
        assert_eq!(eval(&expression), json!(expected), "{expression}");
    }
}

#[test]
fn weeks_at_the_turn_of_the_year_follow_the_region() {
    let week = |date: &str, locale: &str| {
        eval(&format!(
            "FORMATDATE('{date}', 'yyyy-MM-dd', 'YYYY-ww', null, null, '{locale}')"
        ))
        .as_str()
        .unwrap()
        .to_owned()
    };
    // ISO 8601 in Europe; the United States begin on Sunday, with the week that holds 1 January.
    let cases = [
        ("2020-12-31", "de", "2020-53"),
        ("2021-01-03", "de", "2020-53"),
        ("2021-01-04", "de", "2021-01"),
        ("2018-12-31", "de", "2019-01"),
        ("2020-12-26", "en-US", "2020-52"),
        ("2020-12-27", "en-US", "2021-01"),
        ("2021-01-03", "en-US", "2021-02"),
    ];
    for (date, locale, expected) in cases {
        assert_eq!(week(date, locale), expected, "{date} {locale}");
    }
}

#[test]
fn texts_are_read_as_in_java() {
    let cases = [
        (
            "07/05/2021 10:11:33",
            "dd/MM/yyyy HH:mm:ss",
            "en-US",
            "UTC",
            "2021-05-07T10:11:33.000Z",
        ),
        (
            "07/05/2021 10:11",
            "dd/MM/yyyy HH:mm",
            "en-US",
            "America/Sao_Paulo",
            "2021-05-07T13:11:00.000Z",
        ),
        (
            "20210507101133",
            "yyyyMMddHHmmss",
            "en-US",
            "UTC",
            "2021-05-07T10:11:33.000Z",
        ),
        (
            "7 de MAIO de 2021",
            "d 'de' MMMM 'de' yyyy",
            "pt-br",
            "UTC",
            "2021-05-07T00:00:00.000Z",
        ),
        ("7 dez 2021", "d MMM yyyy", "pt-br", "UTC", "2021-12-07T00:00:00.000Z"),
        (
            "Fri, 7 May 2021 12:05 am",
            "EEE, d MMM yyyy hh:mm a",
            "en-US",
            "UTC",
            "2021-05-07T00:05:00.000Z",
        ),
        (
            "1 de junio de 21",
            "d 'de' MMMM 'de' yy",
            "es",
            "UTC",
            "2021-06-01T00:00:00.000Z",
        ),
        ("3. März 2021", "d. MMM yyyy", "de", "UTC", "2021-03-03T00:00:00.000Z"),
        ("7 août 2021", "d MMMM yyyy", "fr", "UTC", "2021-08-07T00:00:00.000Z"),
        ("07/05/40", "dd/MM/yy", "en-US", "UTC", "2040-05-07T00:00:00.000Z"),
        ("07/05/42", "dd/MM/yy", "en-US", "UTC", "1942-05-07T00:00:00.000Z"),
        // The eighty years end with the day, not with the year.
        ("07/05/41", "dd/MM/yy", "en-US", "UTC", "2041-05-07T00:00:00.000Z"),
        ("09/05/41", "dd/MM/yy", "en-US", "UTC", "1941-05-09T00:00:00.000Z"),
        ("07/05/21", "dd/MM/yyyy", "en-US", "UTC", "0021-05-07T00:00:00.000Z"),
        ("31/02/2021", "dd/MM/yyyy", "en-US", "UTC", "2021-03-03T00:00:00.000Z"),
        ("01/13/2021", "dd/MM/yyyy", "en-US", "UTC", "2022-01-01T00:00:00.000Z"),
        ("2021-128", "yyyy-DDD", "en-US", "UTC", "2021-05-08T00:00:00.000Z"),
        (
            "2021-05-07T10:11:33-0300 trailing",
            "yyyy-MM-dd'T'HH:mm:ssZ",
            "en-US",
            "UTC",
            "2021-05-07T13:11:33.000Z",
        ),
        (
            "2021-05-07T10:11:33+02:00",
            "yyyy-MM-dd'T'HH:mm:ssXXX",
            "en-US",
            "UTC",
            "2021-05-07T08:11:33.000Z",
        ),
        (
            "2021-05-07T10:11:33Z",
            "yyyy-MM-dd'T'HH:mm:ssX",
            "en-US",
            "Asia/Tokyo",
            "2021-05-07T10:11:33.000Z",
        ),
        (
            "2021-05-07 10:11 PST",
            "yyyy-MM-dd HH:mm z",
            "en-US",
            "UTC",
            "2021-05-07T18:11:00.000Z",
        ),
        (
            "2021-05-07 10:11 GMT-3",
            "yyyy-MM-dd HH:mm z",
            "en-US",
            "UTC",
            "2021-05-07T13:11:00.000Z",
        ),
        ("10:11:33.5", "HH:mm:ss.SSS", "en-US", "UTC", "1970-01-01T10:11:33.005Z"),
        (
            "10:11:33.512345",
            "HH:mm:ss.SSSSSS",
            "en-US",
            "UTC",
            "1970-01-01T10:11:33.512Z",
        ),
        ("24:00", "kk:mm", "en-US", "UTC", "1970-01-01T00:00:00.000Z"),
        ("0044 BC", "yyyy G", "en-US", "UTC", "-0043-01-01T00:00:00.000Z"),
        (
            "2021-05-08T12:13:14.005+01:00",
            "null",
            "en-US",
            "UTC",
            "2021-05-08T11:13:14.005Z",
        ),
        (
            "2021-05-08T12:13",
            "null",
            "en-US",
            "America/Sao_Paulo",
            "2021-05-08T15:13:00.000Z",
        ),
        ("2021-05-08", "null", "en-US", "UTC", "2021-05-08T00:00:00.000Z"),
    ];
    for (text, pattern, locale, zone, expected) in cases {
        let pattern = if pattern == "null" {
            pattern.to_owned()
        } else {
            json!(pattern).to_string()
        };
        let expression = format!("TOISODATE({}, {pattern}, '{locale}', '{zone}')", json!(text));
        assert_eq!(eval(&expression), json!(expected), "{expression}");
    }
}

#[test]
fn dates_go_from_one_format_to_another() {
    let cases = [
        (
            "FORMATDATE('07/05/2021', 'dd/MM/yyyy', 'yyyy-MM-dd')",
            json!("2021-05-07"),
        ),
        (
            "FORMATDATE('1620475994005', 'timestamp', null)",
            json!("2021-05-08T12:13:14.005Z"),
        ),
        ("FORMATDATE(message.iso, null, 'timestamp')", json!(NOW)),
        (
            "FORMATDATE(message.iso, null, null, null, null, null, 'America/Sao_Paulo')",
            json!("2021-05-08T09:13:14.005-03:00"),
        ),
        // Before 1914 São Paulo lived by its own noon, 28 seconds beside a whole minute.
        (
            "FORMATDATE(-2000000000000, 'timestamp', null, null, null, null, 'America/Sao_Paulo')",
            json!("1906-08-16T17:20:12.000-03:06"),
        ),
        ("FORMATDATE(message.none, 'yyyy', 'yyyy')", json!(null)),
        ("FORMATDATE(NOW(), 'timestamp', 'yyyy')", json!("2021")),
        ("NOW()", json!(NOW)),
        ("TOISODATE(NOW(), 'timestamp')", json!("2021-05-08T12:13:14.005Z")),
    ];
    for (expression, expected) in cases {
        assert_eq!(eval(expression), expected, "{expression}");
    }
}

#[test]
fn sums_and_differences_follow_the_calendar() {
    let iso = |expression: &str| {
        eval(&format!("TOISODATE({expression}, 'timestamp')"))
            .as_str()
            .unwrap()
            .to_owned()
    };
    let sum = |date: &str, rest: &str| iso(&format!("SUMDATE(FORMATDATE('{date}', null, 'timestamp'), {rest})"));
    assert_eq!(sum("2021-01-31", "'MONTH', 1"), "2021-02-28T00:00:00.000Z");
    assert_eq!(sum("2021-01-31", "'month', '-2'"), "2020-11-30T00:00:00.000Z");
    assert_eq!(sum("2020-02-29", "'YEAR', 1"), "2021-02-28T00:00:00.000Z");
    assert_eq!(sum("2021-05-08", "'DAY', -8"), "2021-04-30T00:00:00.000Z");
    assert_eq!(sum("2021-05-08", "'minutes', 90"), "2021-05-08T01:30:00.000Z");
    // A day in New York in March has 23 hours.
    assert_eq!(
        sum("2021-03-13T12:00:00-05:00", "'DAY', 1, 'America/New_York'"),
        "2021-03-14T16:00:00.000Z"
    );
    let difference = |from: &str, to: &str, unit: &str| {
        let stamp = |date: &str| format!("FORMATDATE('{date}', null, 'timestamp')");
        eval(&format!("DIFFDATE({}, {}, '{unit}')", stamp(from), stamp(to)))
    };
    let cases = [
        ("2020-02-29", "2021-02-28", "year", 0),
        ("2020-02-29", "2021-03-01", "YEAR", 1),
        ("2021-01-31", "2021-03-01", "month", 1),
        ("2021-05-08", "2021-05-01", "day", -7),
        ("2021-05-08T00:00:00Z", "2021-05-06T12:00:00Z", "day", -1),
        ("2021-05-08T00:00:00Z", "2021-05-08T01:59:59Z", "hour", 1),
        ("2021-05-08T00:00:00Z", "2021-05-08T01:59:59Z", "minute", 119),
        ("2021-05-08T00:00:00Z", "2021-05-08T00:00:01.500Z", "second", 1),
        ("1970-01-01", "2021-05-08T12:13:14.005Z", "millisecond", NOW),
    ];
    for (from, to, unit, expected) in cases {
        assert_eq!(difference(from, to, unit), json!(expected), "{from} {to} {unit}");
    }
}

#[test]
fn what_is_no_date_is_said() {
    let cases = [
        (
            "FORMATDATE('x', 'yyyy', 'yyyy')",
            "argument 1, \"x\", must be a date in the format that is given, and is a text of 1 character",
        ),
        (
            "FORMATDATE(message.secret, 'yyyy', 'yyyy')",
            "argument 1, message.secret, must be a date in the format that is given, and is a text of 6 characters",
        ),
        (
            "FORMATDATE('2021', 'YYYY', 'yyyy')",
            "or timestamp: Y, w, W and F count weeks, by which dates are not read; y is the year",
        ),
        (
            "FORMATDATE('2021', 'yyyy', 'yyyy-mm-ddTHH')",
            "T is not a pattern letter; text stands in single quotes",
        ),
        ("FORMATDATE('2021', \"yyyy'\", 'yyyy')", "a quote is not closed"),
        (
            "FORMATDATE('2021', 'yyyy', 'yyyy', 'en', 'Mars')",
            "expected a time zone, such as UTC, America/Sao_Paulo or GMT-03:00",
        ),
        (
            "SUMDATE(1, 'eon', 1)",
            "must be year, month, week, day, hour, minute, second or millisecond",
        ),
        (
            "SUMDATE(1, 'YEAR', 99999)",
            "the date would be out of the years -9999 to 9999",
        ),
        (
            "TOISODATE(99999999999999999, 'timestamp')",
            "must be milliseconds within the years -9999 to 9999, and is a whole number",
        ),
        (
            "FORMATDATE('2021-05-07', 'yyyy-MM-dd', 'yyyyX', null, null, null, message.secret)",
            "must be a time zone, such as UTC, America/Sao_Paulo or GMT-03:00, and is a text of 6 characters",
        ),
    ];
    for (expression, expected) in cases {
        let error = fails(expression);
        assert!(error.ends_with(expected), "{expression}\n  {error}\n  {expected}");
    }
}
