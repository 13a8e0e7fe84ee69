//! The frame of a message: header lines, and parts within parts (RFC 2045, RFC 2046). Each octet is written once into the
//! part that holds it, and copied with that part into the next one.

use super::headers::Line;

/// How the octets of a part travel (RFC 2045, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TransferEncoding {
    SevenBit,
    EightBit,
    QuotedPrintable,
    Base64,
}

impl TransferEncoding {
    const fn as_str(self) -> &'static str {
        match self {
            Self::SevenBit => "7bit",
            Self::EightBit => "8bit",
            Self::QuotedPrintable => "quoted-printable",
            Self::Base64 => "base64",
        }
    }
}

/// Header lines, each with its CRLF.
#[derive(Debug, Default)]
pub(super) struct Headers {
    text: String,
    /// Where each line's name begins.
    starts: Vec<usize>,
}

impl Headers {
    /// No lines, and room for this many octets.
    pub(super) fn with_capacity(octets: usize) -> Self {
        Self {
            text: String::with_capacity(octets),
            starts: Vec::with_capacity(12),
        }
    }

    /// Adds a line whose value is written in place.
    pub(super) fn write(&mut self, name: &str, write: impl FnOnce(&mut Line)) {
        self.starts.push(self.text.len());
        self.text.push_str(name);
        self.text.push_str(": ");
        let mut line = Line::behind(std::mem::take(&mut self.text), name.len() + 2);
        write(&mut line);
        self.text = line.into_text();
        self.text.push_str("\r\n");
    }

    /// Adds a line with a value that is made already.
    pub(super) fn put(&mut self, name: &str, value: &str) {
        self.write(name, |line| line.glue(value));
    }

    /// Adds a line, in the place of the one that has this name, if there is one.
    pub(super) fn replace(&mut self, name: &str, write: impl FnOnce(&mut Line)) {
        let ends = |at: usize| self.starts.get(at + 1).copied().unwrap_or(self.text.len());
        let has_name = |start: usize| {
            let old = self.text[start..].split(':').next().unwrap_or_default();
            old.eq_ignore_ascii_case(name)
        };
        let Some(at) = self.starts.iter().position(|start| has_name(*start)) else {
            return self.write(name, write);
        };
        let (start, end) = (self.starts[at], ends(at));
        let behind = self.text.split_off(end);
        self.text.truncate(start);
        let starts = self.starts.split_off(at);
        self.write(name, write);
        let (old, new) = (end, self.text.len());
        self.starts
            .extend(starts.into_iter().skip(1).map(|start| start - old + new));
        self.text.push_str(&behind);
    }
}

/// A part as it stands in the message: its headers, a blank line, its content, and a CRLF.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) octets: Vec<u8>,
    /// For `type=` of a `multipart/related` (RFC 2387, section 3.1).
    pub(super) media_type: &'static str,
}

impl Part {
    /// A part without parts, and without its content: what is added to its octets is its content, and then comes
    /// [`Part::end`]. `headers` are those besides its transfer encoding. `room`: how many octets will be added.
    pub(super) fn single(media_type: &'static str, headers: &Headers, encoding: TransferEncoding, room: usize) -> Self {
        const ENCODING: &str = "Content-Transfer-Encoding: ";
        let mut octets = Vec::with_capacity(headers.text.len() + ENCODING.len() + 24 + room);
        octets.extend_from_slice(headers.text.as_bytes());
        octets.extend_from_slice(ENCODING.as_bytes());
        octets.extend_from_slice(encoding.as_str().as_bytes());
        octets.extend_from_slice(b"\r\n\r\n");
        Self { octets, media_type }
    }

    /// Ends the content.
    pub(super) fn end(mut self) -> Self {
        self.octets.extend_from_slice(b"\r\n");
        self
    }

    /// A part with this content.
    pub(super) fn whole(headers: &Headers, encoding: TransferEncoding, content: &[u8]) -> Self {
        let mut part = Self::single("", headers, encoding, content.len());
        part.octets.extend_from_slice(content);
        part.end()
    }

    /// A part of parts (RFC 2046, section 5.1). `boundary` stands in none of them.
    pub(super) fn multi(
        media_type: &'static str,
        content_type: &str,
        is_eight_bit: bool,
        boundary: &str,
        parts: &[Self],
    ) -> Self {
        let held: usize = parts.iter().map(|part| part.octets.len() + boundary.len() + 4).sum();
        let mut octets = Vec::with_capacity(content_type.len() + held + boundary.len() + 80);
        let mut put = |pieces: &[&[u8]]| pieces.iter().for_each(|piece| octets.extend_from_slice(piece));
        put(&[b"Content-Type: ", content_type.as_bytes(), b"\r\n"]);
        if is_eight_bit {
            put(&[b"Content-Transfer-Encoding: 8bit\r\n"]);
        }
        put(&[b"\r\n"]);
        for part in parts {
            put(&[b"--", boundary.as_bytes(), b"\r\n", &part.octets]);
        }
        put(&[b"--", boundary.as_bytes(), b"--\r\n"]);
        Self { octets, media_type }
    }

    /// The message whose only part it is.
    pub(super) fn with_head(self, head: &Headers) -> Vec<u8> {
        const VERSION: &[u8] = b"MIME-Version: 1.0\r\n";
        let mut octets = Vec::with_capacity(head.text.len() + VERSION.len() + self.octets.len());
        octets.extend_from_slice(head.text.as_bytes());
        octets.extend_from_slice(VERSION);
        octets.extend_from_slice(&self.octets);
        octets
    }
}

/// The date of a header (RFC 5322, section 3.3), in UTC, from the seconds since 1970-01-01.
pub(super) fn date(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [(&str, u64); 12] = [
        ("Mar", 31),
        ("Apr", 30),
        ("May", 31),
        ("Jun", 30),
        ("Jul", 31),
        ("Aug", 31),
        ("Sep", 30),
        ("Oct", 31),
        ("Nov", 30),
        ("Dec", 31),
        ("Jan", 31),
        ("Feb", 29),
    ];
    /// The days from 2000-03-01 back to 1970-01-01, and those of 400 years, 100 years, four years and one.
    const TO_MARCH_2000: u64 = 11_017;
    const YEARS_400: u64 = 146_097;
    const YEARS_100: u64 = 36_524;
    const YEARS_4: u64 = 1_461;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Counted from a first of March, behind a leap day, so that the leap day is the last of its year. 400 years earlier than
    // 2000, so that no day comes before.
    let mut left = days + YEARS_400 - TO_MARCH_2000;
    let mut year = 1600 + 400 * (left / YEARS_400);
    left %= YEARS_400;
    let hundreds = (left / YEARS_100).min(3);
    left -= hundreds * YEARS_100;
    let fours = left / YEARS_4;
    left %= YEARS_4;
    let ones = (left / 365).min(3);
    left -= ones * 365;
    year += 100 * hundreds + 4 * fours + ones;
    let mut month = "";
    for (at, (name, length)) in MONTHS.into_iter().enumerate() {
        month = name;
        if left < length {
            // January and February belong to the next year.
            year += u64::from(at >= 10);
            break;
        }
        left -= length;
    }
    let mut text = String::with_capacity(32);
    let two = |text: &mut String, number: u64| {
        text.push(char::from(b'0' + (number / 10) as u8));
        text.push(char::from(b'0' + (number % 10) as u8));
    };
    text.push_str(DAYS[(days % 7) as usize]);
    text.push_str(", ");
    two(&mut text, left + 1);
    text.push(' ');
    text.push_str(month);
    text.push(' ');
    two(&mut text, year / 100);
    two(&mut text, year % 100);
    for (sign, number) in [(' ', second / 3600), (':', second / 60 % 60), (':', second % 60)] {
        text.push(sign);
        two(&mut text, number);
    }
    text.push_str(" +0000");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "Thu, 01 Jan 1970 00:00:00 +0000"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 +0000"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 +0000"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 +0000"),
            (1_709_164_800, "Thu, 29 Feb 2024 00:00:00 +0000"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 +0000"),
            (1_790_000_000, "Mon, 21 Sep 2026 14:13:20 +0000"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 +0000"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 +0000"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 +0000"),
        ] {
            assert_eq!(date(seconds), expected);
        }
    }

    #[test]
    fn a_line_takes_the_place_of_the_one_with_its_name() {
        let mut headers = Headers::default();
        headers.put("X-Priority", "1");
        headers.put("Importance", "high");
        headers.put("X-Last", "z");
        headers.replace("importance", |line| line.glue("not so"));
        headers.replace("X-New", |line| line.glue("n"));
        headers.replace("X-PRIORITY", |line| line.glue("5"));
        assert_eq!(
            headers.text,
            "X-PRIORITY: 5\r\nimportance: not so\r\nX-Last: z\r\nX-New: n\r\n"
        );
    }
}
