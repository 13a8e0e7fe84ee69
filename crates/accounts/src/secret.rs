//! A value that nobody may see.

use std::fmt;

use zeroize::Zeroizing;

/// A resolved secret: a password, an access token, a key.
///
/// Its memory is overwritten when it is dropped. It has no `Display`, no `Clone` and no serialisation, and its `Debug`
/// shows neither its content nor its length. So the only way to the value is [`Secret::expose`], which a search through
/// the code finds.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes ownership of a value. If the caller has copies of its own, the caller must overwrite them.
    pub fn new(value: String) -> Self {
        Self(Zeroizing::new(value))
    }

    /// Returns the value itself. Keep what is made from it in [`Zeroizing`] memory.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Checks whether the value is empty.
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
