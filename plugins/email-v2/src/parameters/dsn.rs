//! The parameter `dsn` (RFC 3461).

use pipepost_smtp::{DsnError, DsnRequest, EnvelopeId};
use serde_json::Value;

use super::fields::{shown, structured, text};
use crate::failure::Failure;

const KEY: &str = "dsn";

/// What the step asks of delivery status notifications: an object with `notify` (text, or an array of words), `ret` and
/// `envid`. What it leaves out the account may say.
pub(super) fn request(value: Value) -> Result<DsnRequest, Failure> {
    let mut object = match structured(KEY, value)? {
        Value::Null => return Ok(DsnRequest::default()),
        Value::Object(object) => object,
        other => {
            return Err(Failure::invalid(
                KEY,
                format_args!(
                    "`{}` is no object with `notify`, `ret` and `envid`",
                    shown(&other.to_string())
                ),
            ));
        }
    };
    let notify = match object.remove("notify").unwrap_or_default() {
        Value::Array(words) => {
            let words = words.into_iter().map(|word| text("dsn.notify", word));
            let words: Vec<String> = words.filter_map(Result::transpose).collect::<Result<_, _>>()?;
            Some(words.join(","))
        }
        value => text("dsn.notify", value)?,
    };
    let ret = text("dsn.ret", object.remove("ret").unwrap_or_default())?;
    let envelope_id = text("dsn.envid", object.remove("envid").unwrap_or_default())?;
    if let Some(unknown) = object.keys().next() {
        return Err(Failure::invalid(
            KEY,
            format_args!("it has `notify`, `ret` and `envid`, and no `{}`", shown(unknown)),
        ));
    }
    Ok(DsnRequest {
        notify: read("dsn.notify", notify, str::parse)?,
        ret: read("dsn.ret", ret, str::parse)?,
        envelope_id: read("dsn.envid", envelope_id, EnvelopeId::parse)?,
    })
}

/// A text as one of the values; blank is none.
fn read<T>(
    key: &str,
    written: Option<String>,
    parse: impl FnOnce(&str) -> Result<T, DsnError>,
) -> Result<Option<T>, Failure> {
    let Some(written) = written else { return Ok(None) };
    match written.trim() {
        "" => Ok(None),
        trimmed => match parse(trimmed) {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(Failure::invalid(
                key,
                format_args!("`{}` cannot be asked for: {error}", shown(trimmed)),
            )),
        },
    }
}
