//! The history of the book, kept by triggers in the test's database, and checked: each change was a legal one.
//!
//! A trigger runs while its statement holds the row, so the order of a row's changes is the order in which they happened. With
//! a part it keeps the epoch that its execution has: whoever claims holds the execution's row, so it is the current one.

use pipepost_tests::Postgres;
use serde_json::Value;

/// Keeps every change of these tables but what is long and decides nothing.
const TRIGGERS: &str = "
CREATE SCHEMA history;
CREATE TABLE history.changes (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    place text NOT NULL,
    before jsonb,
    after jsonb
);
CREATE FUNCTION history.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    current bigint;
    long text[] := ARRAY['output', 'remainder', 'in_doubt', 'globals', 'shown', 'failure'];
BEGIN
    IF TG_TABLE_NAME = 'runs' THEN
        long := long || ARRAY['message'];
    END IF;
    IF TG_TABLE_NAME = 'parts' AND TG_OP <> 'DELETE' THEN
        SELECT execution.epoch INTO current FROM pipepost.messages AS message
            JOIN pipepost.executions AS execution ON execution.key = message.execution WHERE message.key = NEW.message;
    END IF;
    INSERT INTO history.changes (place, before, after) VALUES (
        TG_TABLE_NAME,
        CASE WHEN TG_OP = 'INSERT' THEN NULL ELSE to_jsonb(OLD) - long END,
        CASE WHEN TG_OP = 'DELETE' THEN NULL ELSE (to_jsonb(NEW) - long) || jsonb_build_object('current', current) END
    );
    RETURN NULL;
END $$;
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON pipepost.executions FOR EACH ROW EXECUTE FUNCTION history.note();
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON pipepost.messages FOR EACH ROW EXECUTE FUNCTION history.note();
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON pipepost.parts FOR EACH ROW EXECUTE FUNCTION history.note();
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON pipepost.runs FOR EACH ROW EXECUTE FUNCTION history.note();
";

/// Keeps the history of this cluster's book from now on.
pub(crate) fn keep(cluster: &Postgres) {
    cluster.superuser(TRIGGERS);
}

/// A change of one row.
#[derive(Debug, Clone)]
struct Change {
    place: String,
    /// Null: it was made.
    before: Value,
    /// Null: it was removed.
    after: Value,
}

/// Checks the whole history, and returns how many changes there were, and what is wrong with which.
pub(crate) fn check(cluster: &Postgres) -> (usize, Vec<String>) {
    let rows = cluster.superuser("SELECT place, before, after FROM history.changes ORDER BY number");
    let changes = rows.into_iter().map(|row| {
        let mut columns = row.into_iter();
        let place = columns.next().flatten().expect("a place");
        let mut json = || {
            columns
                .next()
                .flatten()
                .map_or(Value::Null, |text| serde_json::from_str(&text).expect("JSON"))
        };
        Change {
            place,
            before: json(),
            after: json(),
        }
    });
    let changes: Vec<Change> = changes.collect();
    let wrong = changes.iter().filter_map(|change| {
        let why = violation(change)?;
        Some(format!("{why}: {change:?}"))
    });
    (changes.len(), wrong.collect())
}

/// What is wrong with a change; none if it is legal.
fn violation(change: &Change) -> Option<&'static str> {
    match change.place.as_str() {
        "executions" => execution(change),
        "messages" => message(change),
        "parts" => part(change),
        "runs" => run(change),
        _ => Some("an unknown table"),
    }
}

fn execution(Change { before, after, .. }: &Change) -> Option<&'static str> {
    if after.is_null() {
        return Some("an execution is forgotten before its time");
    }
    let (then, now) = (before["epoch"].as_i64().unwrap_or(-1), number(after, "epoch"));
    let is_taken = after["owner"].is_string() && after["owner"] != before["owner"];
    match () {
        () if now < then => Some("an epoch goes back"),
        () if is_taken && now == then => Some("an execution is taken without a new epoch"),
        () if before.is_object() && before["key"] != after["key"] => Some("an execution gets another name"),
        () => None,
    }
}

fn message(Change { before, after, .. }: &Change) -> Option<&'static str> {
    let (then, now) = (before["outcome"].as_str(), after["outcome"].as_str());
    match () {
        // What was not committed is as if it had not been.
        () if after.is_null() && then.is_some() => Some("a message that ended is forgotten before its time"),
        () if after.is_null() || before.is_null() => None,
        () if before["digest"] != after["digest"] => Some("a message gets other contents"),
        () if then == Some("sent") && now != Some("sent") => Some("what was sent is not sent any more"),
        () if then == Some("uncertain") && now.is_none() => Some("what was uncertain is open again"),
        () => None,
    }
}

fn part(Change { before, after, .. }: &Change) -> Option<&'static str> {
    let (then, now) = (before["state"].as_str(), after["state"].as_str());
    match (then, now) {
        (None, Some("claimed")) if after["epoch"] != after["current"] => {
            Some("a part is claimed under an epoch that is over")
        }
        (None, Some("claimed")) => None,
        (Some("claimed"), Some("claimed")) if before["epoch"] != after["epoch"] => {
            Some("a claimed part is claimed again")
        }
        (Some("claimed"), Some("claimed" | "confirmed" | "uncertain")) => None,
        // Its server's answer came late, and is true.
        (Some("uncertain"), Some("confirmed" | "uncertain")) => None,
        (Some("uncertain"), Some("claimed")) => Some("what may have been sent is claimed again"),
        (Some("confirmed"), Some("confirmed")) => None,
        (Some("confirmed"), _) => Some("what was confirmed is not confirmed any more"),
        // It was refused, or nothing of it was written.
        (Some("claimed"), None) => None,
        (Some("uncertain"), None) => Some("what may have been sent is forgotten"),
        _ => Some("a part begins otherwise than claimed"),
    }
}

fn run(Change { before, after, .. }: &Change) -> Option<&'static str> {
    if after.is_null() {
        return Some("a run is forgotten before its time");
    }
    let (then, now) = (before["state"].as_str(), text(after, "state"));
    let begins = now == "running" && then != Some("running");
    let epochs = (before["epoch"].as_i64().unwrap_or_default(), number(after, "epoch"));
    match () {
        () if begins && epochs.1 != epochs.0 + 1 => return Some("a run begins without a new epoch"),
        () if !begins && before.is_object() && epochs.0 != epochs.1 => {
            return Some("the epoch of a run changes by itself");
        }
        () if before.is_object()
            && ["key", "digest", "document"]
                .iter()
                .any(|name| before[name] != after[name]) =>
        {
            return Some("a run gets other contents");
        }
        () => {}
    }
    match (then, now) {
        (None, "queued" | "running") => None,
        (Some("queued"), "queued" | "running" | "cancelled" | "failed") => None,
        (Some("running"), "running" | "queued" | "done" | "failed" | "uncertain") => None,
        // A person lets it go on.
        (Some("failed" | "cancelled" | "uncertain"), "queued") => None,
        (Some(then), now) if then == now => None,
        (Some("done"), _) => Some("a run that ended goes on"),
        _ => Some("a run changes to a state that does not follow"),
    }
}

fn text<'v>(row: &'v Value, column: &str) -> &'v str {
    row[column].as_str().unwrap_or_else(|| panic!("no `{column}`: {row}"))
}

fn number(row: &Value, column: &str) -> i64 {
    row[column].as_i64().unwrap_or_else(|| panic!("no `{column}`: {row}"))
}

#[test]
fn what_is_illegal_is_noticed() {
    use serde_json::json;

    let change = |place: &str, before: Value, after: Value| Change {
        place: place.to_owned(),
        before,
        after,
    };
    let execution = |owner: &str, epoch: i64| json!({ "key": "e", "owner": owner, "epoch": epoch });
    let message = |outcome: Value| json!({ "key": "m", "execution": "e", "digest": "d", "outcome": outcome });
    let part =
        |state: &str, epoch: i64| json!({ "message": "m", "number": 0, "state": state, "epoch": epoch, "current": 1 });
    let run =
        |state: &str, epoch: i64| json!({ "key": "r", "digest": "d", "document": "x", "state": state, "epoch": epoch });
    let taken = || change("executions", Value::Null, execution("a", 1));
    let over = || change("executions", execution("a", 1), execution("b", 2));
    let made = || change("messages", Value::Null, message(Value::Null));
    let claimed = || change("parts", Value::Null, part("claimed", 1));
    let begun = || change("runs", Value::Null, run("running", 1));
    let verdict = |changes: &[Change]| changes.iter().find_map(violation);
    let legal = [
        taken(),
        made(),
        claimed(),
        change("parts", part("claimed", 1), part("confirmed", 1)),
        change("messages", message(Value::Null), message(json!("sent"))),
        over(),
        begun(),
        change("runs", run("running", 1), run("queued", 1)),
        change("runs", run("queued", 1), run("running", 2)),
        change("runs", run("running", 2), run("done", 2)),
    ];
    assert_eq!(verdict(&legal), None);
    for (changes, what) in [
        (
            vec![change("parts", Value::Null, part("claimed", 2))],
            "claimed under another epoch than the current one",
        ),
        (
            vec![
                taken(),
                made(),
                claimed(),
                change("parts", part("claimed", 1), part("claimed", 2)),
            ],
            "claimed twice",
        ),
        (
            vec![change("executions", execution("a", 1), execution("b", 1))],
            "taken without an epoch",
        ),
        (
            vec![change("parts", part("uncertain", 1), part("claimed", 2))],
            "sent again",
        ),
        (
            vec![change("parts", part("confirmed", 1), part("uncertain", 1))],
            "confirmed and then uncertain",
        ),
        (vec![change("parts", part("uncertain", 1), Value::Null)], "forgotten"),
        (
            vec![change("messages", message(json!("sent")), message(Value::Null))],
            "not sent any more",
        ),
        (vec![change("runs", run("done", 2), run("running", 3))], "after its end"),
        (
            vec![change("runs", run("queued", 1), run("running", 1))],
            "without an epoch",
        ),
        (
            vec![change("runs", run("queued", 1), run("done", 1))],
            "done without having begun",
        ),
    ] {
        assert!(verdict(&changes).is_some(), "{what}: it was not noticed");
    }
}
