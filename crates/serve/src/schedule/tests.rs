use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().expect(text)
}

fn schedule(expression: &str, zone: &str) -> Schedule {
    Schedule::new(expression, Some(zone), at("2026-01-01T00:00:00Z")).expect(expression)
}

/// The next times in the zone's own clock, with its offset.
fn next(expression: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let schedule = schedule(expression, zone);
    let shown = |time: Timestamp| {
        let zoned = time.to_zoned(schedule.zone.clone());
        zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    };
    schedule.next_times(at(after), count).into_iter().map(shown).collect()
}

#[test]
fn quartz_expressions_give_the_times_that_quartz_gives() {
    for (expression, expected) in [
        ("0 */5 * ? * *", "2026-01-01T00:05:00Z"),
        ("0 0/5 * * * ?", "2026-01-01T00:05:00Z"),
        ("0 0 0 ? * 1", "2026-01-04T00:00:00Z"),
        ("0 0 0 ? * SUN", "2026-01-04T00:00:00Z"),
        ("0 0 0 ? * 7", "2026-01-03T00:00:00Z"),
        ("0 0 0 ? * L", "2026-01-03T00:00:00Z"),
        ("0 0 0 ? * 6L", "2026-01-30T00:00:00Z"),
        ("0 0 0 ? * FRI#3", "2026-01-16T00:00:00Z"),
        ("0 0 12 L * ?", "2026-01-31T12:00:00Z"),
        ("0 0 12 LW * ?", "2026-01-30T12:00:00Z"),
        ("0 0 12 31W * ?", "2026-01-30T12:00:00Z"),
        ("0 0 12 ? jan-mar mon-fri", "2026-01-01T12:00:00Z"),
        ("15 30 8 1 3 ? 2028", "2028-03-01T08:30:15Z"),
        ("0 0 0 29 2 ?", "2028-02-29T00:00:00Z"),
        ("0 0 22-2 * * ?", "2026-01-01T01:00:00Z"),
        ("0 0 9 ? * FRI-MON", "2026-01-02T09:00:00Z"),
        ("0 0 9 ? * SAT-SUN", "2026-01-03T09:00:00Z"),
    ] {
        let schedule = schedule(expression, "UTC");
        assert_eq!(
            schedule.next_after(at("2026-01-01T00:00:00Z")),
            Some(at(expected)),
            "{expression}"
        );
    }
}

#[test]
fn five_fields_are_unix_cron() {
    for (expression, expected) in [
        ("*/15 * * * *", "2026-01-01T00:15:00Z"),
        ("0 9 * * 1", "2026-01-05T09:00:00Z"),
        ("0 9 * * 0", "2026-01-04T09:00:00Z"),
        ("0 9 * * 7", "2026-01-04T09:00:00Z"),
        ("0 9 * * MON-FRI", "2026-01-01T09:00:00Z"),
        // There either day will do.
        ("0 9 15 * MON", "2026-01-05T09:00:00Z"),
        ("@daily", "2026-01-02T00:00:00Z"),
    ] {
        let schedule = schedule(expression, "UTC");
        assert_eq!(
            schedule.next_after(at("2026-01-01T00:00:00Z")),
            Some(at(expected)),
            "{expression}"
        );
    }
}

#[test]
fn what_is_wrong_is_named_with_its_field() {
    for (expression, expected) in [
        ("", "has 0 fields"),
        ("* * * *", "has 4 fields"),
        ("0 0 0 1 1 ? 2030 x", "has 8 fields"),
        ("0 61 * * * ?", "The minute of `0 61 * * * ?` is `61`"),
        ("0 0 24 * * ?", "The hour"),
        ("0 0 0 32 * ?", "The day of the month"),
        ("0 0 0 ? 13 *", "The month"),
        (
            "0 0 0 ? * 0",
            "`0` is not a number from 1 to 7 and not a name such as SUN",
        ),
        ("0 0 0 ? * FUNDAY", "The weekday"),
        ("0 0/90 * * * ?", "the step must be from 1 to 59"),
        ("0 0/0 * * * ?", "the step must be"),
        ("0 0 0 15 * MON", "one of them must be `?`"),
        ("0 0 0 L-3 * ?", "such as `L-3`, is not supported"),
        ("0 0 0 ? * +MON", "`+` has no meaning"),
        ("0 1,,2 0 * * ?", "between commas is empty"),
        ("@reboot", "the short ones are"),
        ("0 0 0 ? * FRI#6", "The weekday"),
    ] {
        let told = Schedule::new(expression, None, at("2026-01-01T00:00:00Z"))
            .expect_err(expression)
            .to_string();
        assert!(told.contains(expected) && told.ends_with('.'), "{expression}: {told}");
    }
}

#[test]
fn a_cron_that_never_fires_is_refused() {
    for expression in [
        "0 0 0 30 2 ?",
        "0 0 0 31 4,6,9,11 ?",
        "0 0 0 29 2 ? 2027",
        "0 0 0 1 1 ? 2025",
    ] {
        let refused = Schedule::new(expression, None, at("2026-01-01T00:00:00Z"));
        assert!(
            matches!(refused, Err(ScheduleError::Never(_))),
            "{expression}: {refused:?}"
        );
    }
}

#[test]
fn a_zone_is_an_iana_name() {
    let now = at("2026-01-01T00:00:00Z");
    for wrong in ["Sao Paulo", "GMT+3h", "", "America/Sao_Paolo"] {
        let refused = Schedule::new("0 9 * * *", Some(wrong), now);
        assert!(matches!(refused, Err(ScheduleError::Zone(_))), "{wrong}");
    }
    let schedule = schedule("0 9 * * *", "America/Sao_Paulo");
    assert_eq!(schedule.next_after(now), Some(at("2026-01-01T12:00:00Z")));
    assert_eq!(
        (schedule.zone(), schedule.expression()),
        ("America/Sao_Paulo", "0 9 * * *")
    );
}

/// In Berlin 02:00 to 03:00 is skipped on 2026-03-29 and comes twice on 2026-10-25.
const BERLIN: &str = "Europe/Berlin";

#[test]
fn a_time_that_a_change_skips_comes_at_once_after_it() {
    assert_eq!(
        next("0 30 2 * * ?", BERLIN, "2026-03-28T00:00:00Z", 3),
        [
            "2026-03-28T02:30:00+01:00",
            "2026-03-29T03:00:00+02:00",
            "2026-03-30T02:30:00+02:00",
        ]
    );
    // Those that the change skips together come together, once.
    for expression in ["0 10,40 2 * * ?", "0 0/20 2 * * ?", "10,40 2 * * *"] {
        let times = next(expression, BERLIN, "2026-03-29T00:00:00Z", 2);
        assert_eq!(times[0], "2026-03-29T03:00:00+02:00", "{expression}");
        assert!(times[1].starts_with("2026-03-30T02:"), "{expression}: {times:?}");
    }
    assert_eq!(
        next("0 0 2,14 * * ?", BERLIN, "2026-03-29T00:00:00Z", 2),
        ["2026-03-29T03:00:00+02:00", "2026-03-29T14:00:00+02:00"]
    );
    // A change at midnight takes the day's first hour.
    assert_eq!(
        next("0 0 0 * * ?", "Asia/Beirut", "2026-03-28T12:00:00Z", 1),
        ["2026-03-29T01:00:00+03:00"]
    );
}

#[test]
fn a_time_that_comes_twice_counts_once() {
    assert_eq!(
        next("0 30 2 * * ?", BERLIN, "2026-10-24T12:00:00Z", 2),
        ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]
    );
    assert_eq!(
        next("0 0/30 1-3 * * ?", BERLIN, "2026-10-24T23:00:00Z", 5),
        [
            "2026-10-25T01:30:00+02:00",
            "2026-10-25T02:00:00+02:00",
            "2026-10-25T02:30:00+02:00",
            "2026-10-25T03:00:00+01:00",
            "2026-10-25T03:30:00+01:00",
        ]
    );
    // Asked within the second of the two hours, it has no more of the first.
    assert_eq!(
        next("0 30 2 * * ?", BERLIN, "2026-10-25T01:10:00Z", 1),
        ["2026-10-26T02:30:00+01:00"]
    );
}

#[test]
fn an_interval_runs_through_both_hours() {
    for expression in ["0 */30 * * * ?", "*/30 * * * *", "0 0/30 0-23 * * ?"] {
        assert_eq!(
            next(expression, BERLIN, "2026-10-25T00:00:00Z", 5),
            [
                "2026-10-25T02:30:00+02:00",
                "2026-10-25T02:00:00+01:00",
                "2026-10-25T02:30:00+01:00",
                "2026-10-25T03:00:00+01:00",
                "2026-10-25T03:30:00+01:00",
            ],
            "{expression}"
        );
        assert_eq!(
            next(expression, BERLIN, "2026-03-29T00:30:00Z", 2),
            ["2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00"],
            "{expression}"
        );
    }
}

/// `2/12` are the hours 2 and 14, whatever sign they are written with.
#[test]
fn hours_with_a_step_are_hours_that_are_named() {
    for (expression, same) in [
        ("0 30 2/12 * * ?", "0 30 2,14 * * ?"),
        ("0 30 2-22/20 * * ?", "0 30 2,22 * * ?"),
        ("0 0 */2 * * ?", "0 0 0,2,4,6,8,10,12,14,16,18,20,22 * * ?"),
        ("30 1/12 * * *", "30 1,13 * * *"),
    ] {
        for after in ["2026-03-28T12:00:00Z", "2026-10-24T12:00:00Z"] {
            assert_eq!(
                next(expression, BERLIN, after, 20),
                next(same, BERLIN, after, 20),
                "{expression}"
            );
        }
    }
    // Skipped, and made up for; twice, and counted once.
    let spring = next("0 30 2/12 * * ?", BERLIN, "2026-03-28T22:00:00Z", 2);
    assert_eq!(spring, ["2026-03-29T03:00:00+02:00", "2026-03-29T14:30:00+02:00"]);
    let autumn = next("0 30 2/12 * * ?", BERLIN, "2026-10-24T22:00:00Z", 2);
    assert_eq!(autumn, ["2026-10-25T02:30:00+02:00", "2026-10-25T14:30:00+01:00"]);
}

#[test]
fn of_what_was_missed_the_newest_starts_if_it_is_young() {
    let hourly = schedule("0 0 * * * ?", "UTC");
    let due = |last: &str, now: &str| hourly.due(at(last), at(now));
    let fire = |time: &str, missed: u64| Due {
        fire: Some(at(time)),
        missed,
    };
    // In order.
    assert_eq!(
        due("2026-01-01T10:00:00Z", "2026-01-01T11:00:00Z"),
        fire("2026-01-01T11:00:00Z", 0)
    );
    assert_eq!(due("2026-01-01T10:00:00Z", "2026-01-01T10:59:59Z"), Due::default());
    // The process was down.
    assert_eq!(
        due("2026-01-01T10:00:00Z", "2026-01-01T14:20:00Z"),
        fire("2026-01-01T14:00:00Z", 3)
    );
    let daily = schedule("0 0 8 * * ?", "UTC");
    assert_eq!(
        daily.due(at("2026-01-01T08:00:00Z"), at("2026-01-03T09:00:00Z")),
        Due { fire: None, missed: 2 }
    );
    assert_eq!(
        daily.due(at("2026-01-01T08:00:00Z"), at("2026-01-03T08:59:59Z")),
        fire("2026-01-03T08:00:00Z", 1)
    );
}

#[test]
fn what_is_missed_is_counted_up_to_a_bound() {
    let every_second = schedule("* * * * * ?", "UTC");
    let due = every_second.due(at("2026-01-01T00:00:00Z"), at("2026-01-08T00:00:00Z"));
    assert_eq!(due.fire, Some(at("2026-01-08T00:00:00Z")));
    assert_eq!(due.missed, COUNTED_AT_MOST);
}

#[test]
fn a_clock_that_was_set_back_makes_nothing_due() {
    let hourly = schedule("0 0 * * * ?", "UTC");
    let (last, now) = (at("2026-01-01T10:00:00Z"), at("2026-01-01T07:30:00Z"));
    assert_eq!(hourly.due(last, now), Due::default());
    // What comes again is asked for by its time, which is the key of the run that it started.
    assert_eq!(hourly.next_after(now), Some(at("2026-01-01T08:00:00Z")));
}
