//! The name that was probably meant.

/// The known name nearest to `written`, when it is near enough to be worth saying.
pub(crate) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Names come from documents of any size; comparing is quadratic, and nobody mistypes a name this long.
    if written.len() > 200 {
        return None;
    }
    let fold = |name: &str| name.to_lowercase().replace(['-', '_', ' '], "");
    let wanted = fold(written);
    known
        .into_iter()
        .take(1000)
        .map(|name| (strsim::normalized_damerau_levenshtein(&wanted, &fold(name)), name))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// The advice that names it.
pub(crate) fn advise<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(written, known).map(|name| format!("the nearest known is `{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_hyphens_and_typing_errors_are_bridged() {
        let known = ["smtpHost", "smtpPort", "subject", "isOverTLS"];
        assert_eq!(nearest("smtpPrt", known), Some("smtpPort"));
        assert_eq!(nearest("SMTP-HOST", known), Some("smtpHost"));
        assert_eq!(nearest("zebra", known), None);
    }
}
