//! White-space stripping: a line that contains only directives and comments produces nothing in the output.
//!
//! FreeMarker decides this on the tree of elements, with a few special cases that a rule on lines only would miss: text
//! at the very start of a template is never stripped, a blank text between two assignments or comments is removed
//! completely, and a line with an interpolation is kept. So the parser builds the same tree here, and the rules walk
//! through it in the same way.

/// What an element is to its neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Index into the texts.
    Text(usize),
    /// Prints something: the blanks beside it matter.
    Output,
    /// Assignment, setting, comment: a blank text between two of these says nothing.
    Silent,
    /// A variable that captures text: to the text around it, it has no inside.
    Capture,
    /// Any other directive.
    Other,
}

#[derive(Debug)]
struct Element {
    kind: Kind,
    parent: usize,
    children: Vec<usize>,
    begin_line: u32,
    begin_column: u32,
    end_line: u32,
}

/// The tree of elements; the root is element 0.
#[derive(Debug)]
pub(crate) struct Layout {
    elements: Vec<Element>,
    /// The open element that new ones belong to.
    current: usize,
}

const ROOT: usize = 0;

impl Layout {
    pub(crate) fn new() -> Self {
        let root = Element {
            kind: Kind::Other,
            parent: ROOT,
            children: Vec::new(),
            begin_line: 0,
            begin_column: 0,
            end_line: 0,
        };
        Self {
            elements: vec![root],
            current: ROOT,
        }
    }

    /// Adds an element without children.
    pub(crate) fn leaf(&mut self, kind: Kind, begin: (u32, u32), end_line: u32) -> usize {
        let id = self.elements.len();
        let (begin_line, begin_column) = begin;
        self.elements.push(Element {
            kind,
            parent: self.current,
            children: Vec::new(),
            begin_line,
            begin_column,
            end_line,
        });
        self.elements[self.current].children.push(id);
        id
    }

    /// Makes the element that is open one that captures its text.
    pub(crate) fn captures(&mut self) {
        self.elements[self.current].kind = Kind::Capture;
    }

    /// Adds an element and goes into it.
    pub(crate) fn open(&mut self, begin: (u32, u32), end_line: u32) -> usize {
        self.current = self.leaf(Kind::Other, begin, end_line);
        self.current
    }

    /// Leaves the current element, which ends in this line.
    pub(crate) fn close(&mut self, end_line: u32) {
        self.elements[self.current].end_line = end_line;
        self.current = self.elements[self.current].parent;
    }

    /// Leaves the current element, which keeps the end that it was opened with.
    pub(crate) fn leave(&mut self) {
        self.current = self.elements[self.current].parent;
    }

    /// Takes from the texts what stripping takes.
    pub(crate) fn strip(&mut self, texts: &mut [String]) {
        if let [only] = self.elements[ROOT].children.as_slice()
            && matches!(self.elements[*only].kind, Kind::Text(_))
        {
            return;
        }
        // In the order of the text; a branch without children left is a leaf to those that come after.
        let mut stack = vec![(ROOT, 0)];
        while let Some((id, next)) = stack.pop() {
            match self.elements[id].children.get(next) {
                Some(child) => {
                    stack.push((id, next + 1));
                    stack.push((*child, 0));
                }
                None => {
                    if let Kind::Text(text) = self.elements[id].kind {
                        self.strip_text(id, text, texts);
                    }
                    self.drop_ignorable(id, texts);
                }
            }
        }
    }

    fn drop_ignorable(&mut self, id: usize, texts: &mut [String]) {
        let mut index = 0;
        while let Some(child) = self.elements[id].children.get(index).copied() {
            match self.elements[child].kind {
                Kind::Text(text) if self.is_ignorable(child, text, texts) => {
                    texts[text].clear();
                    self.elements[id].children.remove(index);
                }
                _ => index += 1,
            }
        }
    }

    fn strip_text(&mut self, id: usize, text: usize, texts: &mut [String]) {
        let content = &texts[text];
        if content.is_empty() || (self.elements[id].parent == ROOT && self.sibling(id, false).is_none()) {
            return;
        }
        let trailing = self.trailing(id, content, texts);
        let opening = self.opening(id, content, texts);
        if opening == 0 && trailing == 0 {
            return;
        }
        let end = content.len() - trailing;
        texts[text] = content.get(opening..end).unwrap_or_default().to_owned();
        if opening > 0 {
            self.elements[id].begin_line += 1;
            self.elements[id].begin_column = 1;
        }
    }

    /// Bytes at the start that belong to a directive's line: blanks and the line break.
    fn opening(&self, id: usize, text: &str, texts: &[String]) -> usize {
        let element = &self.elements[id];
        let line_break = text.find(['\r', '\n']);
        if line_break.is_none() && element.begin_column != 1 {
            return 0;
        }
        let mut length = line_break.map_or(0, |at| at + 1);
        if text[..length].ends_with('\r') && text[length..].starts_with('\n') {
            length += 1;
        }
        if !is_blank(&text[..length]) {
            return 0;
        }
        let mut before = self.terminal(id, false);
        while let Some(other) = before {
            if self.elements[other].end_line != element.begin_line {
                break;
            }
            if self.heeds(other, texts, true) {
                return 0;
            }
            before = self.terminal(other, false);
        }
        length
    }

    /// Bytes at the end that belong to a directive's line: its indentation.
    fn trailing(&self, id: usize, text: &str, texts: &[String]) -> usize {
        let element = &self.elements[id];
        let line_break = text.rfind(['\r', '\n']);
        if line_break.is_none() && element.begin_column != 1 {
            return 0;
        }
        let start = line_break.map_or(0, |at| at + 1);
        if !is_blank(&text[start..]) {
            return 0;
        }
        let mut after = self.terminal(id, true);
        while let Some(other) = after {
            if self.elements[other].begin_line != element.end_line {
                break;
            }
            if self.heeds(other, texts, false) {
                return 0;
            }
            after = self.terminal(other, true);
        }
        text.len() - start
    }

    /// Whether blanks after (`opening`) or before an element matter to it.
    fn heeds(&self, id: usize, texts: &[String], opening: bool) -> bool {
        match self.elements[id].kind {
            Kind::Output => true,
            Kind::Silent | Kind::Capture | Kind::Other => false,
            Kind::Text(text) => {
                if self.is_ignorable(id, text, texts) {
                    return false;
                }
                let content = &texts[text];
                let decides = |c: char| matches!(c, '\r' | '\n') || !is_java_blank(c);
                let found = if opening {
                    content.chars().rev().find(|c| decides(*c))
                } else {
                    content.chars().find(|c| decides(*c))
                };
                !matches!(found, Some('\r' | '\n'))
            }
        }
    }

    fn is_ignorable(&self, id: usize, text: usize, texts: &[String]) -> bool {
        if texts[text].is_empty() {
            return true;
        }
        if !is_blank(&texts[text]) {
            return false;
        }
        let top = self.elements[id].parent == ROOT;
        let silent =
            |sibling: Option<usize>| sibling.map_or(top, |sibling| self.elements[sibling].kind == Kind::Silent);
        silent(self.sibling(id, false)) && silent(self.sibling(id, true))
    }

    fn sibling(&self, id: usize, next: bool) -> Option<usize> {
        if id == ROOT {
            return None;
        }
        let siblings = &self.elements[self.elements[id].parent].children;
        // Children are in the order of their numbers, so they can be searched.
        let at = siblings.binary_search(&id).ok()?;
        if next {
            siblings.get(at + 1).copied()
        } else {
            at.checked_sub(1).map(|before| siblings[before])
        }
    }

    /// The nearest element without children before or after this one.
    fn terminal(&self, id: usize, next: bool) -> Option<usize> {
        let mut from = id;
        let mut found = loop {
            if from == ROOT {
                return None;
            }
            match self.sibling(from, next) {
                Some(sibling) => break sibling,
                None => from = self.elements[from].parent,
            }
        };
        loop {
            let children = &self.elements[found].children;
            if self.elements[found].kind == Kind::Capture {
                return Some(found);
            }
            match if next { children.first() } else { children.last() } {
                Some(child) => found = *child,
                None => return Some(found),
            }
        }
    }
}

/// Java trims every character up to the blank.
fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c <= ' ')
}

fn is_java_blank(c: char) -> bool {
    c.is_whitespace() && !matches!(c, '\u{a0}' | '\u{2007}' | '\u{202f}')
}
