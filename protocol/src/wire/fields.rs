//! Takes the fields of a fixed layout from the front of bytes. Reads only, and reserves nothing that
//! is not there.

/// What is left of a fixed layout.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    /// A text with one byte of length in front, at most `max` bytes.
    pub(crate) fn text(&mut self, max: usize) -> Option<String> {
        let count = usize::from(self.u8()?);
        let text = std::str::from_utf8(self.bytes(count)?).ok()?;
        (count <= max).then(|| text.to_owned())
    }
}

/// Appends a text with one byte of length in front; what does not fit in 255 bytes is cut at a
/// character.
pub(crate) fn put_text(text: &str, out: &mut Vec<u8>) {
    let text = cut(text, usize::from(u8::MAX));
    out.push(text.len() as u8);
    out.extend(text.as_bytes());
}

/// The longest beginning of `text` of at most `max` bytes that ends at a character.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
