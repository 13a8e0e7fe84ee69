//! The tree of a message's parts, as mail clients want it:
//! `mixed(related(alternative(plain, html, calendar), inline...), attachments...)`, each level only where it holds more
//! than one part.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};
use fastrand::Rng;
use memchr::memmem;

use super::content::{Content, Segment, base64_lines, read_some};
use super::frame::{Headers, Part, TransferEncoding};
use super::media::Travels;
use super::{inline, media, part_headers, text};
use crate::failure::{Failure, FailureKind};
use crate::files::{File, FileError, Files};
use crate::html;
use crate::parameters::{
    Attachment, BodyType, CalendarEvent, Charset, Disposition, Invitation, MAX_CALENDAR_FILE, Parameters, Source,
};

/// How much of a file is looked at in one go.
const PIECE: usize = 1 << 16;

/// The message, and the character set that its texts are in.
pub(super) struct Built {
    pub(super) content: Content,
    pub(super) charset: Charset,
    /// One of its texts is in 8 bits.
    pub(super) eight_bit: bool,
}

/// What the parts are made with.
pub(super) struct Parts<'a> {
    random: Rng,
    /// What makes an invented Content-ID unique: the Message-ID without its angle brackets.
    unique: &'a str,
    warnings: &'a mut Vec<String>,
    /// The files whose tokens stand in the frame, in their order.
    files: Vec<Placed>,
    /// One of the texts is in 8 bits, and so is every part that holds it (RFC 2045, section 6.4).
    eight_bit: bool,
}

/// A file, and what stands in its place.
struct Placed {
    token: String,
    file: Box<dyn File>,
    /// How long it is with CRLF line ends, when it travels as it is and not in base64.
    length: Option<u64>,
}

impl<'a> Parts<'a> {
    pub(super) fn new(seed: u64, message_id: &'a str, warnings: &'a mut Vec<String>) -> Self {
        let unique = message_id.trim_start_matches('<').trim_end_matches('>');
        Self {
            random: Rng::with_seed(seed),
            unique,
            warnings,
            files: Vec::new(),
            eight_bit: false,
        }
    }

    pub(super) fn build(
        &mut self,
        head: &Headers,
        parameters: &Parameters,
        files: &mut dyn Files,
    ) -> Result<Built, Failure> {
        let is_html = parameters.body_type == BodyType::Html;
        let event = self.event(parameters, files)?;
        let (html, pictures) = self.pictures(parameters);
        let is_inline = |attachment: &Attachment| is_html && attachment.disposition == Disposition::Inline;
        let (inline, attached): (Vec<_>, Vec<_>) = parameters
            .attachments
            .iter()
            .chain(&pictures)
            .enumerate()
            .partition(|(_, attachment)| is_inline(attachment));
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
        let matched = inline::match_references(&html, &inline_files, self.unique, self.warnings);
        let body = if is_html {
            matched.html.as_ref()
        } else {
            parameters.body.as_str()
        };
        let plain = plain_text(parameters, body);
        let charset = self.charset(parameters, &[body, &plain]);

        let is_whole = inline.is_empty() && attached.is_empty() && event.is_none();
        let mut part = self.texts(parameters, event.as_ref(), body, &plain, charset.encoding, is_whole);
        if !inline.is_empty() {
            let root = part.media_type;
            let mut parts = vec![part];
            let boundary = self.token("=_");
            for ((index, attachment), id) in inline.into_iter().zip(&matched.ids) {
                parts.push(self.attachment(index, attachment, Some(id), files)?);
            }
            part = self.multipart("multipart/related", &boundary, Some(root), &parts);
        }
        if !attached.is_empty() || event.is_some() {
            let boundary = self.token("=_");
            let mut parts = vec![part];
            for (index, attachment) in attached {
                parts.push(self.attachment(index, attachment, None, files)?);
            }
            if let Some(event) = &event {
                parts.push(calendar_file(event));
            }
            part = self.multipart("multipart/mixed", &boundary, None, &parts);
        }
        Ok(Built {
            content: self.content(part.with_head(head))?,
            charset,
            eight_bit: self.eight_bit,
        })
    }

    /// The character set that was asked for, if it has every character; else UTF-8, which has them all.
    fn charset(&mut self, parameters: &Parameters, texts: &[&str]) -> Charset {
        let charset = &parameters.charset;
        if texts.iter().all(|text| {
            text::in_charset(text, charset.encoding).is_some_and(|octets| text::is_of(&charset.name, &octets))
        }) {
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
        event: Option<&CalendarEvent>,
        body: &str,
        plain: &str,
        charset: &'static Encoding,
        is_whole: bool,
    ) -> Part {
        let html = parameters.body_type == BodyType::Html;
        let count = usize::from(html) + usize::from(!plain.is_empty() || !html) + usize::from(event.is_some());
        if count == 1 {
            let (media_type, text) = if html {
                ("text/html", body)
            } else {
                ("text/plain", plain)
            };
            return self.text_part(parameters, media_type, text, charset, is_whole);
        }
        let mut parts = Vec::with_capacity(3);
        if !plain.is_empty() || !html {
            parts.push(self.text_part(parameters, "text/plain", plain, charset, false));
        }
        if html {
            parts.push(self.text_part(parameters, "text/html", body, charset, false));
        }
        if let Some(event) = event {
            let content_type = format!("text/calendar; charset=utf-8; method={}", event.method);
            parts.push(self.body_part(
                parameters,
                "text/calendar",
                &content_type,
                event.content.as_bytes(),
                UTF_8,
                false,
            ));
        }
        let boundary = self.token("=_");
        self.multipart("multipart/alternative", &boundary, None, &parts)
    }

    /// A part of parts. `boundary` has `=_` in it, which stands in no base64 and no quoted-printable text.
    fn multipart(&self, media_type: &'static str, boundary: &str, root: Option<&str>, parts: &[Part]) -> Part {
        let content_type = part_headers::multipart_type(media_type, boundary, root);
        Part::multi(media_type, &content_type, self.eight_bit, boundary, parts)
    }

    fn text_part(
        &mut self,
        parameters: &Parameters,
        media_type: &'static str,
        text: &str,
        charset: &'static Encoding,
        is_whole: bool,
    ) -> Part {
        let octets = text::in_charset(text, charset).unwrap_or(Cow::Borrowed(text.as_bytes()));
        let content_type = [media_type, "; charset=", &text::charset_name(charset, &octets)].concat();
        self.body_part(parameters, media_type, &content_type, &octets, charset, is_whole)
    }

    fn body_part(
        &mut self,
        parameters: &Parameters,
        media_type: &'static str,
        content_type: &str,
        octets: &[u8],
        charset: &'static Encoding,
        is_whole: bool,
    ) -> Part {
        let body = text::Body::of(octets, charset, is_whole, parameters.eight_bit_texts);
        self.eight_bit |= body.encoding == TransferEncoding::EightBit;
        let mut headers = Headers::with_capacity(128);
        headers.put("Content-Type", content_type);
        let mut part = Part::single(media_type, &headers, body.encoding, body.room());
        body.write(&mut part.octets);
        part.end()
    }

    fn token(&mut self, prefix: &str) -> String {
        let mut token = String::with_capacity(prefix.len() + 32);
        token.push_str(prefix);
        token.extend(std::iter::repeat_with(|| self.random.alphanumeric()).take(32));
        token
    }

    /// The calendar object, read from its file where it is in one.
    fn event(&mut self, parameters: &Parameters, files: &mut dyn Files) -> Result<Option<CalendarEvent>, Failure> {
        let file = match &parameters.invitation {
            None => return Ok(None),
            Some(Invitation::Event(event)) => return Ok(Some(event.clone())),
            Some(Invitation::File(file)) => file,
        };
        let fault = |error| unreadable("icalEvent", &file.path, error);
        let mut open = files.open(&file.path).map_err(fault)?;
        if open.size() > MAX_CALENDAR_FILE {
            return Err(fault(FileError::TooLarge));
        }
        let octets = read_whole(open.as_mut()).map_err(fault)?;
        file.event(octets, self.warnings).map(Some)
    }

    /// The HTML, and its `data:` pictures apart where they are asked for as parts of their own.
    fn pictures<'p>(&mut self, parameters: &'p Parameters) -> (Cow<'p, str>, Vec<Attachment>) {
        if parameters.body_type != BodyType::Html {
            return (Cow::Borrowed(""), Vec::new());
        }
        if parameters.inline_data_images {
            return inline::take_data_images(&parameters.body);
        }
        let count = inline::count_data_images(&parameters.body);
        if count > 0 {
            self.warnings.push(format!(
                "pictures stand in the body as `data:` ({count}), which many mail clients do not show; \
                 `inlineDataImages` sends them as inline attachments"
            ));
        }
        (Cow::Borrowed(&parameters.body), Vec::new())
    }

    fn attachment(
        &mut self,
        index: usize,
        attachment: &Attachment,
        id: Option<&str>,
        files: &mut dyn Files,
    ) -> Result<Part, Failure> {
        let place = format!("attachments[{index}]");
        let fault = |error| unreadable(&place, &attachment.name, error);
        let written = attachment.charset.as_deref();
        // Text whose octets are UTF-8 says so: without a word readers take it for ASCII (RFC 2046, section 4.1.2).
        let utf8 = |is_so: bool| is_so.then_some(Cow::Borrowed("utf-8"));
        let (media_type, charset, body): (_, Option<Cow<'_, str>>, (Vec<u8>, TransferEncoding)) = match &attachment
            .source
        {
            Source::Text(text) => {
                let media_type = media_type(attachment, None).unwrap_or(Cow::Borrowed("text/plain"));
                let named = written.and_then(|name| text::in_named_charset(text, name));
                let (octets, charset) = match named {
                    Some((octets, name)) => (octets, Some(name)),
                    None => {
                        if let Some(name) = written {
                            let file = &attachment.shown_name;
                            self.warnings.push(format!(
                                "`{file}` is sent in UTF-8: its text cannot be written in {name}"
                            ));
                        }
                        let charset = utf8(written.is_some() || media::is_text(&media_type));
                        (Cow::Borrowed(text.as_bytes()), charset)
                    }
                };
                let (media_type, body) = self.octets(attachment, media_type, &octets);
                (media_type, charset, body)
            }
            Source::Bytes(bytes) => {
                let media_type = known(media_type(attachment, None), bytes);
                let is_utf8 = written.is_none() && media::is_text(&media_type) && media::Utf8Text::is(bytes);
                let charset = written.map(Cow::Borrowed).or(utf8(is_utf8));
                let (media_type, body) = self.octets(attachment, media_type, bytes);
                (media_type, charset, body)
            }
            Source::File => {
                let mut file = files.open(&attachment.name).map_err(fault)?;
                let media_type = match media_type(attachment, file.media_type()) {
                    Some(media_type) => media_type,
                    None => {
                        let start = match file.size() {
                            0 => Vec::new(),
                            _ => file.read(0, media::SAMPLE).map_err(fault)?,
                        };
                        Cow::Borrowed(media::by_content(&start))
                    }
                };
                let is_utf8 =
                    written.is_none() && media::is_text(&media_type) && is_utf8_text(file.as_mut()).map_err(fault)?;
                let token = self.token("");
                let (media_type, length) = match media::travels(&media_type) {
                    Travels::Encoded => (media_type, None),
                    Travels::Message => match message_length(file.as_mut()).map_err(fault)? {
                        Some(length) => (media_type, Some(length)),
                        None => (self.downgraded(attachment, &media_type), None),
                    },
                    Travels::Not => (self.downgraded(attachment, &media_type), None),
                };
                let encoding = match length {
                    Some(_) => TransferEncoding::SevenBit,
                    None => TransferEncoding::Base64,
                };
                self.files.push(Placed {
                    token: token.clone(),
                    file,
                    length,
                });
                let charset = written.map(Cow::Borrowed).or(utf8(is_utf8));
                (media_type, charset, (token.into_bytes(), encoding))
            }
        };
        let mut type_parameters: Vec<(&str, &str)> = Vec::new();
        type_parameters.extend(charset.as_deref().map(|charset| ("charset", charset)));
        // What stands beside a type says something of that type only.
        if attachment.media_type.as_deref() == Some(&*media_type) {
            let further = &attachment.media_type_parameters;
            type_parameters.extend(further.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        }
        let name = &attachment.shown_name;
        let mut headers = Headers::with_capacity(256);
        headers.put(
            "Content-Type",
            &part_headers::file_type(&media_type, &type_parameters, name),
        );
        if let Some(id) = id {
            headers.put("Content-ID", &["<", id, ">"].concat());
        }
        let is_inline = attachment.disposition == Disposition::Inline;
        headers.put("Content-Disposition", &part_headers::disposition(is_inline, name));
        let (content, encoding) = body;
        Ok(Part::whole(&headers, encoding, &content))
    }

    /// Octets that are in memory, as their media type may travel.
    fn octets<'t>(
        &mut self,
        attachment: &Attachment,
        media_type: Cow<'t, str>,
        octets: &[u8],
    ) -> (Cow<'t, str>, (Vec<u8>, TransferEncoding)) {
        let encoded = || (base64_lines(octets), TransferEncoding::Base64);
        match media::travels(&media_type) {
            Travels::Encoded => (media_type, encoded()),
            Travels::Message if media::SevenBit::is_message(octets) => {
                (media_type, (text::with_crlf(octets), TransferEncoding::SevenBit))
            }
            Travels::Message | Travels::Not => (self.downgraded(attachment, &media_type), encoded()),
        }
    }

    /// Readers look for headers where the base64 of such a part is (RFC 2046, sections 5.1 and 5.2.1).
    fn downgraded(&mut self, attachment: &Attachment, media_type: &str) -> Cow<'static, str> {
        self.warnings.push(format!(
            "`{}` is sent as {}: {media_type} may not be encoded, and its content is no message of seven bits in short \
             lines",
            attachment.shown_name,
            media::UNKNOWN
        ));
        Cow::Borrowed(media::UNKNOWN)
    }

    /// The frame, with the files where their tokens stand.
    fn content(&mut self, message: Vec<u8>) -> Result<Content, Failure> {
        let mut rest = message;
        let mut segments = Vec::with_capacity(self.files.len() * 2 + 1);
        for Placed { token, file, length } in self.files.drain(..) {
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
            segments.push(match length {
                None => Segment::File { file, size },
                Some(length) => Segment::Lines { file, size, length },
            });
            rest = after;
        }
        segments.push(Segment::Bytes(rest));
        Ok(Content::new(segments))
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

/// The same object once more as a file: clients that do not act on the alternative can open it.
fn calendar_file(event: &CalendarEvent) -> Part {
    let mut headers = Headers::with_capacity(256);
    headers.put(
        "Content-Type",
        &part_headers::file_type("application/ics", &[], &event.file_name),
    );
    headers.put(
        "Content-Disposition",
        &part_headers::disposition(false, &event.file_name),
    );
    let content = base64_lines(&text::with_crlf(event.content.as_bytes()));
    Part::whole(&headers, TransferEncoding::Base64, &content)
}

/// As it was written; else by the name, by one table for files and for content; else as the host says. The content is
/// the last resort.
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
    let by_name = media::by_name(&attachment.shown_name).or_else(|| media::by_name(attachment.base_name()));
    by_name
        .map(Cow::Borrowed)
        .or_else(|| by_host.filter(is_clean).map(Cow::Owned))
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

/// How long a message file is with CRLF line ends; none when it cannot travel in seven bits (RFC 2046, section 5.2.1).
fn message_length(file: &mut dyn File) -> Result<Option<u64>, FileError> {
    let (mut lines, mut offset) = (media::SevenBit::default(), 0);
    while offset < file.size() {
        let piece = read_some(file, offset, PIECE)?;
        if !lines.take(&piece) {
            return Ok(None);
        }
        offset += piece.len() as u64;
    }
    Ok(lines.length_of_message())
}

fn read_whole(file: &mut dyn File) -> Result<Vec<u8>, FileError> {
    let mut octets = Vec::new();
    while (octets.len() as u64) < file.size() {
        octets.extend(read_some(file, octets.len() as u64, PIECE)?);
    }
    Ok(octets)
}

fn unreadable(place: &str, name: &str, error: FileError) -> Failure {
    let kind = match error {
        FileError::NotFound => FailureKind::Invalid,
        FileError::NotAllowed => FailureKind::Configuration,
        FileError::TooLarge => FailureKind::Limit,
        FileError::Changed | FileError::Io => FailureKind::Transient,
    };
    Failure::new(
        kind,
        format!("parameter `{place}`: `{name}` cannot be attached: {}", error.reason()),
    )
}
