//! New refresh tokens of accounts that are in files, which are not written here.
//!
//! A provider that replaces a refresh token may end the old one, and the old one is all that the file has. The new one is
//! kept in a directory, encrypted with a key that is derived from the one in the file. So whoever has the account file can
//! read it, and whoever has only the directory cannot; and when the file gets another refresh token, what was kept for
//! the old one is never found again.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// The first octet of a file. Another one means a form that is not known here.
const VERSION: u8 = 1;

/// Separates these keys from any that another program derives from the same token.
const SALT: &[u8] = b"pipepost, a refresh token that was replaced";

/// A shorter token may be guessed, and so would be the key.
const WRITTEN_MIN: usize = 16;

/// How many octets a name is made of.
const NAME_LEN: usize = 16;

/// More than a refresh token has.
const FILE_MAX: u64 = 64 * 1024;

/// Refresh tokens that took the place of those in account files, each in a file of its own.
#[derive(Debug)]
pub struct SealedTokens {
    directory: PathBuf,
}

/// The lengths that are derived: a name and a key.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl SealedTokens {
    /// Keeps tokens in this directory, which is made when the first one comes.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    /// Returns the directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Seals a token that took the place of the written one, for whoever keeps it elsewhere. Returns a name, which only the
    /// written token leads to, and the sealed token.
    ///
    /// # Errors
    /// Returns a clause with the reason when the written token is so short that it could be guessed.
    pub fn seal(written: &Secret, new: &Secret) -> Result<(String, Vec<u8>), String> {
        if written.expose().len() < WRITTEN_MIN {
            return Err("the account's own is too short to protect it".to_owned());
        }
        let sealed = seal(written, new).zip(name(written));
        let (sealed, name) = sealed.ok_or("the system gives no random numbers")?;
        Ok((name, sealed))
    }

    /// Returns the name under which a token is kept that took the place of the written one.
    pub fn name(written: &Secret) -> Option<String> {
        name(written)
    }

    /// Opens what [`SealedTokens::seal`] returned; `None` when it is not whole, or is for another token.
    pub fn unseal(written: &Secret, sealed: Vec<u8>) -> Option<Secret> {
        open(written, sealed)
    }

    /// Keeps the token that took the place of the written one, and of what was kept for it before.
    ///
    /// # Errors
    /// Returns a clause with the reason when the directory cannot be written, and when the written token is so short that
    /// it could be guessed.
    pub fn keep(&self, written: &Secret, new: &Secret) -> Result<(), String> {
        let (name, sealed) = Self::seal(written, new)?;
        self.put(&name, &sealed)
    }

    /// Keeps a sealed token under its name, as [`SealedTokens::seal`] returned both.
    ///
    /// # Errors
    /// Returns a clause with the reason when the directory cannot be written, and for a name that was not returned there: it may
    /// come from another state, and must not lead out of the directory.
    pub fn put(&self, name: &str, sealed: &[u8]) -> Result<(), String> {
        if !is_name(name) {
            return Err("a sealed token has a name that none is kept under".to_owned());
        }
        let write = || {
            let mut builder = DirBuilder::new();
            builder.recursive(true);
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.create(&self.directory)?;
            // Another process may write the same one at the same time; each writes its own file and renames it.
            let mut nonce = [0; 8];
            SystemRandom::new()
                .fill(&mut nonce)
                .map_err(|_| io::Error::other("the system gives no random numbers"))?;
            let new = self.directory.join(format!(".{name}.{}", hex(&nonce)));
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(&new)?;
            let written = file.write_all(sealed).and_then(|()| file.sync_all());
            let renamed = written.and_then(|()| std::fs::rename(&new, self.directory.join(name)));
            if renamed.is_err() {
                // The error that matters is the first.
                drop(std::fs::remove_file(&new));
            }
            renamed
        };
        write().map_err(|error: io::Error| format!("{} cannot be written: {error}", self.directory.display()))
    }

    /// Returns all sealed tokens with their names, in no order.
    ///
    /// # Errors
    /// Returns a clause with the reason when the directory is there and cannot be read.
    pub fn all(&self) -> Result<Vec<(String, Vec<u8>)>, String> {
        let failed = |error: io::Error| format!("{} cannot be read: {error}", self.directory.display());
        let files = match std::fs::read_dir(&self.directory) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut all = Vec::new();
        for file in files {
            let file = file.map_err(failed)?;
            let name = file.file_name().to_string_lossy().into_owned();
            // One that begins with a point is being written.
            if is_name(&name) {
                let mut sealed = Vec::new();
                let opened = File::open(file.path()).map_err(failed)?;
                opened.take(FILE_MAX).read_to_end(&mut sealed).map_err(failed)?;
                all.push((name, sealed));
            }
        }
        Ok(all)
    }

    /// Returns the token that took the place of the written one; `None` when none did, or when the file is not whole.
    pub fn kept(&self, written: &Secret) -> Option<Secret> {
        let mut sealed = Vec::new();
        let file = File::open(self.directory.join(name(written)?)).ok()?;
        file.take(FILE_MAX).read_to_end(&mut sealed).ok()?;
        open(written, sealed)
    }
}

/// What is derived from the written token for one purpose.
fn derived<const N: usize>(written: &Secret, purpose: &[u8]) -> Option<Zeroizing<[u8; N]>> {
    let root: Prk = Salt::new(HKDF_SHA256, SALT).extract(written.expose().as_bytes());
    let mut bytes = Zeroizing::new([0; N]);
    root.expand(&[purpose], Length(N))
        .ok()?
        .fill(bytes.as_mut_slice())
        .ok()?;
    Some(bytes)
}

/// Whether a file of this name may be one of ours.
fn is_name(name: &str) -> bool {
    name.len() == 2 * NAME_LEN && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The name of the file: it tells nothing of the account or of the token.
fn name(written: &Secret) -> Option<String> {
    derived::<NAME_LEN>(written, b"name").map(|bytes| hex(bytes.as_slice()))
}

fn key(written: &Secret) -> Option<LessSafeKey> {
    let bytes = derived::<32>(written, b"key")?;
    Some(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes.as_slice()).ok()?))
}

fn seal(written: &Secret, new: &Secret) -> Option<Vec<u8>> {
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new().fill(&mut nonce).ok()?;
    let key = key(written)?;
    // With the capacity reserved, the tag does not leave a copy of the token behind by growing.
    let mut text = Zeroizing::new(Vec::with_capacity(new.expose().len() + AES_256_GCM.tag_len()));
    text.extend_from_slice(new.expose().as_bytes());
    let aad = Aad::from([VERSION]);
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut *text)
        .ok()?;
    let mut sealed = vec![VERSION];
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(&text);
    Some(sealed)
}

fn open(written: &Secret, sealed: Vec<u8>) -> Option<Secret> {
    let (version, rest) = sealed.split_first()?;
    if *version != VERSION || rest.len() < NONCE_LEN {
        return None;
    }
    let (nonce, text) = rest.split_at(NONCE_LEN);
    let mut text = Zeroizing::new(text.to_vec());
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let plain = key(written)?
        .open_in_place(nonce, Aad::from([VERSION]), &mut text)
        .ok()?;
    let plain = std::str::from_utf8(plain).ok()?;
    Some(Secret::from(Zeroizing::new(plain.to_owned())))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    fn kept(tokens: &SealedTokens, written: &str) -> Option<String> {
        tokens.kept(&secret(written)).map(|token| token.expose().to_owned())
    }

    const WRITTEN: &str = "1//written-in-the-file";

    #[test]
    fn a_token_is_found_by_the_one_that_it_replaced_and_by_no_other() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let tokens = SealedTokens::new(folder.path().join("a/b"));
        assert_eq!(kept(&tokens, WRITTEN), None);
        for new in ["1//PLANTED-new", "1//PLANTED-newer"] {
            tokens.keep(&secret(WRITTEN), &secret(new)).expect("kept");
            assert_eq!(kept(&tokens, WRITTEN).as_deref(), Some(new));
            assert_eq!(kept(&tokens, "1//another-in-the-file"), None);
        }
        let files: Vec<_> = std::fs::read_dir(tokens.directory())
            .expect("a folder")
            .flatten()
            .collect();
        assert_eq!(files.len(), 1, "{files:?}");
        #[cfg(unix)]
        for path in [files[0].path(), tokens.directory().to_owned()] {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&path).expect("there").permissions().mode();
            assert_eq!(mode & 0o077, 0, "{}", path.display());
        }
    }

    #[test]
    fn neither_name_nor_content_tells_a_token_and_what_was_altered_is_none() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let tokens = SealedTokens::new(folder.path());
        tokens.keep(&secret(WRITTEN), &secret("1//PLANTED-new")).expect("kept");
        let file = std::fs::read_dir(folder.path())
            .expect("a folder")
            .flatten()
            .next()
            .expect("one")
            .path();
        let sealed = std::fs::read(&file).expect("a file");
        let shown = format!("{} {}", file.display(), String::from_utf8_lossy(&sealed));
        assert!(!shown.contains("PLANTED") && !shown.contains("written"), "{shown}");
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            std::fs::write(&file, &altered).expect("written");
            assert_eq!(kept(&tokens, WRITTEN), None, "octet {at}");
            std::fs::write(&file, &sealed[..at]).expect("written");
            assert_eq!(kept(&tokens, WRITTEN), None, "cut at {at}");
        }
    }

    #[test]
    fn what_cannot_be_kept_is_told() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("file");
        std::fs::write(&file, "").expect("written");
        let error = SealedTokens::new(file.join("below")).keep(&secret(WRITTEN), &secret("x"));
        assert!(error.expect_err("a file").contains("cannot be written"));
        let error = SealedTokens::new(folder.path()).keep(&secret("short"), &secret("x"));
        assert!(error.expect_err("guessable").contains("too short"));
    }

    #[test]
    fn sealed_tokens_go_to_another_directory_and_nowhere_else() {
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        let [from, to] = ["from", "to"].map(|name| SealedTokens::new(folder.path().join(name)));
        let [written, new] = ["0123456789abcdef", "newer"].map(|text| Secret::new(text.to_owned()));
        assert_eq!(from.all(), Ok(Vec::new()), "a directory that is not there has none");
        from.keep(&written, &new).expect("a writable folder");
        std::fs::write(from.directory().join(".being-written"), "x").expect("a writable folder");
        for (name, sealed) in from.all().expect("a directory") {
            to.put(&name, &sealed).expect("a writable folder");
        }
        assert_eq!(to.kept(&written).expect("it is there").expose(), "newer");
        for name in ["../outside", "", "0123456789abcdef0123456789abcde/"] {
            to.put(name, b"x").expect_err(name);
        }
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 2);
    }
}
