//! The format of container logs (CRI): `<time> stdout|stderr F|P <content>`, one record a line.
//!
//! `F` ends a line of the container's output, `P` is a part of one. Time is RFC 3339 in UTC with nine digits after the
//! point, so that it sorts as text. Content is what the container wrote, byte by byte, without the end of the line.

use jiff::{Timestamp, civil::DateTime, tz::Offset};

/// One of the two streams of a container's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

/// One record of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// When it was read from the container, as it stands in the log.
    pub time: &'a str,
    /// Which stream it came from.
    pub stream: Stream,
    /// Whether the line goes on in the next record.
    pub partial: bool,
    /// What the container wrote.
    pub content: &'a [u8],
}

/// Takes a line of a log, given without its end, apart. Nothing if it is not a record.
pub fn parse(line: &[u8]) -> Option<Record<'_>> {
    let mut parts = line.splitn(4, |&b| b == b' ');
    let (time, stream, tag) = (parts.next()?, parts.next()?, parts.next()?);
    let content = parts.next()?;
    let stream = match stream {
        b"stdout" => Stream::Stdout,
        b"stderr" => Stream::Stderr,
        _ => return None,
    };
    // Tags may be followed by others after a colon.
    let partial = match tag.split(|&b| b == b':').next()? {
        b"F" => false,
        b"P" => true,
        _ => return None,
    };
    Some(Record { time: std::str::from_utf8(time).ok()?, stream, partial, content })
}

/// Formats times. Most differ from the last one only after the point.
#[derive(Debug, Default)]
pub struct TimeFormat {
    second: Option<i64>,
    /// The time up to the point: `2006-01-02T15:04:05`.
    text: String,
}

impl TimeFormat {
    /// Appends a time.
    pub fn push(&mut self, time: Timestamp, out: &mut Vec<u8>) {
        let time = time.max(Timestamp::UNIX_EPOCH);
        if self.second != Some(time.as_second()) {
            self.second = Some(time.as_second());
            self.text = civil(time).strftime("%Y-%m-%dT%H:%M:%S").to_string();
        }
        out.extend_from_slice(self.text.as_bytes());
        let mut digits = *b".000000000Z";
        let mut rest = time.subsec_nanosecond().unsigned_abs();
        for digit in digits[1..10].iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).expect("a digit");
            rest /= 10;
        }
        out.extend_from_slice(&digits);
    }
}

/// A time as the suffix of a rotated file's name.
pub fn rotation_suffix(time: Timestamp) -> String {
    civil(time).strftime("%Y%m%d-%H%M%S").to_string()
}

fn civil(time: Timestamp) -> DateTime {
    Offset::UTC.to_datetime(time)
}

/// Appends a record.
pub fn push_record(
    out: &mut Vec<u8>,
    format: &mut TimeFormat,
    time: Timestamp,
    record: (Stream, bool, &[u8]),
) {
    let (stream, partial, content) = record;
    format.push(time, out);
    out.push(b' ');
    out.extend_from_slice(stream.name().as_bytes());
    out.extend_from_slice(if partial { b" P " } else { b" F " });
    out.extend_from_slice(content);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let mut out = Vec::new();
        let now = time("2026-03-01T09:05:07.000120003Z");
        push_record(&mut out, &mut TimeFormat::default(), now, (Stream::Stderr, true, b" a  b\r"));
        assert_eq!(out, b"2026-03-01T09:05:07.000120003Z stderr P  a  b\r\n");
        let record = parse(&out[..out.len() - 1]).unwrap();
        assert_eq!((record.stream, record.partial, record.content), (Stream::Stderr, true, &b" a  b\r"[..]));
        assert_eq!(time(record.time), now);
    }

    #[test]
    fn what_is_no_record_is_none() {
        for line in ["", "x", "t stdout F", "t stdin F x", "t stdout X x"] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
        assert!(parse(b"t stdout F ").is_some_and(|record| record.content.is_empty()));
        assert!(parse(b"t stdout P:x:y text").is_some_and(|record| record.partial));
    }

    #[test]
    fn times_have_nine_digits_whatever_came_before() {
        let mut format = TimeFormat::default();
        let mut out = Vec::new();
        for text in ["2026-03-01T09:05:07Z", "2026-03-01T09:05:07.5Z", "2026-12-31T23:59:59.999999999Z"] {
            format.push(time(text), &mut out);
            out.push(b' ');
        }
        let expected = "2026-03-01T09:05:07.000000000Z 2026-03-01T09:05:07.500000000Z \
                        2026-12-31T23:59:59.999999999Z ";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        assert_eq!(rotation_suffix(time("2026-03-01T09:05:07.9Z")), "20260301-090507");
    }
}
