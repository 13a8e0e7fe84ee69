//! What a component was compiled from and for, written next to its machine code.
//!
//! A seal is a text of four lines: the digest of the component, the digest of the machine code, the target's triple, and
//! what the component says of itself as JSON. The build script, this crate's tests and `pipepost-precompile` share this file.

/// What belongs to a component's machine code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seal<'s> {
    /// The SHA-256 digest of the component: `sha256:` and 64 hexadecimal digits.
    pub(crate) component: &'s str,
    /// The digest of the machine code, in the same form.
    pub(crate) code: &'s str,
    /// The triple of the machines that the code is for: `x86_64-unknown-linux-gnu`.
    pub(crate) target: &'s str,
    /// The component's own description and its imports and exports, as JSON on one line.
    pub(crate) description: &'s str,
}

impl<'s> Seal<'s> {
    /// Reads a seal.
    ///
    /// # Errors
    /// Returns a clause for "the machine code, which ...".
    pub(crate) fn parse(text: &'s str) -> Result<Self, String> {
        let mut lines = text.lines();
        let seal = (|| {
            Some(Self {
                component: lines.next()?,
                code: lines.next()?,
                target: lines.next()?,
                description: lines.next()?,
            })
        })();
        match (seal, lines.next()) {
            (Some(seal), None) => Ok(seal),
            _ => Err("has no seal of four lines".to_owned()),
        }
    }

    /// Checks that the seal is about this component, this code and this target.
    ///
    /// # Errors
    /// Returns a clause for "the machine code, which ...".
    pub(crate) fn check(&self, component: &str, code: &str, target: &str) -> Result<(), String> {
        if self.component != component {
            return Err(format!(
                "was compiled from {}, and the component is {component}",
                self.component
            ));
        }
        if self.code != code {
            return Err(format!("is {code}, and its seal names {}", self.code));
        }
        if self.target != target {
            return Err(format!("is for {}, and this build is for {target}", self.target));
        }
        Ok(())
    }

    /// Returns the seal as text.
    #[cfg_attr(not(test), allow(dead_code))]
    pub(crate) fn to_text(&self) -> String {
        format!(
            "{}\n{}\n{}\n{}\n",
            self.component, self.code, self.target, self.description
        )
    }
}
