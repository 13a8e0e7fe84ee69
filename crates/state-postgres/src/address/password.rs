//! The password: a reference in the address, or libpq's password file.

use std::path::{Path, PathBuf};

use tokio_postgres::Config;
use tokio_postgres::config::Host;

type Variable<'v> = &'v dyn Fn(&str) -> Option<String>;

/// Reads what `file:PATH` or `env:NAME` means.
///
/// # Errors
/// Returns a sentence.
pub(super) fn resolve(reference: &str, variable: Variable<'_>) -> Result<String, String> {
    let (kind, name) = reference.split_once(':').unwrap_or((reference, ""));
    let found = match kind {
        "file" => {
            let text = std::fs::read_to_string(name)
                .map_err(|error| format!("The password's file `{name}` cannot be read: {error}."))?;
            let text = text.strip_suffix('\n').unwrap_or(&text);
            text.strip_suffix('\r').unwrap_or(text).to_owned()
        }
        "env" => variable(name).ok_or_else(|| {
            format!("The address of the database takes its password from the variable `{name}`, which is not set.")
        })?,
        _ => {
            return Err(
                "The password's reference in the address of the database must be ${file:PATH} or ${env:NAME}."
                    .to_owned(),
            );
        }
    };
    if found.is_empty() {
        return Err(format!(
            "The password of the database is empty: see the {kind} `{name}`."
        ));
    }
    Ok(found)
}

/// Looks a password up in the file that is named, else in `PGPASSFILE`, else in `~/.pgpass`, as libpq does.
///
/// # Errors
/// Returns a sentence when the file can be read by others, and when one that is named cannot be read.
pub(super) fn look_up(
    named: Option<PathBuf>,
    config: &Config,
    variable: Variable<'_>,
) -> Result<Option<String>, String> {
    let named = named.or_else(|| variable("PGPASSFILE").map(PathBuf::from));
    let usual = || variable("HOME").map(|home| Path::new(&home).join(".pgpass"));
    let (path, is_named) = match named {
        Some(path) => (path, true),
        None => match usual() {
            Some(path) => (path, false),
            None => return Ok(None),
        },
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(_) if !is_named => return Ok(None),
        Err(error) => {
            return Err(format!(
                "The password file `{}` cannot be read: {error}.",
                path.display()
            ));
        }
    };
    refuse_others(&path)?;
    let ports = config.get_ports();
    let user = config.get_user().unwrap_or_default();
    let database = config.get_dbname().unwrap_or(user);
    for (at, host) in config.get_hosts().iter().enumerate() {
        let host = match host {
            Host::Tcp(name) => name.as_str(),
            #[cfg(unix)]
            Host::Unix(_) => "localhost",
        };
        let port = ports
            .get(at)
            .or_else(|| ports.first())
            .copied()
            .unwrap_or(5432)
            .to_string();
        let wanted = [host, &port, database, user];
        if let Some(found) = text.lines().find_map(|line| of_line(line, wanted)) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The password of a line, if it is for this connection.
fn of_line(line: &str, wanted: [&str; 4]) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let mut fields = vec![String::new()];
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match (letter, fields.len()) {
            ('\\', _) => fields.last_mut()?.extend(letters.next()),
            (':', 1..=4) => fields.push(String::new()),
            (other, _) => fields.last_mut()?.push(other),
        }
    }
    let password = fields.get(4)?.clone();
    let fits = fields
        .iter()
        .zip(wanted)
        .all(|(field, wanted)| field == "*" || field == wanted);
    fits.then_some(password)
}

#[cfg(unix)]
fn refuse_others(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).map_or(0, |about| about.permissions().mode());
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(format!(
        "The password file `{}` can be read by others; give it the mode 0600.",
        path.display()
    ))
}

#[cfg(not(unix))]
fn refuse_others(_path: &Path) -> Result<(), String> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use super::*;

    #[test]
    fn a_line_fits_by_its_fields_and_stars_and_holds_escaped_colons() {
        let wanted = ["db", "5432", "mail", "ann"];
        assert_eq!(
            of_line("db:5432:mail:ann:a\\:b\\\\c", wanted).as_deref(),
            Some("a:b\\c")
        );
        assert_eq!(of_line("*:*:*:ann:x:y", wanted).as_deref(), Some("x:y"));
        for other in [
            "#*:*:*:*:x",
            "other:*:*:*:x",
            "*:5433:*:*:x",
            "*:*:*:bob:x",
            "*:*:*",
            "",
        ] {
            assert_eq!(of_line(other, wanted), None, "{other}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_password_file_is_found_by_its_variable_and_refused_where_others_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        let file = folder.path().join("pgpass");
        std::fs::write(&file, "# passwords\ntwo:*:*:*:hush\n").expect("a writable folder");
        let config = Config::from_str("postgres://ann@one,two/mail").expect("an address");
        let shown = file.display().to_string();
        let variable = |name: &str| (name == "PGPASSFILE").then(|| shown.clone());
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("it is ours");
        let refused = look_up(None, &config, &variable).expect_err("others can read it");
        assert!(refused.contains("0600") && refused.contains(&shown), "{refused}");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
        assert_eq!(look_up(None, &config, &variable), Ok(Some("hush".to_owned())));
        let missing = |name: &str| (name == "PGPASSFILE").then(|| "/nowhere/at/all".to_owned());
        assert!(look_up(None, &config, &missing).is_err());
    }
}
