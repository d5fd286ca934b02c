//! JSON read naively by its grammar (RFC 8259), for the oracles: it shares nothing with the reader that ships.

/// What stands for a name that has half of a surrogate pair.
const NO_NAME: &str = "\u{fffd}";

/// A value. Bodies are short here, so that its depth is no danger.
#[derive(Debug)]
pub enum Json {
    /// The members in order, each as often as it was there.
    Object(Vec<(String, Json)>),
    Array(Vec<Json>),
    /// Nothing where it has half of a surrogate pair, which no text can hold.
    Text(Option<String>),
    /// As it is written.
    Number(String),
    /// `true`, `false`, `null`.
    Word,
}

impl Json {
    /// The whole of the bytes as one value.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text: Vec<char> = str::from_utf8(bytes).ok()?.chars().collect();
        let mut reader = Reader { text: &text, at: 0 };
        let value = reader.value()?;
        reader.blanks();
        (reader.at == text.len()).then_some(value)
    }

    /// Every member of this name; none where this is no object.
    pub fn members(&self, name: &str) -> Vec<&Self> {
        match self {
            Self::Object(members) => members.iter().filter(|(key, _)| key == name).map(|(_, value)| value).collect(),
            _ => vec![],
        }
    }

    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => text.as_deref(),
            _ => None,
        }
    }

    /// A number without a fraction or an exponent; -0 has a sign that only fractions have.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Number(number) if number != "-0" => number.parse().ok(),
            _ => None,
        }
    }

    /// Whether any reader takes it: not deep, no name twice, every text whole, no number beyond what a float holds.
    pub fn is_tame(&self, depth: usize) -> bool {
        depth < 100
            && match self {
                Self::Object(members) => members
                    .iter()
                    .all(|(name, value)| name != NO_NAME && self.members(name).len() == 1 && value.is_tame(depth + 1)),
                Self::Array(items) => items.iter().all(|value| value.is_tame(depth + 1)),
                Self::Text(text) => text.is_some(),
                Self::Number(number) => number.len() < 40 && !number.contains(['e', 'E']),
                Self::Word => true,
            }
    }
}

struct Reader<'a> {
    text: &'a [char],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        self.at += 1;
        self.text.get(self.at - 1).copied()
    }

    fn is_next(&mut self, expected: char) -> bool {
        let is = self.peek() == Some(expected);
        self.at += usize::from(is);
        is
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Option<Json> {
        self.blanks();
        match self.peek()? {
            '{' => self.object(),
            '[' => self.array(),
            '"' => self.string().map(Json::Text),
            '-' | '0'..='9' => self.number(),
            _ => ["true", "false", "null"].into_iter().find_map(|word| {
                let is = self.text[self.at..].starts_with(&word.chars().collect::<Vec<_>>());
                self.at += if is { word.len() } else { 0 };
                is.then_some(Json::Word)
            }),
        }
    }

    fn object(&mut self) -> Option<Json> {
        let mut members = vec![];
        self.next();
        self.blanks();
        if self.is_next('}') {
            return Some(Json::Object(members));
        }
        loop {
            self.blanks();
            let name = self.string()?.unwrap_or_else(|| NO_NAME.to_owned());
            self.blanks();
            if !self.is_next(':') {
                return None;
            }
            members.push((name, self.value()?));
            self.blanks();
            match self.next()? {
                ',' => {}
                '}' => return Some(Json::Object(members)),
                _ => return None,
            }
        }
    }

    fn array(&mut self) -> Option<Json> {
        let mut items = vec![];
        self.next();
        self.blanks();
        if self.is_next(']') {
            return Some(Json::Array(items));
        }
        loop {
            items.push(self.value()?);
            self.blanks();
            match self.next()? {
                ',' => {}
                ']' => return Some(Json::Array(items)),
                _ => return None,
            }
        }
    }

    /// Nothing when it is no string; an inner nothing when it is one that no text can hold.
    #[allow(clippy::option_option, reason = "two kinds of nothing, and both matter")]
    fn string(&mut self) -> Option<Option<String>> {
        if !self.is_next('"') {
            return None;
        }
        let mut units: Vec<u16> = vec![];
        loop {
            match self.next()? {
                '"' => return Some(String::from_utf16(&units).ok()),
                '\\' => units.push(match self.next()? {
                    'b' => 8,
                    't' => 9,
                    'n' => 10,
                    'f' => 12,
                    'r' => 13,
                    'u' => {
                        let digits: Vec<u32> = (0..4).map(|_| self.next()?.to_digit(16)).collect::<Option<Vec<_>>>()?;
                        digits.iter().fold(0, |unit, digit| unit << 4 | u16::try_from(*digit).unwrap_or(0))
                    }
                    '"' => u16::from(b'"'),
                    '\\' => u16::from(b'\\'),
                    '/' => u16::from(b'/'),
                    _ => return None,
                }),
                '\0'..='\x1f' => return None,
                plain => units.extend(plain.encode_utf16(&mut [0; 2]).iter()),
            }
        }
    }

    fn number(&mut self) -> Option<Json> {
        let start = self.at;
        self.is_next('-');
        if !self.is_next('0') {
            self.digits()?;
        }
        if self.is_next('.') {
            self.digits()?;
        }
        if self.is_next('e') || self.is_next('E') {
            if !self.is_next('+') {
                self.is_next('-');
            }
            self.digits()?;
        }
        Some(Json::Number(self.text[start..self.at].iter().collect()))
    }

    /// At least one.
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|char| char.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}

#[test]
fn the_grammar_is_read_to_the_letter() {
    for good in [
        "{}",
        " [ ] ",
        "\"\"",
        "0",
        "-0.5e+3",
        "null",
        r#"{"a":[1,{"b":"\u00e9\n"}],"a":true}"#,
        r#""\ud83d\ude00""#,
        r#""\ud800""#,
    ] {
        assert!(Json::parse(good.as_bytes()).is_some(), "{good}");
    }
    for bad in [
        "",
        " ",
        "{",
        "{,}",
        "[1,]",
        "{\"a\"}",
        "{\"a\":1,}",
        "{a:1}",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "-",
        "nul",
        "truex",
        "\"",
        "\"\n\"",
        r#""\x""#,
        r#""\u12g4""#,
        "{} x",
        "[1]]",
        "\u{feff}{}",
        "'a'",
    ] {
        assert!(Json::parse(bad.as_bytes()).is_none(), "{bad}");
    }
    assert!(Json::parse(b"\"\xff\"").is_none());
    let twice = Json::parse(br#"{"a":"\u0061","a":-7,"b":{"a":0}}"#).unwrap();
    let members = twice.members("a");
    assert_eq!((members.len(), members[0].text(), members[1].integer()), (2, Some("a"), Some(-7)));
}
