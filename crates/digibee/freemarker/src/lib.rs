//! FreeMarker templates for the bodies of email: parsed once, rendered once for each message.
//!
//! This is the part of FreeMarker 2.3 that bodies use, with exactly its semantics: a missing value is an error unless
//! `!` or `??` handles it, numbers are written in the locale's form (`1,234.5`), booleans have no text form by default,
//! arithmetic is decimal, and a line with only directives leaves no line in the output. Everything else (macros,
//! includes, `?eval`, `?new`, Java objects, output formats) is refused by name when the template is parsed, so that no
//! output is ever half rendered.
//!
//! It is not a general template engine. It loads no files, calls no code, reads no clock, and each rendering is limited
//! in time and memory by [`Limits`].
//!
//! Order of calls: [`Template::parse`] on the pieces of the source, then [`Template::render`] for each model. Results
//! of the caller's own expressions are passed in as [`Piece::Value`]: their text is data in every place, in the text or
//! in a string literal, and is never read as template.
//!
//! ```
//! use pipepost_freemarker::{Context, Model, Options, Piece, Template};
//!
//! let pieces = [Piece::Source("Dear ${name}, you owe us ${total?string(\"0.00\")}. "), Piece::Value { index: 0, source: "{{ message.note }}" }];
//! let template = Template::parse(&pieces, &Options::default())?;
//! let model = serde_json::json!({ "name": "Ana", "total": 12.5 });
//! let text = template.render(&Model::new(&model), &["See ${page} 2.".to_owned()], &Context::default())?;
//! assert_eq!(text, "Dear Ana, you owe us 12.50. See ${page} 2.");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod analysis;
mod apply;
mod apply_sequence;
mod apply_string;
mod ast;
mod builtins;
mod directives;
mod error;
mod eval;
mod iso;
mod layout;
mod number;
mod parse_assign;
mod parse_expr;
mod parse_primary;
mod parse_text;
mod parser;
mod reference;
mod render;
mod settings;
mod slices;
mod source;
mod strings;
mod value;

pub use analysis::{Reference, Unescaped};
pub use error::{ParseError, Position, RenderError, RenderErrorKind};
use jiff::Timestamp;
use jiff::tz::TimeZone;
pub use pipepost_java_format::Locale;
pub use reference::{
    EXAMPLE_MODEL, TemplateReference, builtin_reference, directive_reference, template_markdown, template_names,
};
use serde_json::Value;
pub use source::Piece;

/// The options for reading a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Whether inserted text is escaped.
    pub escape: Escape,
    /// The limits of each rendering.
    pub limits: Limits,
}

/// Whether interpolations and inserted values are escaped automatically.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Escape {
    /// They are escaped only where the template says so, as in FreeMarker without an output format.
    #[default]
    None,
    /// They are escaped as by `?html`, except for interpolations that end in `?html`, `?xhtml`, `?xml` or `?no_esc`.
    Html,
}

/// The limits of a rendering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest size in bytes of the output, and of each intermediate text.
    pub output: usize,
    /// The largest number of steps of work: one for each iteration, interpolation, condition and built-in, four for
    /// each element of a sequence that is made, and one for each 16 bytes of text.
    pub work: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            output: 8 * 1024 * 1024,
            work: 10_000_000,
        }
    }
}

/// The data that a template renders: the fields of an object are its variables. More variables may be laid over it
/// without a copy of the object.
#[derive(Debug, Clone, Copy)]
pub struct Model<'a> {
    root: &'a Value,
    overlay: &'a [(&'a str, &'a Value)],
}

impl<'a> Model<'a> {
    /// Makes a model of the fields of `root`. A value that is not an object has no fields.
    pub fn new(root: &'a Value) -> Self {
        Self { root, overlay: &[] }
    }

    /// Lays variables over the model: each hides the field of the same name, and a null makes the field missing.
    pub fn with(self, overlay: &'a [(&'a str, &'a Value)]) -> Self {
        Self { overlay, ..self }
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        let laid = self
            .overlay
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| *value);
        laid.or_else(|| self.root.get(name))
    }
}

/// The locale, time zone and time of a rendering.
#[derive(Debug, Clone)]
pub struct Context {
    /// The locale of numbers and dates, until `<#setting locale=...>` changes it.
    pub locale: Locale,
    /// The zone in which dates are written.
    pub time_zone: TimeZone,
    /// The time that `.now` gives, and to which two-digit years are near.
    pub now: Timestamp,
}

impl Default for Context {
    /// English, UTC, and the epoch for the present.
    fn default() -> Self {
        Self {
            locale: Locale::EnUs,
            time_zone: TimeZone::UTC,
            now: Timestamp::UNIX_EPOCH,
        }
    }
}

/// A parsed template.
#[derive(Debug)]
pub struct Template {
    block: ast::Block,
    texts: Vec<String>,
    options: Options,
    html: bool,
    square_bracket: Option<Position>,
}

impl Template {
    /// Parses a template from the pieces of its source. Lines and columns count over the whole source, in which an
    /// inserted value has the length of its source text.
    ///
    /// # Errors
    /// Fails on a malformed template, something that is not supported, or a [`Piece::Value`] that is neither in text
    /// nor in a string literal.
    pub fn parse(pieces: &[Piece<'_>], options: &Options) -> Result<Self, ParseError> {
        let parsed = parser::Parser::parse(pieces, options.escape == Escape::Html)?;
        Ok(Self {
            block: parsed.block,
            texts: parsed.texts,
            options: *options,
            html: parsed.html,
            square_bracket: parsed.square_bracket,
        })
    }

    /// Renders the template with a model and the inserted values, by their index.
    ///
    /// # Errors
    /// Fails on a missing value, a value of the wrong type, or more work or text than the limits allow. The output up
    /// to that point is lost.
    pub fn render(&self, model: &Model<'_>, values: &[String], context: &Context) -> Result<String, RenderError> {
        let settings = settings::Settings::new(context.locale, context.time_zone.clone());
        let escape = self.options.escape == Escape::Html;
        render::Run::new(
            model,
            values,
            &self.texts,
            escape,
            self.options.limits,
            settings,
            context.now,
        )
        .run(&self.block)
    }

    /// Returns whether the source is HTML: it contains a tag by the name of an HTML element (`<p ...>`, `</div>`,
    /// `<br/>`), a document type or an HTML comment. A `<placeholder>` or an address in angle brackets does not count.
    pub fn is_html(&self) -> bool {
        self.html
    }

    /// Returns the position of the first directive in square brackets (`[#if ...]`, `[/#list]`). It is text here, but
    /// its author most likely meant it as a directive.
    pub fn square_bracket_directive(&self) -> Option<Position> {
        self.square_bracket
    }

    /// Returns what reaches an HTML body unescaped: every interpolation whose text may contain markup, and every
    /// inserted value in the text. The result is empty if the body is not HTML, or if escaping is on.
    pub fn unescaped(&self) -> Vec<Unescaped> {
        if self.html && self.options.escape == Escape::None {
            analysis::unescaped(&self.block)
        } else {
            Vec::new()
        }
    }

    /// Returns the paths of the model that the template reads, as far as they can be found without running it, in the
    /// order of their first use.
    pub fn references(&self) -> Vec<Reference> {
        analysis::references(&self.block)
    }
}

/// Returns whether a text contains HTML, by the same rules as [`Template::is_html`].
pub fn holds_html(text: &str) -> bool {
    text.contains('<') && source::Source::new(&[Piece::Source(text)]).is_ok_and(|source| analysis::is_html(&source))
}
