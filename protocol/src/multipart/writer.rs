//! The writer: boundaries, header lines and parts exactly as Java's encoder writes them (wire 3.6).

use bytes::Bytes;

/// A boundary: `prefix` and thirty letters, as `xtop…` for a message and `xatt…` for its attachments.
#[must_use]
pub fn boundary(prefix: &str, random: [u8; 30]) -> String {
    const LETTERS: &[u8; 52] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let letters = random
        .iter()
        .map(|octet| char::from(LETTERS[usize::from(*octet) % LETTERS.len()]));
    prefix.chars().chain(letters).collect()
}

/// Writes one multipart body into a buffer that the caller takes away as it fills.
///
/// Bodies of parts need not pass through: take the bytes so far, send them, send the body, go on.
#[derive(Debug)]
pub struct Writer {
    boundary: String,
    /// Whether the next boundary has a line end before it that belongs to it.
    preceded: bool,
    out: Vec<u8>,
}

impl Writer {
    /// A body of its own: nothing stands before its first boundary.
    #[must_use]
    pub fn new(boundary: &str) -> Self {
        Self {
            boundary: boundary.to_owned(),
            preceded: false,
            out: Vec::new(),
        }
    }

    /// A body inside a part: Java writes an empty line before its first boundary too.
    #[must_use]
    pub fn nested(boundary: &str) -> Self {
        Self {
            preceded: true,
            ..Self::new(boundary)
        }
    }

    /// Begins a part with these header lines. Names and values must not hold line ends.
    pub fn begin(&mut self, headers: &[(&str, &str)]) {
        self.delimiter();
        self.out.extend_from_slice(b"\r\n");
        for (name, value) in headers {
            debug_assert!(
                !name.contains(['\r', '\n']) && !value.contains(['\r', '\n']),
                "{name}: {value}"
            );
            for piece in [name, ": ", value, "\r\n"] {
                self.out.extend_from_slice(piece.as_bytes());
            }
        }
        self.out.extend_from_slice(b"\r\n");
    }

    /// Octets of the part begun, exactly.
    pub fn data(&mut self, octets: &[u8]) {
        self.out.extend_from_slice(octets);
    }

    /// A whole part.
    pub fn part(&mut self, headers: &[(&str, &str)], octets: &[u8]) {
        self.begin(headers);
        self.data(octets);
    }

    /// The closing boundary.
    pub fn close(&mut self) {
        self.delimiter();
        self.out.extend_from_slice(b"--\r\n");
    }

    /// What was written since the last call.
    #[must_use]
    pub fn take(&mut self) -> Bytes {
        Bytes::from(std::mem::take(&mut self.out))
    }

    fn delimiter(&mut self) {
        if std::mem::replace(&mut self.preceded, true) {
            self.out.extend_from_slice(b"\r\n");
        }
        self.out.extend_from_slice(b"--");
        self.out.extend_from_slice(self.boundary.as_bytes());
    }
}
