//! The tree of a message's parts, as mail clients want it:
//! `mixed(related(alternative(plain, html, calendar), inline...), attachments...)`, each level only where it holds more
//! than one part.

use std::borrow::Cow;

use encoding_rs::Encoding;
use fastrand::Rng;
use lettre::message::header::{ContentId, ContentTransferEncoding};
use lettre::message::{Body, Message, MessageBuilder, MultiPart, SinglePart};
use memchr::memmem;

use super::content::{Content, Segment, base64_lines, read_some};
use super::headers::{ContentType, disposition};
use super::{inline, media, text};
use crate::failure::{Failure, FailureKind};
use crate::files::{File, FileError, Files};
use crate::html;
use crate::parameters::{Attachment, BodyType, CalendarEvent, Charset, Disposition, Parameters, Source};

/// How much of a file is looked at in one go.
const PIECE: usize = 1 << 16;

/// The message, and the character set that its texts are in.
pub(super) struct Built {
    pub(super) content: Content,
    pub(super) charset: Charset,
}

/// What the parts are made with.
pub(super) struct Parts<'a> {
    random: Rng,
    /// What makes an invented Content-ID unique: the Message-ID without its angle brackets.
    unique: &'a str,
    warnings: &'a mut Vec<String>,
    /// The files whose tokens stand in the frame, in their order.
    files: Vec<(String, Box<dyn File>)>,
}

enum Part {
    Single(SinglePart),
    Multi(MultiPart, &'static str),
}

impl Part {
    /// The media type, for `type=` of a `multipart/related` (RFC 2387, section 3.1).
    fn media_type(&self, body_type: BodyType) -> &'static str {
        match (self, body_type) {
            (Self::Multi(_, media_type), _) => media_type,
            (Self::Single(_), BodyType::Html) => "text/html",
            (Self::Single(_), BodyType::Plain) => "text/plain",
        }
    }
}

impl<'a> Parts<'a> {
    pub(super) fn new(seed: u64, message_id: &'a str, warnings: &'a mut Vec<String>) -> Self {
        let unique = message_id.trim_start_matches('<').trim_end_matches('>');
        Self {
            random: Rng::with_seed(seed),
            unique,
            warnings,
            files: Vec::new(),
        }
    }

    pub(super) fn build(
        &mut self,
        head: MessageBuilder,
        parameters: &Parameters,
        files: &mut dyn Files,
    ) -> Result<Built, Failure> {
        let is_html = parameters.body_type == BodyType::Html;
        let (inline, attached): (Vec<_>, Vec<_>) = parameters
            .attachments
            .iter()
            .enumerate()
            .partition(|(_, attachment)| is_html && attachment.disposition == Disposition::Inline);
        if !is_html
            && parameters
                .attachments
                .iter()
                .any(|a| a.disposition == Disposition::Inline)
        {
            self.warnings
                .push("the body is plain text, so its inline attachments are shown as attachments".to_owned());
        }

        let inline_files: Vec<&Attachment> = inline.iter().map(|(_, attachment)| *attachment).collect();
        let matched = inline::match_references(
            if is_html { &parameters.body } else { "" },
            &inline_files,
            self.unique,
            self.warnings,
        );
        let body = if is_html {
            matched.html.as_ref()
        } else {
            parameters.body.as_str()
        };
        let plain = plain_text(parameters, body);
        let charset = self.charset(parameters, &[body, &plain]);

        let is_whole = parameters.attachments.is_empty() && parameters.ical_event.is_none();
        let mut part = self.texts(parameters, body, &plain, charset.encoding, is_whole);
        if !inline.is_empty() {
            let mut related = self.multipart("related", Some(part.media_type(parameters.body_type)));
            related = add(related, part);
            for ((index, attachment), id) in inline.into_iter().zip(&matched.ids) {
                related = related.singlepart(self.attachment(index, attachment, Some(id), files)?);
            }
            part = Part::Multi(related, "multipart/related");
        }
        if !attached.is_empty() || parameters.ical_event.is_some() {
            let mut mixed = add(self.multipart("mixed", None), part);
            for (index, attachment) in attached {
                mixed = mixed.singlepart(self.attachment(index, attachment, None, files)?);
            }
            if let Some(event) = &parameters.ical_event {
                mixed = mixed.singlepart(calendar_file(event));
            }
            part = Part::Multi(mixed, "multipart/mixed");
        }

        let message = match part {
            Part::Single(part) => head.singlepart(part),
            Part::Multi(part, _) => head.multipart(part),
        };
        // The head has an author and an envelope: lettre asks for nothing else.
        let message = message
            .map_err(|error| Failure::new(FailureKind::Invalid, format!("the message cannot be built: {error}")))?;
        Ok(Built {
            content: self.content(&message)?,
            charset,
        })
    }

    /// The character set that was asked for, if it has every character; else UTF-8, which has them all.
    fn charset(&mut self, parameters: &Parameters, texts: &[&str]) -> Charset {
        let charset = &parameters.charset;
        if texts
            .iter()
            .all(|text| text::in_charset(text, charset.encoding).is_some())
        {
            return charset.clone();
        }
        self.warnings.push(format!(
            "the text is sent in UTF-8: {} lacks some of its characters",
            charset.name
        ));
        Charset::default()
    }

    /// The body, its plain alternative, and the invitation that clients act on.
    fn texts(
        &mut self,
        parameters: &Parameters,
        body: &str,
        plain: &str,
        charset: &'static Encoding,
        is_whole: bool,
    ) -> Part {
        let html = parameters.body_type == BodyType::Html;
        let count =
            usize::from(html) + usize::from(!plain.is_empty() || !html) + usize::from(parameters.ical_event.is_some());
        if count == 1 {
            let (kind, text) = if html { ("html", body) } else { ("plain", plain) };
            return Part::Single(text_part(kind, text, charset, is_whole));
        }
        let mut alternative = self.multipart("alternative", None);
        if !plain.is_empty() || !html {
            alternative = alternative.singlepart(text_part("plain", plain, charset, false));
        }
        if html {
            alternative = alternative.singlepart(text_part("html", body, charset, false));
        }
        if let Some(event) = &parameters.ical_event {
            let content_type = format!("text/calendar; charset=utf-8; method={}", event.method);
            let part = SinglePart::builder().header(ContentType::single(content_type));
            alternative = alternative.singlepart(part.body(text::body(event.content.as_bytes(), false)));
        }
        Part::Multi(alternative, "multipart/alternative")
    }

    fn multipart(&mut self, kind: &str, root: Option<&str>) -> MultiPart {
        // `=_` stands in no base64 and no quoted-printable text.
        let boundary = self.token("=_");
        MultiPart::builder()
            .header(ContentType::multipart(kind, &boundary, root))
            .build()
    }

    fn token(&mut self, prefix: &str) -> String {
        let mut token = String::with_capacity(prefix.len() + 32);
        token.push_str(prefix);
        token.extend(std::iter::repeat_with(|| self.random.alphanumeric()).take(32));
        token
    }

    fn attachment(
        &mut self,
        index: usize,
        attachment: &Attachment,
        id: Option<&str>,
        files: &mut dyn Files,
    ) -> Result<SinglePart, Failure> {
        let written = attachment.charset.as_deref();
        // Text whose octets are UTF-8 says so: without a word readers take it for ASCII (RFC 2046, section 4.1.2).
        let utf8 = |is_so: bool| is_so.then_some(Cow::Borrowed("utf-8"));
        let (media_type, charset, body): (_, Option<Cow<'_, str>>, Vec<u8>) = match &attachment.source {
            Source::Text(text) => {
                let media_type = media_type(attachment, None).unwrap_or(Cow::Borrowed("text/plain"));
                match written.and_then(|name| text::in_named_charset(text, name)) {
                    Some((octets, name)) => (media_type, Some(name), base64_lines(&octets)),
                    None => {
                        if let Some(name) = written {
                            let file = attachment.file_name();
                            self.warnings.push(format!(
                                "`{file}` is sent in UTF-8: its text cannot be written in {name}"
                            ));
                        }
                        let charset = utf8(written.is_some() || media::is_text(&media_type));
                        (media_type, charset, base64_lines(text.as_bytes()))
                    }
                }
            }
            Source::Bytes(bytes) => {
                let media_type = known(media_type(attachment, None), bytes);
                let is_utf8 = written.is_none() && media::is_text(&media_type) && media::Utf8Text::is(bytes);
                let charset = written.map(Cow::Borrowed).or(utf8(is_utf8));
                (media_type, charset, base64_lines(bytes))
            }
            Source::File => {
                let mut file = files
                    .open(&attachment.name)
                    .map_err(|error| unreadable(index, attachment, error))?;
                let media_type = match media_type(attachment, file.media_type()) {
                    Some(media_type) => media_type,
                    None => {
                        let start = match file.size() {
                            0 => Vec::new(),
                            _ => file
                                .read(0, media::SAMPLE)
                                .map_err(|error| unreadable(index, attachment, error))?,
                        };
                        Cow::Borrowed(media::by_content(&start))
                    }
                };
                let is_utf8 = written.is_none()
                    && media::is_text(&media_type)
                    && is_utf8_text(file.as_mut()).map_err(|error| unreadable(index, attachment, error))?;
                let token = self.token("");
                self.files.push((token.clone(), file));
                let charset = written.map(Cow::Borrowed).or(utf8(is_utf8));
                (media_type, charset, token.into_bytes())
            }
        };
        let mut content_type = media::in_base64(&media_type).to_owned();
        if let Some(charset) = charset {
            content_type.push_str("; charset=");
            content_type.push_str(&charset);
        }
        let name = attachment.file_name();
        let mut part = SinglePart::builder().header(ContentType::single(with_name(content_type, name)));
        if let Some(id) = id {
            part = part.header(ContentId::from(format!("<{id}>")));
        }
        let is_inline = attachment.disposition == Disposition::Inline;
        let body = Body::dangerous_pre_encoded(body, ContentTransferEncoding::Base64);
        Ok(part.header(disposition(is_inline, name)).body(body))
    }

    /// The frame, with the files where their tokens stand.
    fn content(&mut self, message: &Message) -> Result<Content, Failure> {
        let mut rest = message.formatted();
        let mut segments = Vec::with_capacity(self.files.len() * 2 + 1);
        for (token, file) in self.files.drain(..) {
            // Random and of this message: it stands where it was put, and nowhere before.
            let Some(at) = memmem::find(&rest, token.as_bytes()) else {
                return Err(Failure::new(
                    FailureKind::Invalid,
                    "the message cannot be built: an attachment lost its place",
                ));
            };
            let after = rest.split_off(at + token.len());
            rest.truncate(at);
            let size = file.size();
            segments.push(Segment::Bytes(rest));
            segments.push(Segment::File { file, size });
            rest = after;
        }
        segments.push(Segment::Bytes(rest));
        Ok(Content::new(segments))
    }
}

fn add(multipart: MultiPart, part: Part) -> MultiPart {
    match part {
        Part::Single(part) => multipart.singlepart(part),
        Part::Multi(part, _) => multipart.multipart(part),
    }
}

/// What a client without HTML shows.
fn plain_text<'a>(parameters: &'a Parameters, body: &str) -> Cow<'a, str> {
    match (parameters.body_type, &parameters.text) {
        (BodyType::Html, Some(text)) => Cow::Borrowed(text),
        (BodyType::Html, None) => Cow::Owned(html::to_text(body)),
        (BodyType::Plain, Some(text)) if parameters.body.is_empty() => Cow::Borrowed(text),
        (BodyType::Plain, _) => Cow::Borrowed(&parameters.body),
    }
}

fn text_part(kind: &str, text: &str, charset: &'static Encoding, is_whole: bool) -> SinglePart {
    let octets = text::in_charset(text, charset).unwrap_or(Cow::Borrowed(text.as_bytes()));
    let content_type = format!("text/{kind}; charset={}", text::charset_name(charset, &octets));
    SinglePart::builder()
        .header(ContentType::single(content_type))
        .body(text::body(&octets, is_whole))
}

/// The same object once more as a file: clients that do not act on the alternative can open it.
fn calendar_file(event: &CalendarEvent) -> SinglePart {
    let content_type = with_name("application/ics".to_owned(), &event.file_name);
    SinglePart::builder()
        .header(ContentType::single(content_type))
        .header(disposition(false, &event.file_name))
        .body(Body::dangerous_pre_encoded(
            base64_lines(&text::with_crlf(event.content.as_bytes())),
            ContentTransferEncoding::Base64,
        ))
}

/// As it was written; else as the host says; else by the name. The content is the last resort.
fn media_type<'a>(attachment: &'a Attachment, by_host: Option<String>) -> Option<Cow<'a, str>> {
    if let Some(written) = &attachment.media_type {
        return Some(Cow::Borrowed(written));
    }
    let is_clean = |media_type: &String| {
        media_type.contains('/')
            && media_type.len() <= 127
            && media_type
                .bytes()
                .all(|b| b.is_ascii_graphic() && !b"\";,<>@\\()".contains(&b))
    };
    by_host
        .filter(is_clean)
        .map(Cow::Owned)
        .or_else(|| media::by_name(attachment.file_name()).map(Cow::Borrowed))
}

fn known<'a>(by_name: Option<Cow<'a, str>>, content: &[u8]) -> Cow<'a, str> {
    by_name.unwrap_or_else(|| Cow::Borrowed(media::by_content(content)))
}

/// Reads a text file once before it is sent, in pieces: its head stands before its content, and a character set that is
/// only guessed from its start would be a lie about the rest.
fn is_utf8_text(file: &mut dyn File) -> Result<bool, FileError> {
    let (mut text, mut offset) = (media::Utf8Text::default(), 0);
    while offset < file.size() {
        let piece = read_some(file, offset, PIECE)?;
        if !text.take(&piece) {
            return Ok(false);
        }
        offset += piece.len() as u64;
    }
    Ok(text.is_whole())
}

/// Old clients look for the name here; one that needs encoding stands in Content-Disposition alone.
fn with_name(mut content_type: String, name: &str) -> String {
    let is_simple = name.len() <= 40
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b" ._-+()".contains(&b));
    if is_simple {
        content_type.push_str(if content_type.len() + name.len() < 50 {
            "; name=\""
        } else {
            ";\r\n name=\""
        });
        content_type.push_str(name);
        content_type.push('"');
    }
    content_type
}

fn unreadable(index: usize, attachment: &Attachment, error: FileError) -> Failure {
    let kind = match error {
        FileError::NotFound => FailureKind::Invalid,
        FileError::NotAllowed => FailureKind::Configuration,
        FileError::TooLarge => FailureKind::Limit,
        FileError::Changed | FileError::Io => FailureKind::Transient,
    };
    Failure::new(
        kind,
        format!(
            "parameter `attachments[{index}]`: `{}` cannot be attached: {error}",
            attachment.name
        ),
    )
}
