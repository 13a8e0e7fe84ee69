//! The server's certificate, kept in a directory: a server that begins again is the one that its clients trust.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use crate::tls::{Authority, Flaw, Identity, TlsError};

/// The file's name. It holds the key, and only its owner can read it.
const FILE: &str = "identity.pem";

/// What stands before the authority's certificate: the names that the server's certificate is for.
const NAMES: &str = "names:";

/// Why a kept certificate cannot be used or written.
#[derive(Debug)]
pub(crate) enum KeptError {
    /// The file cannot be read or written.
    File(io::Error),
    /// It holds something else, or no certificate can be made.
    Tls(TlsError),
}

/// Returns the authority's certificate in PEM and the server's identity, as they are kept in `directory`. They are made and
/// kept where there are none, or where they are for other names.
pub(crate) fn identity(directory: &Path, names: &[String]) -> Result<(String, Identity), KeptError> {
    let path = directory.join(FILE);
    let first = format!("{NAMES} {}", names.join(" "));
    match fs::read_to_string(&path) {
        Ok(text) => {
            if let Some(kept) = text.strip_prefix(&first).and_then(|rest| rest.strip_prefix('\n')) {
                return parse(kept).map_err(KeptError::Tls);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(KeptError::File(error)),
    }
    let authority = Authority::new().map_err(KeptError::Tls)?;
    let identity = authority.issue(names, Flaw::None).map_err(KeptError::Tls)?;
    let text = identity.to_text().map_err(KeptError::Tls)?;
    write(&path, &format!("{first}\n{}{text}", authority.pem())).map_err(KeptError::File)?;
    Ok((authority.pem().to_owned(), identity))
}

fn parse(kept: &str) -> Result<(String, Identity), TlsError> {
    const END: &str = "-----END CERTIFICATE-----\n";
    // Without an end, what follows is empty, and is refused as such.
    let end = kept.find(END).map_or(kept.len(), |at| at + END.len());
    let (authority, identity) = kept.split_at(end);
    Ok((authority.to_owned(), Identity::from_text(identity)?))
}

/// Writes the whole file or none.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_server_that_begins_again_is_the_same_one_and_for_other_names_another_one() {
        let folder = tempfile::tempdir().expect("a directory");
        let (authority, identity) = identity(folder.path(), &names(&["inbox"])).expect("a new one");
        let (again, same) = super::identity(folder.path(), &names(&["inbox"])).expect("the kept one");
        assert_eq!((&authority, identity.pem()), (&again, same.pem()));
        same.server_config(&[]).expect("its key is its own");
        let (other, _) = super::identity(folder.path(), &names(&["inbox", "mail"])).expect("a new one");
        assert_ne!(authority, other);
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_can_read_the_key() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a directory");
        identity(folder.path(), &[]).expect("a new one");
        let metadata = fs::metadata(folder.path().join(FILE)).expect("it was kept");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let folder = tempfile::tempdir().expect("a directory");
        fs::write(folder.path().join(FILE), "names: \nnothing of use").expect("a writable directory");
        assert!(matches!(identity(folder.path(), &[]), Err(KeptError::Tls(_))));
    }
}
