//! What is wrong with a text that is not JSON, in the words of Go's decoder.

use crate::limits::DOCUMENT_DEPTH_MAX;

/// The first fault of `text`, or nothing if its grammar is right.
pub(super) fn fault(text: &[u8]) -> Option<String> {
    let mut scanner = Scanner { rest: text };
    scanner.document().err()
}

struct Scanner<'a> {
    rest: &'a [u8],
}

type Scanned = Result<(), String>;

impl Scanner<'_> {
    fn document(&mut self) -> Scanned {
        self.value(0)?;
        self.skip_blanks();
        match self.rest.first() {
            None => Ok(()),
            Some(&byte) => invalid(byte, "after top-level value"),
        }
    }

    fn value(&mut self, depth: usize) -> Scanned {
        self.skip_blanks();
        match self.take()? {
            b'{' | b'[' if depth == DOCUMENT_DEPTH_MAX => Err("exceeded max depth".to_owned()),
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string(),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            b'-' => match self.take()? {
                digit if digit.is_ascii_digit() => self.number(digit),
                other => invalid(other, "in numeric literal"),
            },
            digit if digit.is_ascii_digit() => self.number(digit),
            other => invalid(other, "looking for beginning of value"),
        }
    }

    fn object(&mut self, depth: usize) -> Scanned {
        self.skip_blanks();
        if self.rest.first() == Some(&b'}') {
            return self.take().map(drop);
        }
        loop {
            self.skip_blanks();
            match self.take()? {
                b'"' => self.string()?,
                other => return invalid(other, "looking for beginning of object key string"),
            }
            self.skip_blanks();
            match self.take()? {
                b':' => self.value(depth + 1)?,
                other => return invalid(other, "after object key"),
            }
            self.skip_blanks();
            match self.take()? {
                b',' => {}
                b'}' => return Ok(()),
                other => return invalid(other, "after object key:value pair"),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Scanned {
        self.skip_blanks();
        if self.rest.first() == Some(&b']') {
            return self.take().map(drop);
        }
        loop {
            self.value(depth + 1)?;
            self.skip_blanks();
            match self.take()? {
                b',' => {}
                b']' => return Ok(()),
                other => return invalid(other, "after array element"),
            }
        }
    }

    fn string(&mut self) -> Scanned {
        loop {
            match self.take()? {
                b'"' => return Ok(()),
                b'\\' => self.escape()?,
                control @ ..0x20 => return invalid(control, "in string literal"),
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Scanned {
        match self.take()? {
            b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => Ok(()),
            b'u' => (0..4).try_for_each(|_| match self.take()? {
                digit if digit.is_ascii_hexdigit() => Ok(()),
                other => invalid(other, "in \\u hexadecimal character escape"),
            }),
            other => invalid(other, "in string escape code"),
        }
    }

    fn literal(&mut self, word: &str) -> Scanned {
        for expected in word.bytes().skip(1) {
            let byte = self.take()?;
            if byte != expected {
                let context = format!("in literal {word} (expecting {})", quote(expected));
                return invalid(byte, &context);
            }
        }
        Ok(())
    }

    fn number(&mut self, first: u8) -> Scanned {
        if first != b'0' {
            self.skip_digits();
        }
        if self.rest.first() == Some(&b'.') {
            self.take()?;
            self.digit("after decimal point in numeric literal")?;
        }
        if matches!(self.rest.first(), Some(b'e' | b'E')) {
            self.take()?;
            if matches!(self.rest.first(), Some(b'+' | b'-')) {
                self.take()?;
            }
            self.digit("in exponent of numeric literal")?;
        }
        Ok(())
    }

    fn digit(&mut self, context: &str) -> Scanned {
        match self.take()? {
            byte if byte.is_ascii_digit() => {
                self.skip_digits();
                Ok(())
            }
            other => invalid(other, context),
        }
    }

    fn skip_digits(&mut self) {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.rest = &self.rest[digits..];
    }

    fn skip_blanks(&mut self) {
        let blanks = self.rest.iter().take_while(|byte| b" \t\r\n".contains(byte)).count();
        self.rest = &self.rest[blanks..];
    }

    fn take(&mut self) -> Result<u8, String> {
        let (&byte, rest) = self.rest.split_first().ok_or("unexpected end of JSON input")?;
        self.rest = rest;
        Ok(byte)
    }
}

fn invalid(byte: u8, context: &str) -> Scanned {
    Err(format!("invalid character {} {context}", quote(byte)))
}

/// Go takes the byte as a Latin-1 character, whatever the text's encoding.
fn quote(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        b'\\' => r"'\\'".to_owned(),
        b'\n' => r"'\n'".to_owned(),
        b'\r' => r"'\r'".to_owned(),
        b'\t' => r"'\t'".to_owned(),
        0..0x20 | 0x7f..=0xa0 | 0xad => format!(r"'\x{byte:02x}'"),
        _ => format!("'{}'", char::from(byte)),
    }
}
