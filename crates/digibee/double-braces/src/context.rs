use serde_json::Value;

use crate::Scope;

/// What the expressions of a run can see: its scopes, its clock, its source of randomness and its directory.
///
/// Values are lent, never copied: looking up `message.a` in a large message costs nothing but the look-up.
pub trait Context {
    /// The value that the paths of a scope start from. `None` makes each of them null.
    ///
    /// [`Scope::Account`] is never asked for here: see [`account`](Self::account).
    fn root(&self, scope: Scope) -> Option<&Value>;

    /// The fields of the account with this label, or of the step's own account when there is none (`account.username`).
    ///
    /// It must hold only what an expression may see; secrets do not belong in it. Field names are compared without
    /// case, with `-` and `_` alike.
    fn account(&self, label: Option<&str>) -> Option<&Value> {
        let _ = label;
        None
    }

    /// The current time, as `NOW()` shows it.
    fn now(&self) -> jiff::Timestamp;

    /// The next 64 random bits, for `RANDOMNUMBERS`, `RANDOMSTRINGS` and `UUID`.
    fn random(&self) -> u64;

    /// The size in bytes of a file of the run's directory; `None` when there is no such file.
    ///
    /// # Errors
    ///
    /// A sentence for the person who wrote the expression, when the name leads out of the directory or the file cannot
    /// be looked at.
    fn file_size(&self, name: &str) -> Result<Option<u64>, String> {
        let _ = name;
        Ok(None)
    }

    /// The time zone of dates for which neither the text nor the call names one. UTC unless said otherwise.
    fn time_zone(&self) -> jiff::tz::TimeZone {
        jiff::tz::TimeZone::UTC
    }

    /// Whether an evaluation may go on. It is asked again and again while an evaluation works, so that one that takes long
    /// ends with the run whose part it is; it should cost no more than looking at a flag or a clock.
    fn may_go_on(&self) -> bool {
        true
    }

    /// The names of fields whose values are shown as `***`, at any depth, in every scope. See [`Masked`].
    fn sensitive_fields(&self) -> &[String] {
        &[]
    }
}

/// A context in which the values of some fields are `***`: for what is written to logs and traces.
pub struct Masked<'a> {
    context: &'a dyn Context,
    fields: &'a [String],
}

impl<'a> Masked<'a> {
    /// Lays a mask over the fields with these names (compared exactly), at any depth, in every scope.
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
