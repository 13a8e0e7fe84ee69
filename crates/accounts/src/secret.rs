//! A value that nobody may see.

use std::fmt;

use zeroize::Zeroizing;

/// A resolved secret: a password, an access token, a key.
///
/// Its memory is overwritten when it is dropped. It has no `Display`, no `Clone` and no serialisation, and its `Debug`
/// shows neither its content nor its length, so that the one way to the value is [`Secret::expose`], which a search
/// through the code finds.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a value over. The caller's own copies, if any, are the caller's to overwrite.
    pub fn new(value: String) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The value itself. Keep what is made from it in [`Zeroizing`] memory.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl From<Zeroizing<String>> for Secret {
    fn from(value: Zeroizing<String>) -> Self {
        Self(value)
    }
}
