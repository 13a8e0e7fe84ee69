//! Names and values of a form or a query.

use crate::charset::{Charset, NotText};
use crate::encoded::form_octets;
use crate::problem::{Problem, ProblemKind};

/// How much of a name a sentence shows.
const SHOWN_MAX: usize = 80;

/// Where names and values come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PairsOf {
    /// A body of `application/x-www-form-urlencoded`.
    Form,
    /// What follows the question mark of a request's target.
    Query,
}

/// Reads the names and values of a query, in their order.
///
/// # Errors
/// A problem of the kind `bad-request` that names the parameter that is not UTF-8.
pub(crate) fn query_pairs(query: &str) -> Result<Vec<(String, String)>, Problem> {
    pairs(query.as_bytes(), &Charset::utf8(), PairsOf::Query)
}

/// Reads names and values whose octets are of this charset, in their order.
///
/// # Errors
/// A problem of the kind `bad-request` that names what is not of the charset.
pub(crate) fn pairs(encoded: &[u8], charset: &Charset, of: PairsOf) -> Result<Vec<(String, String)>, Problem> {
    let mut found = Vec::new();
    for pair in encoded.split(|&octet| octet == b'&').filter(|pair| !pair.is_empty()) {
        let mut halves = pair.splitn(2, |&octet| octet == b'=');
        let name = halves.next().unwrap_or_default();
        let value = halves.next().unwrap_or_default();
        let name = charset.decode(&form_octets(name)).map_err(|error| {
            let shown = name.escape_ascii().to_string();
            refused(of, "The name of", &shown, &error)
        })?;
        let value = charset
            .decode(&form_octets(value))
            .map_err(|error| refused(of, "The value of", &name, &error))?;
        found.push((name, value));
    }
    Ok(found)
}

fn refused(of: PairsOf, subject: &str, name: &str, error: &NotText) -> Problem {
    let mut shown: String = name.chars().take(SHOWN_MAX).collect();
    if shown.len() < name.len() {
        shown.push('…');
    }
    let detail = match of {
        PairsOf::Form => format!(
            "{subject} the form's field `{shown}` {error}; send UTF-8, or say its charset in the `Content-Type`."
        ),
        PairsOf::Query => format!("{subject} the query's parameter `{shown}` {error}; send UTF-8."),
    };
    Problem::new(ProblemKind::BadRequest, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_in_their_order() {
        let found = query_pairs("a=1&&b&a=%C3%A9+x=y&=").expect("pairs");
        let expected = [("a", "1"), ("b", ""), ("a", "é x=y"), ("", "")];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(query_pairs("").expect("none"), []);
    }

    #[test]
    fn what_is_not_of_the_charset_is_named() {
        let name = "x".repeat(5000);
        for (query, says) in [
            (
                "a=1&n=J%FCrgen",
                "The value of the query's parameter `n` is not UTF-8: byte 1",
            ),
            (
                "J%FCrgen=1",
                "The name of the query's parameter `J%FCrgen` is not UTF-8",
            ),
            (&format!("{name}=%FC"), "xxx…` is not UTF-8"),
        ] {
            let problem = query_pairs(query).expect_err(query);
            assert_eq!(problem.status().as_u16(), 400);
            assert!(problem.detail().contains(says), "{}", problem.detail());
            assert!(problem.detail().len() < 250 && problem.detail().ends_with('.'));
        }
    }
}
