//! Limits how much the host keeps of what a connector passes to it: one budget of bytes and of JSON values for each
//! `perform`.
//!
//! An instance has a bounded memory, but what it passes to the host is kept outside of that memory: texts as they came,
//! and results as values, which take many times the size of their text (`[]` is two bytes of text and about 80 of
//! memory). Without a limit on the sum, a connector that respects its own limits could make the host use all of the
//! machine's memory.

use std::fmt;

use pipepost_core::Limits;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// What one `perform` may still hand over.
#[derive(Debug)]
pub(crate) struct KeptBudget {
    /// Bytes of one text.
    text_bytes_max: usize,
    left: Charge,
    whole: Charge,
}

/// What something takes of the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Charge {
    bytes: u64,
    values: u64,
}

/// A result that was read, with what it takes of the budget.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) value: Value,
    pub(crate) charge: Charge,
}

/// JSON that is not read until somebody wants it, with what it takes of the budget.
#[derive(Debug)]
pub(crate) struct KeptText {
    pub(crate) text: String,
    pub(crate) charge: Charge,
}

impl KeptBudget {
    /// The budget of a `perform` whose calls' parameters have this many bytes together. What is told of a call grows with
    /// what it was given: a message's recipients stand in its parameters, in what is in doubt of it, and in its output.
    pub(crate) fn new(limits: &Limits, parameter_bytes: usize) -> Self {
        let given = parameter_bytes as u64;
        let whole = Charge {
            bytes: limits
                .kept_bytes
                .max(2 * limits.json as u64)
                .saturating_add(given.saturating_mul(4)),
            values: limits.kept_values + (given / 2).min(limits.kept_values_for_calls),
        };
        Self {
            text_bytes_max: limits.json,
            left: whole,
            whole,
        }
    }

    /// Reads a result, to keep its value.
    ///
    /// # Errors
    /// How the connector violated the contract: a result that is not JSON or nests too deeply, or too much of it.
    pub(crate) fn keep_json(&mut self, text: &str) -> Result<Kept, String> {
        self.check_length(text)?;
        let values = values_at_most(text).or_else(|| values(text)).ok_or_else(not_json)?;
        let charge = self.take(text, values)?;
        let value = serde_json::from_str(text).map_err(|_| not_json())?;
        Ok(Kept { value, charge })
    }

    /// Takes a text that is kept as it is, and must be JSON.
    ///
    /// # Errors
    /// How the connector violated the contract.
    pub(crate) fn check_json(&mut self, text: &str) -> Result<(), String> {
        self.check_length(text)?;
        let values = values(text).ok_or_else(not_json)?;
        self.take(text, values).map(drop)
    }

    /// Takes a text that is read only when it is wanted, and may then turn out not to be JSON.
    ///
    /// # Errors
    /// When it is too long, or there is too much of it.
    pub(crate) fn keep_text(&mut self, text: String) -> Result<KeptText, String> {
        self.check_length(&text)?;
        // What is not JSON will not be read, and takes no more than its bytes.
        let values = values_at_most(&text).or_else(|| values(&text)).unwrap_or_default();
        let charge = self.take(&text, values)?;
        Ok(KeptText { text, charge })
    }

    /// Gives back what is not kept any longer.
    pub(crate) fn give_back(&mut self, charge: Charge) {
        self.left.bytes += charge.bytes;
        self.left.values += charge.values;
        debug_assert!(
            self.left.bytes <= self.whole.bytes && self.left.values <= self.whole.values,
            "more was given back than was taken"
        );
    }

    fn check_length(&self, text: &str) -> Result<(), String> {
        if text.len() <= self.text_bytes_max {
            return Ok(());
        }
        Err(format!(
            "it returned {} bytes, more than the {} that a result may have",
            text.len(),
            self.text_bytes_max
        ))
    }

    fn take(&mut self, text: &str, values: u64) -> Result<Charge, String> {
        let charge = Charge {
            bytes: text.len() as u64,
            values,
        };
        let Some(bytes) = self.left.bytes.checked_sub(charge.bytes) else {
            let most = self.whole.bytes;
            return Err(format!(
                "its results have more than the {most} bytes that are kept of one batch"
            ));
        };
        let Some(values) = self.left.values.checked_sub(charge.values) else {
            let most = self.whole.values;
            return Err(format!(
                "its results hold more than the {most} JSON values that are kept of one batch"
            ));
        };
        self.left = Charge { bytes, values };
        Ok(charge)
    }
}

fn not_json() -> String {
    "it returned a result that is not JSON".to_owned()
}

/// A bound that costs one look at each byte, where it is small: each value but the first follows one of these.
fn values_at_most(text: &str) -> Option<u64> {
    const SMALL: usize = 4096;
    let marks = text.bytes().filter(|byte| matches!(byte, b',' | b'[' | b':')).count();
    (marks < SMALL).then_some(marks as u64 + 1)
}

/// The number of values in a JSON text, counted without keeping any; none where the text is not JSON.
pub(crate) fn values(text: &str) -> Option<u64> {
    let mut count = 0;
    let mut reader = serde_json::Deserializer::from_str(text);
    Count(&mut count).deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    Some(count)
}

struct Count<'c>(&'c mut u64);

impl<'de> DeserializeSeed<'de> for Count<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        *self.0 += 1;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Count<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element_seed(Count(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while members.next_key::<Skipped>()?.is_some() {
            members.next_value_seed(Count(self.0))?;
        }
        Ok(())
    }
}

/// A member's name.
struct Skipped;

impl<'de> Deserialize<'de> for Skipped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(json: usize) -> Limits {
        Limits {
            json,
            ..Limits::default()
        }
    }

    #[test]
    fn values_are_counted_and_what_is_not_json_is_not() {
        for (text, expected) in [
            ("null", Some(1)),
            (r#"[[],[],{"a":1,"b":[2,"x,y"]}]"#, Some(8)),
            ("1e999", None),
            ("{} {}", None),
            ("[1,]", None),
            ("", None),
        ] {
            assert_eq!(values(text), expected, "{text}");
            if let (Some(values), Some(bound)) = (expected, values_at_most(text)) {
                assert!(values <= bound, "{text}");
            }
        }
        assert_eq!(values(&format!("{}{}", "[".repeat(400), "]".repeat(400))), None);
    }

    #[test]
    fn a_text_full_of_commas_is_one_value() {
        let text = serde_json::to_string(&",".repeat(100_000)).expect("JSON");
        assert_eq!(values_at_most(&text), None);
        let mut budget = KeptBudget::new(&within(1 << 20), 0);
        assert_eq!(budget.keep_json(&text).expect("within").charge.values, 1);
    }

    #[test]
    fn what_is_kept_has_a_bound_and_what_is_given_back_may_be_kept_again() {
        let mut budget = KeptBudget::new(&within(32 << 20), 0);
        let text = format!("[{}0]", "0,".repeat(300_000));
        let first = budget.keep_json(&text).expect("within");
        let error = budget.keep_json(&text).expect_err("together too many");
        assert!(error.contains("500000 JSON values"), "{error}");
        budget.give_back(first.charge);
        budget.keep_json(&text).expect("there is room again");
    }

    #[test]
    fn the_texts_that_are_kept_have_a_bound_together() {
        let mut budget = KeptBudget::new(&within(1 << 20), 100);
        let text = "x".repeat(1 << 20);
        let kept = (0..100).take_while(|_| budget.keep_text(text.clone()).is_ok()).count();
        assert_eq!(kept, 64);
        // Calls with more to tell have more room for it.
        let mut budget = KeptBudget::new(&within(1 << 20), 1 << 20);
        let kept = (0..100).take_while(|_| budget.keep_text(text.clone()).is_ok()).count();
        assert_eq!(kept, 68);
    }
}
