//! Directives, each in its own function.

use crate::ast::{Block, List, LoopNames, Node};
use crate::error::ParseError;
use crate::layout::Kind;
use crate::parser::{Parser, Stop};

/// What FreeMarker has beside ours.
pub(crate) const NOT_SUPPORTED: &[&str] = &[
    "attempt",
    "autoesc",
    "call",
    "comment",
    "compress",
    "fallback",
    "flush",
    "foreach",
    "ftl",
    "function",
    "global",
    "import",
    "include",
    "local",
    "lt",
    "macro",
    "nested",
    "noautoesc",
    "nt",
    "on",
    "outputformat",
    "recover",
    "recurse",
    "return",
    "rt",
    "stop",
    "t",
    "transform",
    "visit",
];

pub(crate) const SUPPORTED: &[&str] = &[
    "assign", "break", "case", "continue", "default", "else", "elseif", "escape", "if", "items", "list", "noescape",
    "noparse", "sep", "setting", "switch",
];

/// Most escapes around one another, and most uses of an escape's variable.
const MAX_ESCAPES: usize = 4;

/// Both of FreeMarker's conventions give one name: `elseIf` is `elseif`.
pub(crate) fn canonical(name: &str) -> String {
    name.to_ascii_lowercase()
}

type Opened = Result<Option<Stop>, ParseError>;

impl Parser {
    /// Reads the directive whose name has just been consumed, with everything up to its end.
    pub(crate) fn open_directive(&mut self, name: &str, at: usize, nodes: &mut Block) -> Opened {
        if SUPPORTED.contains(&name) && !matches!(self.source.char(self.at), Some(' ' | '\t' | '\n' | '\r' | '>' | '/'))
        {
            return Err(self.error_here(format!("a blank is expected after <#{name}")));
        }
        match name {
            "if" => nodes.push(self.if_directive(at)?),
            "list" => nodes.push(self.list(at)?),
            "items" => nodes.push(self.items(at)?),
            "sep" => return self.sep(at, nodes),
            "assign" => nodes.push(self.assign(at)?),
            "setting" => nodes.push(self.setting(at)?),
            "switch" => nodes.push(self.switch(at)?),
            "noparse" => nodes.push(self.noparse(at)?),
            "escape" => nodes.push(self.escape(at)?),
            "noescape" => nodes.push(self.noescape(at)?),
            "break" | "continue" => {
                let is_inside = if name == "break" {
                    self.breakable
                } else {
                    self.continuable
                } > 0;
                if !is_inside {
                    let others = if name == "break" { ", or in a <#case>" } else { "" };
                    return Err(ParseError::new(
                        self.source.position(at),
                        format!("<#{name}> ends nothing here; it stands in a <#list ... as x> or in <#items>{others}"),
                    ));
                }
                self.tag_end()?;
                self.leaf(Kind::Other, at);
                nodes.push(if name == "break" { Node::Break } else { Node::Continue });
            }
            "else" | "elseif" | "case" | "default" => return Ok(Some(Stop::Part(name.to_owned(), at))),
            _ => return Err(self.unknown_directive(name, at)),
        }
        Ok(None)
    }

    fn unknown_directive(&self, name: &str, at: usize) -> ParseError {
        let position = self.source.position(at);
        if NOT_SUPPORTED.contains(&name) {
            return ParseError::unsupported(position, format!("the directive <#{name}> is not supported"));
        }
        let hint = pipepost_suggest::nearest(name, SUPPORTED.iter().copied())
            .map(|near| format!("; did you mean <#{near}>?"))
            .unwrap_or_default();
        ParseError::new(position, format!("there is no directive <#{name}>{hint}"))
    }

    /// A block with its own tag behind it, up to `</#name>`.
    pub(crate) fn body(&mut self, name: &str, at: usize) -> Result<Block, ParseError> {
        self.in_tag = false;
        let (block, stop) = self.block()?;
        self.must_close(name, at, &stop)?;
        Ok(block)
    }

    fn must_close(&self, name: &str, at: usize, stop: &Stop) -> Result<(), ParseError> {
        match stop {
            Stop::Close(closed, _) if closed == name => Ok(()),
            Stop::End => Err(ParseError::new(
                self.source.position(at),
                format!("<#{name}> is not closed: </#{name}> is missing"),
            )),
            Stop::Close(other, place) => {
                let opened = self.source.position(at).line;
                Err(ParseError::new(
                    self.source.position(*place),
                    format!("</#{other}> stands where the </#{name}> of line {opened} is missing"),
                ))
            }
            Stop::Part(other, place) => Err(ParseError::new(
                self.source.position(*place),
                format!("<#{other}> is out of place inside <#{name}>"),
            )),
        }
    }

    pub(crate) fn here(&self, at: usize) -> u32 {
        self.lines(at).1
    }

    fn if_directive(&mut self, at: usize) -> Result<Node, ParseError> {
        let (begin, end) = self.lines(at);
        self.layout.open(begin, end);
        let (mut branches, mut otherwise) = (Vec::new(), Vec::new());
        let mut part = ("if".to_owned(), at);
        loop {
            let condition = match part.0.as_str() {
                "else" => None,
                _ => {
                    self.in_tag = true;
                    Some(self.expression()?)
                }
            };
            self.tag_end()?;
            self.in_tag = false;
            let (begin, end) = self.lines(part.1);
            self.layout.open(begin, end);
            let (block, stop) = self.block()?;
            self.layout.leave();
            let last = condition.is_none();
            match condition {
                Some(condition) => branches.push((condition, block)),
                None => otherwise = block,
            }
            match stop {
                Stop::Part(name, place) if !last && matches!(name.as_str(), "else" | "elseif") => part = (name, place),
                stop => {
                    self.must_close("if", at, &stop)?;
                    break;
                }
            }
        }
        let line = self.here(at);
        self.layout.close(line);
        Ok(Node::If { branches, otherwise })
    }

    fn list(&mut self, at: usize) -> Result<Node, ParseError> {
        let position = self.source.position(at);
        let source = self.expression()?;
        self.skip_blanks();
        let names = if self.word("as") {
            Some(self.loop_names()?)
        } else {
            None
        };
        self.tag_end()?;
        self.in_tag = false;
        let (begin, end) = self.lines(at);
        self.layout.open(begin, end);
        self.layout.open(begin, end);
        let known = self.enter(names.as_ref());
        let is_loop = usize::from(names.is_some());
        self.breakable += is_loop;
        self.continuable += is_loop;
        // `<#sep>` hands over the tag that ended the list's body.
        let (body, mut stop) = self.block()?;
        self.breakable -= is_loop;
        self.continuable -= is_loop;
        self.scope.truncate(known);
        let line = self.here(at);
        self.layout.close(line);
        let mut otherwise = Vec::new();
        if let Stop::Part(name, place) = &stop
            && name == "else"
        {
            let place = *place;
            self.tag_end()?;
            let (begin, end) = self.lines(place);
            self.layout.open(begin, end);
            (otherwise, stop) = self.block()?;
            self.layout.leave();
        }
        self.must_close("list", at, &stop)?;
        let line = self.here(at);
        self.layout.close(line);
        Ok(Node::List(List {
            source,
            names,
            body,
            otherwise,
            position,
        }))
    }

    fn items(&mut self, at: usize) -> Result<Node, ParseError> {
        let position = self.source.position(at);
        self.skip_blanks();
        if !self.word("as") {
            return Err(self.error_here("'as' is expected"));
        }
        let names = self.loop_names()?;
        self.tag_end()?;
        self.in_tag = false;
        let (begin, end) = self.lines(at);
        self.layout.open(begin, end);
        let known = self.enter(Some(&names));
        self.breakable += 1;
        self.continuable += 1;
        let body = self.body("items", at)?;
        self.breakable -= 1;
        self.continuable -= 1;
        self.scope.truncate(known);
        let line = self.here(at);
        self.layout.close(line);
        Ok(Node::Items { names, body, position })
    }

    /// Adds loop variables to the scope, and returns how many were known before.
    fn enter(&mut self, names: Option<&LoopNames>) -> usize {
        let known = self.scope.len();
        if let Some(names) = names {
            self.scope.push(names.first.clone());
            self.scope.extend(names.second.clone());
        }
        known
    }

    fn loop_names(&mut self) -> Result<LoopNames, ParseError> {
        self.skip_blanks();
        let Some(first) = self.name() else {
            return Err(self.error_here("the name of the loop's variable is expected after 'as'"));
        };
        self.skip_blanks();
        let mut second = None;
        if self.source.char(self.at) == Some(',') {
            self.at += 1;
            self.skip_blanks();
            second = self.name();
            if second.is_none() {
                return Err(self.error_here("the name of the second variable is expected after ','"));
            }
        }
        Ok(LoopNames { first, second })
    }

    /// Consumes a whole word, if it stands here.
    pub(crate) fn word(&mut self, word: &str) -> bool {
        let at = self.at;
        if self.name().as_deref() == Some(word) {
            return true;
        }
        self.at = at;
        false
    }

    /// `<#sep>` may be closed, or end with what surrounds it.
    fn sep(&mut self, at: usize, nodes: &mut Block) -> Opened {
        let position = self.source.position(at);
        self.tag_end()?;
        self.in_tag = false;
        let (begin, end) = self.lines(at);
        self.layout.open(begin, end);
        let (block, stop) = self.block()?;
        self.layout.leave();
        nodes.push(Node::Sep(block, position));
        match stop {
            Stop::Close(name, _) if name == "sep" => Ok(None),
            Stop::End => Err(ParseError::new(position, "the list around this <#sep> is not closed")),
            other => Ok(Some(other)),
        }
    }

    fn switch(&mut self, at: usize) -> Result<Node, ParseError> {
        let value = self.expression()?;
        self.tag_end()?;
        self.in_tag = false;
        let (begin, end) = self.lines(at);
        self.layout.open(begin, end);
        let first = self.at;
        let (before, mut stop) = self.block()?;
        let only_blanks = before
            .iter()
            .all(|node| matches!(node, Node::Text(text) if self.texts[*text].trim().is_empty()));
        if !only_blanks {
            return Err(ParseError::new(
                self.source.position(first),
                "only <#case> and <#default> may stand directly inside <#switch>",
            ));
        }
        for node in &before {
            if let Node::Text(text) = node {
                self.texts[*text].clear();
            }
        }
        let mut cases = Vec::new();
        while let Stop::Part(name, place) = &stop {
            let (name, place) = (name.clone(), *place);
            self.in_tag = true;
            let condition = match name.as_str() {
                "case" => Some(self.expression()?),
                "default" if cases.iter().all(|(condition, _): &(Option<_>, _)| condition.is_some()) => None,
                _ => {
                    return Err(ParseError::new(
                        self.source.position(place),
                        format!("<#{name}> is out of place inside <#switch>"),
                    ));
                }
            };
            self.tag_end()?;
            self.in_tag = false;
            let (begin, end) = self.lines(place);
            self.layout.open(begin, end);
            self.breakable += 1;
            let (block, next) = self.block()?;
            self.breakable -= 1;
            self.layout.leave();
            cases.push((condition, block));
            stop = next;
        }
        self.must_close("switch", at, &stop)?;
        let line = self.here(at);
        self.layout.close(line);
        Ok(Node::Switch { value, cases })
    }

    fn noparse(&mut self, at: usize) -> Result<Node, ParseError> {
        self.tag_end()?;
        let start = self.at;
        while !self.source.starts_with(self.at, "</#noparse>") && !self.source.starts_with(self.at, "</#noParse>") {
            if self.at >= self.source.len() {
                return Err(ParseError::new(
                    self.source.position(at),
                    "<#noparse> is not closed: </#noparse> is missing",
                ));
            }
            if matches!(self.source.unit(self.at), Some(crate::source::Unit::Value(_))) {
                return Err(self.misplaced_value());
            }
            self.at += 1;
        }
        let id = self.texts.len();
        self.texts.push(self.source.text(start, self.at));
        self.at += "</#noparse>".len();
        self.leaf(Kind::Text(id), at);
        Ok(Node::Text(id))
    }

    fn escape(&mut self, at: usize) -> Result<Node, ParseError> {
        self.skip_blanks();
        let Some(name) = self.name() else {
            return Err(self.error_here("the name of the escape's variable is expected"));
        };
        self.skip_blanks();
        if !self.word("as") {
            return Err(self.error_here("'as' is expected"));
        }
        let mut expr = self.expression()?;
        self.tag_end()?;
        // Each use of the variable copies what is escaped, and nested escapes copy each other.
        if self.escapes.len() >= MAX_ESCAPES || expr.uses(&name) > MAX_ESCAPES {
            return Err(ParseError::new(
                self.source.position(at),
                format!(
                    "at most {MAX_ESCAPES} escapes may be nested, and each may use its variable {MAX_ESCAPES} times"
                ),
            ));
        }
        if let Some((outer_name, outer)) = self.escapes.last() {
            let mut whole = outer.clone();
            whole.depth += expr.depth;
            whole.replace_variable(outer_name, &expr);
            expr = whole;
        }
        if expr.depth > crate::parser::MAX_DEPTH {
            return Err(ParseError::new(
                self.source.position(at),
                "the escapes have too many levels",
            ));
        }
        self.escapes.push((name, expr));
        let (begin, end) = self.lines(at);
        self.layout.open(begin, end);
        let body = self.body("escape", at)?;
        let line = self.here(at);
        self.layout.close(line);
        self.escapes.pop();
        Ok(Node::Wrapped(body))
    }

    fn noescape(&mut self, at: usize) -> Result<Node, ParseError> {
        self.tag_end()?;
        let Some(outer) = self.escapes.pop() else {
            return Err(ParseError::new(
                self.source.position(at),
                "<#noescape> wants an <#escape> around it",
            ));
        };
        let (begin, end) = self.lines(at);
        self.layout.open(begin, end);
        let body = self.body("noescape", at)?;
        let line = self.here(at);
        self.layout.close(line);
        self.escapes.push(outer);
        Ok(Node::Wrapped(body))
    }
}
