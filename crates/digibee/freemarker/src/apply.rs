//! The application of built-ins: the kind of value that each one needs, and the built-ins for existence, types, loops
//! and choices.

use std::borrow::Cow;

use jiff::tz::TimeZone;
use pipepost_java_format::time_zone;

use crate::ast::{Expr, ExprKind, Operator};
use crate::builtins::Builtin;
use crate::error::{Position, RenderError};
use crate::eval::unexpected;
use crate::iso::IsoStyle;
use crate::number::Number;
use crate::render::{Run, missing};
use crate::settings::{NumberStyle, computer};
use crate::value::Value;

type Evaluated<'a> = Result<Option<Value<'a>>, RenderError>;

impl<'a> Run<'a> {
    pub(crate) fn builtin(
        &mut self,
        target: &'a Expr,
        builtin: Builtin,
        arguments: &'a [Expr],
        position: Position,
    ) -> Evaluated<'a> {
        use Builtin as B;
        self.work(1, position)?;
        if builtin.takes_missing() {
            return self.existence(target, builtin, arguments);
        }
        if builtin.is_loop() {
            return self.loop_state(target, builtin, arguments, position).map(Some);
        }
        match builtin {
            B::Then => {
                let chosen = if self.boolean(target)? {
                    arguments.first()
                } else {
                    arguments.get(1)
                };
                return match chosen {
                    Some(chosen) => self.value(chosen).map(Some),
                    None => Ok(None),
                };
            }
            B::Switch => return self.choose(target, arguments, position).map(Some),
            B::IsString
            | B::IsNumber
            | B::IsBoolean
            | B::IsDate
            | B::IsSequence
            | B::IsHash
            | B::IsEnumerable
            | B::IsIndexable => {
                let value = self.value(target)?;
                return Ok(Some(Value::Bool(is_of_type(&value, builtin))));
            }
            B::NoEsc => return self.text(target).map(|text| Some(Value::Text(text))),
            B::String => return self.string(target, arguments).map(Some),
            B::C => return self.for_machines(target).map(Some),
            B::Date | B::DateTime | B::Time | B::NumberToDate | B::NumberToDateTime | B::NumberToTime => {
                return self.date(target, builtin, arguments).map(Some);
            }
            B::Iso | B::IsoLocal | B::IsoUtc => return self.iso(target, builtin, arguments).map(Some),
            B::Long => {
                return match self.value(target)? {
                    Value::Date(date) => Ok(Some(Value::Number(Number::Integer(
                        date.when.timestamp().as_millisecond(),
                    )))),
                    Value::Number(number) => Ok(Some(number_builtin(number, builtin))),
                    other => Err(unexpected(target, "a number or a date", &other)),
                };
            }
            B::Abs | B::Ceiling | B::Floor | B::Round | B::Int | B::IsNan | B::IsInfinite => {
                let number = self.number(target)?;
                return Ok(Some(number_builtin(number, builtin)));
            }
            B::Filter | B::Map | B::TakeWhile | B::DropWhile => {
                let value = self.value(target)?;
                return self.each(value, target, builtin, arguments, position).map(Some);
            }
            B::First
            | B::Sequence
            | B::Last
            | B::Size
            | B::Reverse
            | B::Sort
            | B::SortBy
            | B::Join
            | B::SeqContains
            | B::SeqIndexOf
            | B::SeqLastIndexOf
            | B::Chunk
            | B::Min
            | B::Max
            | B::Keys
            | B::Values => {
                let value = self.value(target)?;
                return self.collection(value, target, builtin, arguments, position);
            }
            _ => {}
        }
        let text = self.text(target)?;
        self.work(text.len() / 16, position)?;
        self.string_builtin(text, builtin, arguments, position).map(Some)
    }

    fn existence(&mut self, target: &'a Expr, builtin: Builtin, arguments: &'a [Expr]) -> Evaluated<'a> {
        let value = self.lenient(target)?;
        // An argument is evaluated also when it is not needed.
        let fallback = match arguments.first() {
            Some(fallback) => self.eval(fallback)?,
            None => None,
        };
        Ok(Some(match (builtin, value) {
            (Builtin::Exists, value) => Value::Bool(value.is_some()),
            (Builtin::HasContent, value) => Value::Bool(value.is_some_and(|value| self.has_content(&value))),
            (Builtin::IfExists, value) => value.unwrap_or(Value::Nothing),
            (_, Some(value)) => value,
            (_, None) => return Ok(fallback),
        }))
    }

    fn has_content(&self, value: &Value<'a>) -> bool {
        match value {
            Value::Text(text) => !text.is_empty(),
            Value::Nothing => false,
            Value::Number(_) | Value::Bool(_) | Value::Date(_) | Value::Model | Value::Variables => true,
            Value::Range(range) => range.length != Some(0),
            Value::Json(serde_json::Value::Object(entries)) => !entries.is_empty(),
            Value::Hash(entries) => !entries.content.is_empty(),
            other => other.len() != Some(0),
        }
    }

    fn loop_state(
        &mut self,
        target: &'a Expr,
        builtin: Builtin,
        arguments: &'a [Expr],
        position: Position,
    ) -> Result<Value<'a>, RenderError> {
        use Builtin as B;
        let current = match &target.kind {
            ExprKind::Variable(name) => self.loop_of(name),
            _ => None,
        };
        let Some(current) = current else {
            return Err(RenderError::invalid(
                position,
                "there is no loop with this variable here",
            ));
        };
        let (index, has_next) = (current.index, current.has_next());
        let odd = index % 2 == 0;
        Ok(match builtin {
            B::Index => Value::integer(index),
            B::Counter => Value::integer(index + 1),
            B::HasNext => Value::Bool(has_next),
            B::IsFirst => Value::Bool(index == 0),
            B::IsLast => Value::Bool(!has_next),
            B::IsOddItem => Value::Bool(odd),
            B::IsEvenItem => Value::Bool(!odd),
            B::ItemParity => Value::text(if odd { "odd" } else { "even" }),
            B::ItemParityCap => Value::text(if odd { "Odd" } else { "Even" }),
            _ => match arguments.get(index % arguments.len().max(1)) {
                Some(chosen) => self.value(chosen)?,
                None => return Err(missing(position, "the argument")),
            },
        })
    }

    fn choose(
        &mut self,
        target: &'a Expr,
        arguments: &'a [Expr],
        position: Position,
    ) -> Result<Value<'a>, RenderError> {
        let wanted = self.value(target)?;
        let (pairs, rest) = arguments.as_chunks::<2>();
        for [case, result] in pairs {
            let candidate = self.value(case)?;
            if self.compare(Operator::Equal, &wanted, &candidate, case.position)? {
                return self.value(result);
            }
        }
        match rest.first() {
            Some(otherwise) => self.value(otherwise),
            None => Err(RenderError::invalid(
                position,
                "no case of ?switch fits, and it has no default",
            )),
        }
    }

    fn string(&mut self, target: &'a Expr, arguments: &'a [Expr]) -> Result<Value<'a>, RenderError> {
        let value = self.value(target)?;
        let position = target.position;
        match (value, arguments) {
            (Value::Bool(value), [yes, no]) => {
                let (yes, no) = (self.text(yes)?, self.text(no)?);
                Ok(Value::Text(if value { yes } else { no }))
            }
            (Value::Bool(value), []) => Ok(match self.settings.booleans() {
                Some((yes, no)) => Value::text(if value { yes } else { no }),
                None => Value::text(value.to_string()),
            }),
            (Value::Number(number), [format]) => {
                let format_text = self.text(format)?;
                let style = NumberStyle::parse(&format_text)
                    .map_err(|problem| RenderError::invalid(format.position, problem))?;
                Ok(Value::text(style.write(number, self.settings.locale)))
            }
            (Value::Date(date), [format]) => {
                let format_text = self.text(format)?;
                let style = crate::settings::DateStyle::parse(&format_text)
                    .map_err(|problem| RenderError::invalid(format.position, problem))?;
                Ok(Value::text(style.write(&date, &self.settings)))
            }
            (value, []) => self
                .printed(value, || crate::render::describe(target), position)
                .map(Value::Text),
            (Value::Bool(_), _) => Err(RenderError::invalid(
                position,
                "?string wants two texts for a boolean: one for true, one for false",
            )),
            (other, _) => Err(RenderError::invalid(
                position,
                format!("{} cannot be written with this format", other.kind()),
            )),
        }
    }

    /// The first argument is what the built-in's name says besides: `m_nz`.
    fn iso(&mut self, target: &'a Expr, builtin: Builtin, arguments: &'a [Expr]) -> Result<Value<'a>, RenderError> {
        let date = match self.value(target)? {
            Value::Date(date) => date,
            other => return Err(unexpected(target, "a date", &other)),
        };
        let form = self.argument(arguments, 0)?.unwrap_or_default();
        let zone = match (builtin, arguments.get(1)) {
            (Builtin::IsoUtc, _) => TimeZone::UTC,
            (Builtin::Iso, Some(written)) => {
                let name = self.text(written)?;
                let unknown = || RenderError::invalid(written.position, format!("the time zone '{name}' is not known"));
                time_zone(&name).ok_or_else(unknown)?
            }
            _ => self.settings.zone.clone(),
        };
        let style = IsoStyle::of_builtin(&form);
        Ok(Value::text(style.write(&date.when.with_time_zone(zone), date.kind)))
    }

    fn for_machines(&mut self, target: &'a Expr) -> Result<Value<'a>, RenderError> {
        match self.value(target)? {
            Value::Number(number) => Ok(Value::text(computer(number))),
            Value::Bool(value) => Ok(Value::text(value.to_string())),
            other => Err(unexpected(target, "a number or a boolean", &other)),
        }
    }

    /// A string that is an argument. Other values do not become strings here.
    pub(crate) fn argument(
        &mut self,
        arguments: &'a [Expr],
        index: usize,
    ) -> Result<Option<Cow<'a, str>>, RenderError> {
        let Some(argument) = arguments.get(index) else {
            return Ok(None);
        };
        match self.value(argument)? {
            Value::Text(text) => Ok(Some(text)),
            Value::Nothing => Ok(Some(Cow::Borrowed(""))),
            other => Err(unexpected(argument, "a string", &other)),
        }
    }

    /// The whole number of an argument.
    pub(crate) fn whole(&mut self, arguments: &'a [Expr], index: usize) -> Result<Option<i64>, RenderError> {
        arguments
            .get(index)
            .map(|argument| self.number(argument).map(Number::truncate))
            .transpose()
    }
}

fn is_of_type(value: &Value<'_>, builtin: Builtin) -> bool {
    match builtin {
        Builtin::IsString => matches!(value, Value::Text(_) | Value::Nothing),
        Builtin::IsNumber => matches!(value, Value::Number(_)),
        Builtin::IsBoolean => matches!(value, Value::Bool(_)),
        Builtin::IsDate => matches!(value, Value::Date(_)),
        Builtin::IsHash => value.is_hash(),
        _ => value.is_sequence(),
    }
}

fn number_builtin<'a>(number: Number, builtin: Builtin) -> Value<'a> {
    match builtin {
        Builtin::IsNan => Value::Bool(number.to_f64().is_nan()),
        Builtin::IsInfinite => Value::Bool(number.to_f64().is_infinite()),
        Builtin::Abs => Value::Number(number.abs()),
        Builtin::Ceiling => Value::Number(number.ceiling()),
        Builtin::Floor => Value::Number(number.floor()),
        Builtin::Round => Value::Number(number.round()),
        _ => Value::Number(number.whole()),
    }
}
