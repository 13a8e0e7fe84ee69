//! The client file that a provider's console gives for download.

use std::path::Path;

use zeroize::Zeroizing;

use crate::document::Node;
use crate::error::{Error, ErrorKind, Place};
use crate::secret::Secret;

/// A client's name and secret, from the JSON that Google's console offers for download.
#[derive(Debug)]
pub struct ClientFile {
    /// The value for the account's `client_id`.
    pub client_id: String,
    /// The value for the account's `client_secret`.
    pub client_secret: Option<Secret>,
    /// Whether it is a Web application. Its redirect addresses must be registered, so choose a fixed port then.
    pub is_web: bool,
}

impl ClientFile {
    /// Reads a client file.
    ///
    /// # Errors
    /// Returns [`ErrorKind::File`] when the file cannot be read, and [`ErrorKind::Invalid`] when it is not a client
    /// file.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let place = Place::file(path);
        let text = std::fs::read_to_string(path).map(Zeroizing::new).map_err(|error| {
            Error::new(
                ErrorKind::File,
                place.clone(),
                format!("the client file cannot be read ({error}); correct the path"),
            )
        })?;
        Self::parse(&text).map_err(|message| Error::new(ErrorKind::Invalid, place, message))
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let Ok(Node::Object(document)) = Node::parse(text) else {
            return Err("this is not a client file; download the client's JSON from the provider's console");
        };
        let section = |name: &str| {
            document.iter().find_map(|(key, value)| match value {
                Node::Object(section) if key == name => Some(section),
                _ => None,
            })
        };
        let (client, is_web) = match (section("installed"), section("web")) {
            (Some(client), _) => (client, false),
            (None, Some(client)) => (client, true),
            (None, None) => {
                return Err(
                    "this JSON has neither \"installed\" nor \"web\"; download an OAuth client's JSON, not a service account's key",
                );
            }
        };
        let text = |name: &str| {
            client.iter().find_map(|(key, value)| match value {
                Node::Text(text) if key == name && !text.is_empty() => Some(text.clone()),
                _ => None,
            })
        };
        let client_id = text("client_id")
            .ok_or("the client file has no \"client_id\"; download it anew")?
            .to_string();
        Ok(Self {
            client_id,
            client_secret: text("client_secret").map(Secret::from),
            is_web,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_client_are_read() {
        let file =
            ClientFile::parse(r#"{"installed":{"client_id":"id","client_secret":"PLANTED"}}"#).expect("a client");
        assert_eq!((file.client_id.as_str(), file.is_web), ("id", false));
        assert_eq!(file.client_secret.as_ref().map(Secret::expose), Some("PLANTED"));
        assert!(!format!("{file:?}").contains("PLANTED"));
        assert!(
            ClientFile::parse(r#"{"web":{"client_id":"id"}}"#)
                .expect("a client")
                .is_web
        );
        for text in ["", "[]", r#"{"type":"service_account"}"#, r#"{"web":{}}"#] {
            assert!(ClientFile::parse(text).is_err(), "{text}");
        }
    }
}
