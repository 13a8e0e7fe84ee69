use serde_json::Value;

use crate::Scope;

/// The environment of a run as expressions see it: its scopes, its clock, its source of randomness and its directory.
///
/// Values are borrowed, never copied: looking up `message.a` in a large message costs only the look-up.
pub trait Context {
    /// Returns the value that the paths of a scope start from. `None` makes each of them null.
    ///
    /// It is never called with [`Scope::Account`]: see [`account`](Self::account).
    fn root(&self, scope: Scope) -> Option<&Value>;

    /// Returns the fields of the account with this label, or of the step's own account if the label is `None`
    /// (`account.username`).
    ///
    /// The value must hold only what an expression may see; secrets do not belong in it. In comparisons of field names
    /// upper and lower case are the same, and so are `-` and `_`.
    fn account(&self, label: Option<&str>) -> Option<&Value> {
        let _ = label;
        None
    }

    /// Returns the current time, as `NOW()` shows it.
    fn now(&self) -> jiff::Timestamp;

    /// Returns the next 64 random bits, for `RANDOMNUMBERS`, `RANDOMSTRINGS` and `UUID`.
    fn random(&self) -> u64;

    /// Returns the size in bytes of a file in the run's directory; `None` if there is no such file.
    ///
    /// # Errors
    /// Returns a sentence for the person who wrote the expression, if the name leads out of the directory or the file
    /// cannot be examined.
    fn file_size(&self, name: &str) -> Result<Option<u64>, String> {
        let _ = name;
        Ok(None)
    }

    /// Returns the time zone of dates for which neither the text nor the call names one. The default is UTC.
    fn time_zone(&self) -> jiff::tz::TimeZone {
        jiff::tz::TimeZone::UTC
    }

    /// Returns whether an evaluation may continue. It is called repeatedly during an evaluation, so that a long
    /// evaluation ends together with its run. It should cost no more than reading a flag or a clock.
    fn may_go_on(&self) -> bool {
        true
    }

    /// Returns the names of fields whose values are shown as `***`, at any depth, in every scope. See [`Masked`].
    fn sensitive_fields(&self) -> &[String] {
        &[]
    }
}

/// A context in which the values of some fields are `***`, for logs and traces.
pub struct Masked<'a> {
    context: &'a dyn Context,
    fields: &'a [String],
}

impl<'a> Masked<'a> {
    /// Masks the fields with these names (compared exactly), at any depth, in every scope.
    pub fn new(context: &'a dyn Context, fields: &'a [String]) -> Self {
        Masked { context, fields }
    }
}

impl Context for Masked<'_> {
    fn root(&self, scope: Scope) -> Option<&Value> {
        self.context.root(scope)
    }

    fn account(&self, label: Option<&str>) -> Option<&Value> {
        self.context.account(label)
    }

    fn now(&self) -> jiff::Timestamp {
        self.context.now()
    }

    fn random(&self) -> u64 {
        self.context.random()
    }

    fn file_size(&self, name: &str) -> Result<Option<u64>, String> {
        self.context.file_size(name)
    }

    fn time_zone(&self) -> jiff::tz::TimeZone {
        self.context.time_zone()
    }

    fn may_go_on(&self) -> bool {
        self.context.may_go_on()
    }

    fn sensitive_fields(&self) -> &[String] {
        self.fields
    }
}
