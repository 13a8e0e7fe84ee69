//! The template's text: interpolations, comments and directives.

use crate::ast::{Block, Expr, Inserted, Interpolation, Node};
use crate::error::{ParseError, Position};
use crate::layout::{Kind, Layout};
use crate::source::{Piece, Source, Unit};

/// Deepest nesting of parentheses, brackets and arguments.
pub(crate) const MAX_NESTING: usize = 60;
/// Most levels of one expression, counting each operator of a chain.
pub(crate) const MAX_DEPTH: usize = 150;
/// Deepest nesting of directives.
const MAX_BLOCKS: usize = 60;

/// Reads a template. Fields that expressions and directives share are visible to their modules.
pub(crate) struct Parser {
    pub(crate) source: Source,
    pub(crate) at: usize,
    /// Inside a directive's tag, where `>` ends it.
    pub(crate) in_tag: bool,
    pub(crate) parentheses: usize,
    pub(crate) nesting: usize,
    blocks: usize,
    /// Variables of the surrounding loops.
    pub(crate) scope: Vec<String>,
    /// Whether the template's escape option is on.
    pub(crate) escaping: bool,
    /// What `<#escape>` directives wrap around each interpolation: the variable, and the expression that uses it.
    pub(crate) escapes: Vec<(String, Expr)>,
    /// How many loops and cases around here a `<#break>` could end, and loops that a `<#continue>` could go on with.
    pub(crate) breakable: usize,
    pub(crate) continuable: usize,
    pub(crate) texts: Vec<String>,
    pub(crate) layout: Layout,
    strip: bool,
}

/// A parsed template, before analysis.
pub(crate) struct Parsed {
    pub(crate) block: Block,
    pub(crate) texts: Vec<String>,
    pub(crate) html: bool,
    pub(crate) square_bracket: Option<Position>,
}

/// The tag that ended a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The template's end.
    End,
    /// `<#else>`, `<#elseif`, `<#case`, `<#default>`: a tag that starts the next part; its name is consumed.
    Part(String, usize),
    /// `</#name>`, consumed whole.
    Close(String, usize),
}

impl Parser {
    pub(crate) fn parse(pieces: &[Piece<'_>], escaping: bool) -> Result<Parsed, ParseError> {
        let mut parser = Self::over(Source::new(pieces)?, escaping);
        let start = (0..parser.source.len()).find(|at| !parser.source.char(*at).is_some_and(char::is_whitespace));
        if let Some(start) = start.filter(|start| parser.source.starts_with(*start, "[#ftl")) {
            return Err(ParseError::unsupported(
                parser.source.position(start),
                "the syntax with square brackets ([#if]) is not supported; write <#if>",
            ));
        }
        parser.header()?;
        let (block, stop) = parser.block()?;
        match stop {
            Stop::End => {}
            Stop::Part(name, at) => {
                return Err(ParseError::new(
                    parser.source.position(at),
                    format!("<#{name}> is out of place here"),
                ));
            }
            Stop::Close(name, at) => {
                return Err(ParseError::new(
                    parser.source.position(at),
                    format!("</#{name}> closes nothing"),
                ));
            }
        }
        if parser.strip {
            parser.layout.strip(&mut parser.texts);
        }
        Ok(Parsed {
            block,
            html: crate::analysis::is_html(&parser.source),
            square_bracket: crate::analysis::square_bracket(&parser.source),
            texts: parser.texts,
        })
    }

    fn over(source: Source, escaping: bool) -> Self {
        Self {
            source,
            at: 0,
            in_tag: false,
            parentheses: 0,
            nesting: 0,
            blocks: 0,
            scope: Vec::new(),
            escaping,
            escapes: Vec::new(),
            breakable: 0,
            continuable: 0,
            texts: Vec::new(),
            layout: Layout::new(),
            strip: true,
        }
    }

    /// A parser for a text inside this one, such as a string literal's.
    pub(crate) fn within(&self, source: Source) -> Self {
        Self {
            nesting: self.nesting,
            scope: self.scope.clone(),
            ..Self::over(source, self.escaping)
        }
    }

    /// Reads until a tag that the caller has to understand, or the end.
    pub(crate) fn block(&mut self) -> Result<(Block, Stop), ParseError> {
        self.blocks += 1;
        if self.blocks > MAX_BLOCKS {
            return Err(self.error_here(format!("directives are nested more than {MAX_BLOCKS} levels deep")));
        }
        let mut nodes = Vec::new();
        let stop = loop {
            let start = self.at;
            self.skip_text();
            if self.at > start {
                nodes.push(self.text(start));
                continue;
            }
            if self.at >= self.source.len() {
                break Stop::End;
            }
            match self.markup(&mut nodes)? {
                Some(stop) => break stop,
                None => continue,
            }
        };
        self.blocks -= 1;
        Ok((nodes, stop))
    }

    /// Reads one comment, interpolation, inserted value or directive.
    fn markup(&mut self, nodes: &mut Block) -> Result<Option<Stop>, ParseError> {
        let at = self.at;
        match self.source.unit(at) {
            Some(Unit::Value(index)) => {
                self.at += 1;
                let position = self.source.position(at);
                let text = self.source.label(index).to_owned();
                self.leaf(Kind::Output, at);
                nodes.push(Node::Inserted(Inserted { index, position, text }));
                return Ok(None);
            }
            Some(Unit::Char('$')) => nodes.push(self.interpolation()?),
            Some(Unit::Char('#')) => return Err(self.numeric_interpolation()),
            _ if self.source.starts_with(at, "<#--") => {
                self.comment()?;
                self.leaf(Kind::Silent, at);
            }
            _ if self.source.starts_with(at, "<@") || self.source.starts_with(at, "</@") => {
                return Err(ParseError::unsupported(
                    self.source.position(at),
                    "calls of macros (<@name>) are not supported",
                ));
            }
            _ => return self.directive(nodes),
        }
        Ok(None)
    }

    fn directive(&mut self, nodes: &mut Block) -> Result<Option<Stop>, ParseError> {
        let at = self.at;
        let closing = self.source.starts_with(at, "</#");
        self.at += if closing { 3 } else { 2 };
        let mut name = String::new();
        while let Some(c) = self
            .source
            .char(self.at)
            .filter(|c| c.is_ascii_alphabetic() || *c == '_')
        {
            name.push(c);
            self.at += 1;
        }
        if closing {
            self.skip_blanks();
            self.expect(">")?;
            return Ok(Some(Stop::Close(crate::directives::canonical(&name), at)));
        }
        self.in_tag = true;
        let result = self.open_directive(&crate::directives::canonical(&name), at, nodes);
        self.in_tag = false;
        result
    }

    fn interpolation(&mut self) -> Result<Node, ParseError> {
        let at = self.at;
        self.at += 2;
        let value = self.expression()?;
        self.skip_blanks();
        if self.source.char(self.at) != Some('}') {
            let reason = if self.source.unit(self.at).is_none() {
                "is not closed: '}' is missing"
            } else {
                "cannot be read beyond this place: '}' or an operator is expected"
            };
            let place = if self.source.unit(self.at).is_none() {
                at
            } else {
                self.at
            };
            if matches!(self.source.unit(self.at), Some(Unit::Value(_))) {
                return Err(self.misplaced_value());
            }
            return Err(ParseError::new(
                self.source.position(place),
                format!("the interpolation {reason}"),
            ));
        }
        self.at += 1;
        self.leaf(Kind::Output, at);
        let raw =
            matches!(&value.kind, crate::ast::ExprKind::Builtin { builtin, .. } if builtin.leaves_escaping_alone());
        let value = match self.escapes.last() {
            Some((name, escape)) => self.escaped(value, name, escape)?,
            None => value,
        };
        Ok(Node::Interpolation(Interpolation {
            value,
            position: self.source.position(at),
            text: self.source.text(at, self.at),
            raw,
        }))
    }

    /// The escape's expression with the interpolation's own in place of the variable.
    fn escaped(&self, value: Expr, name: &str, escape: &Expr) -> Result<Expr, ParseError> {
        let position = value.position;
        let mut expr = escape.clone();
        let depth = expr.depth + value.depth;
        if depth > MAX_DEPTH {
            return Err(ParseError::new(
                position,
                format!("with its escape the expression has more than {MAX_DEPTH} levels"),
            ));
        }
        expr.replace_variable(name, &value);
        expr.depth = depth;
        expr.position = position;
        Ok(expr)
    }

    pub(crate) fn numeric_interpolation(&self) -> ParseError {
        ParseError::unsupported(
            self.source.position(self.at),
            "the old numeric interpolation #{...} is not supported; write ${...?string(\"0.00\")}, or ${\"#\"}{ for the characters themselves",
        )
    }

    pub(crate) fn misplaced_value(&self) -> ParseError {
        let label = match self.source.unit(self.at) {
            Some(Unit::Value(index)) => self.source.label(index),
            _ => "",
        };
        ParseError::new(
            self.source.position(self.at),
            format!(
                "{label} may stand in the text or inside a string literal, but not here: what it gives is data and no part of the template"
            ),
        )
    }

    fn comment(&mut self) -> Result<(), ParseError> {
        let start = self.at;
        self.at += 4;
        while !self.source.starts_with(self.at, "-->") {
            if self.at >= self.source.len() {
                return Err(ParseError::new(
                    self.source.position(start),
                    "the comment is not closed: '-->' is missing",
                ));
            }
            self.at += 1;
        }
        self.at += 3;
        Ok(())
    }

    /// Passes over what is only text.
    fn skip_text(&mut self) {
        while let Some(Unit::Char(c)) = self.source.unit(self.at) {
            let next = self.source.char(self.at + 1);
            let markup = match c {
                '$' | '#' => next == Some('{'),
                '<' => {
                    let slash = usize::from(next == Some('/'));
                    let letter = |offset: usize| {
                        self.source
                            .char(self.at + offset)
                            .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
                    };
                    match self.source.char(self.at + 1 + slash) {
                        Some('#') => letter(2 + slash) || (slash == 0 && self.source.starts_with(self.at, "<#--")),
                        Some('@') => letter(2 + slash) || slash == 1,
                        _ => false,
                    }
                }
                _ => false,
            };
            if markup {
                return;
            }
            self.at += 1;
        }
    }

    /// The text from `start` to here, as a node.
    pub(crate) fn text(&mut self, start: usize) -> Node {
        let id = self.texts.len();
        self.texts.push(self.source.text(start, self.at));
        self.leaf(Kind::Text(id), start);
        Node::Text(id)
    }

    /// Notes a layout element from `start` to here.
    pub(crate) fn leaf(&mut self, kind: Kind, start: usize) {
        let (begin, end) = self.lines(start);
        self.layout.leaf(kind, begin, end);
    }

    /// Line and column of `start`, and the line of the last character before here.
    pub(crate) fn lines(&self, start: usize) -> ((u32, u32), u32) {
        let begin = self.source.position(start);
        (
            (begin.line, begin.column),
            self.source.position(self.at.saturating_sub(1).max(start)).line,
        )
    }

    /// `<#ftl ...>` at the very start. What it may say is harmless or refused.
    fn header(&mut self) -> Result<(), ParseError> {
        let start = self.at;
        while self.source.char(self.at).is_some_and(char::is_whitespace) {
            self.at += 1;
        }
        if !self.source.starts_with(self.at, "<#ftl")
            || self.source.char(self.at + 5).is_some_and(|c| c.is_ascii_alphabetic())
        {
            self.at = start;
            return Ok(());
        }
        self.at += 5;
        self.in_tag = true;
        loop {
            self.skip_blanks();
            if matches!(self.source.char(self.at), Some('>' | '/')) {
                break;
            }
            let at = self.at;
            let Some(name) = self.name() else {
                return Err(self.error_here("the name of a header setting, or '>', is expected"));
            };
            self.skip_blanks();
            self.expect("=")?;
            let value = self.expression()?;
            self.header_setting(at, &crate::builtins::snake_case(&name), &value)?;
        }
        self.tag_end()?;
        self.in_tag = false;
        // The header's line goes with it.
        let mut end = self.at;
        while let Some(c) = self.source.char(end).filter(|c| c.is_whitespace()) {
            end += 1;
            if c == '\n' {
                self.at = end;
                break;
            }
        }
        Ok(())
    }

    fn header_setting(&mut self, at: usize, name: &str, value: &Expr) -> Result<(), ParseError> {
        let literal = value.literal().unwrap_or_default().to_ascii_lowercase();
        let flag = match &value.kind {
            crate::ast::ExprKind::Bool(flag) => Some(*flag),
            _ => match literal.as_str() {
                "yes" | "y" | "true" | "t" => Some(true),
                "no" | "n" | "false" | "f" => Some(false),
                _ => None,
            },
        };
        match (name, flag) {
            ("encoding", _) => Ok(()),
            ("output_format", _) if matches!(literal.as_str(), "undefined" | "plaintext") => Ok(()),
            ("strip_whitespace", Some(strip)) => {
                self.strip = strip;
                Ok(())
            }
            ("strip_text" | "auto_esc", Some(false)) => Ok(()),
            _ => Err(ParseError::unsupported(
                self.source.position(at),
                format!("the header setting {name} with this value is not supported"),
            )),
        }
    }

    /// Blanks and comments inside a tag or an interpolation.
    pub(crate) fn skip_blanks(&mut self) {
        loop {
            if self
                .source
                .char(self.at)
                .is_some_and(|c| matches!(c, ' ' | '\t' | '\n' | '\r'))
            {
                self.at += 1;
            } else if self.source.starts_with(self.at, "<#--") {
                let mut end = self.at + 4;
                while end < self.source.len() && !self.source.starts_with(end, "-->") {
                    end += 1;
                }
                self.at = (end + 3).min(self.source.len());
            } else {
                return;
            }
        }
    }

    /// Consumes a sign, after blanks.
    pub(crate) fn expect(&mut self, sign: &str) -> Result<(), ParseError> {
        self.skip_blanks();
        if self.source.starts_with(self.at, sign) {
            self.at += sign.len();
            return Ok(());
        }
        if matches!(self.source.unit(self.at), Some(Unit::Value(_))) {
            return Err(self.misplaced_value());
        }
        let found = match self.source.char(self.at) {
            Some(c) => format!(", not '{c}'"),
            None => ", but the template ends".to_owned(),
        };
        Err(self.error_here(format!("'{sign}' is expected{found}")))
    }

    /// The end of a directive's tag, `>` or `/>`.
    pub(crate) fn tag_end(&mut self) -> Result<(), ParseError> {
        self.skip_blanks();
        let slash = usize::from(self.source.starts_with(self.at, "/>"));
        self.at += slash;
        self.expect(">")?;
        if slash == 0
            && self.source.char(self.at) == Some('=')
            && self
                .source
                .char(self.at.wrapping_sub(2))
                .is_some_and(|c| c != '"' && c != '\'')
        {
            return Err(ParseError::new(
                self.source.position(self.at - 1),
                "'>' ends the tag here; write gte, or put the comparison in parentheses",
            ));
        }
        Ok(())
    }

    pub(crate) fn error_here(&self, message: impl Into<String>) -> ParseError {
        ParseError::new(self.source.position(self.at), message)
    }
}
