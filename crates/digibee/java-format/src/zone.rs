//! Time zones by their names in Java.

use std::sync::LazyLock;

use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};

/// The zones that are built in: what a date looks like must not depend on the machine.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// Java's short names that are no names of the database.
const ALIASES: [(&str, &str); 12] = [
    ("Z", "UTC"),
    ("PST", "America/Los_Angeles"),
    ("CST", "America/Chicago"),
    ("BET", "America/Sao_Paulo"),
    ("BRT", "America/Sao_Paulo"),
    ("AGT", "America/Argentina/Buenos_Aires"),
    ("ART", "America/Argentina/Buenos_Aires"),
    ("ECT", "Europe/Paris"),
    ("IST", "Asia/Kolkata"),
    ("JST", "Asia/Tokyo"),
    ("PNT", "America/Phoenix"),
    ("IET", "America/Indiana/Indianapolis"),
];

/// Returns the zone with this name: one of the IANA database, an offset such as `GMT-03:00` or `+02`, or a short name
/// of Java's, in upper or lower case. The database is the one that is built in.
pub fn time_zone(name: &str) -> Option<TimeZone> {
    let name = name.trim();
    let offset_text = ["GMT", "UTC", "UT"]
        .iter()
        .find_map(|prefix| {
            name.get(..prefix.len())
                .filter(|start| start.eq_ignore_ascii_case(prefix))
                .map(|_| &name[prefix.len()..])
        })
        .unwrap_or(name);
    if offset_text.is_empty() && !name.is_empty() {
        return Some(TimeZone::UTC);
    }
    if offset_text.starts_with(['+', '-']) {
        let (offset, length) = offset(offset_text)?;
        return (length == offset_text.len()).then(|| offset.to_time_zone());
    }
    let alias = ALIASES.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(name));
    ZONES.get(alias.map_or(name, |(_, zone)| zone)).ok()
}

/// An offset such as `-3`, `-03`, `-0300` or `-03:00` at the start of a text, and how many bytes it takes.
pub(crate) fn offset(text: &str) -> Option<(Offset, usize)> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let rest = &text[1..];
    let count = rest.bytes().take_while(u8::is_ascii_digit).count();
    let number = |digits: &str| digits.parse::<i32>().ok();
    let (hours, minutes, length) = match count {
        1 | 2 => {
            let minutes = rest
                .get(count..count + 3)
                .and_then(|minutes| number(minutes.strip_prefix(':')?));
            (
                number(&rest[..count])?,
                minutes.unwrap_or(0),
                if minutes.is_some() { count + 3 } else { count },
            )
        }
        3.. => {
            let count = count.min(4);
            (number(&rest[..count - 2])?, number(&rest[count - 2..count])?, count)
        }
        _ => return None,
    };
    // No place on earth is further from Greenwich.
    if hours > 18 || minutes > 59 {
        return None;
    }
    let seconds = Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()?;
    Some((seconds, length + 1))
}
