//! Walks the boxes of an MP4 file (ISO/IEC 14496-12, 4.2) without trusting a size.
//!
//! Containers are walked here and only the leaves that we need are decoded, so that an odd box in
//! another track does not cost us the video. Bound: a box is read into memory only if it lies whole
//! in the file and is no longer than [`INDEX_BYTES_MAX`].

use std::io::{self, Read, Seek, SeekFrom};

use mp4_atom::{Atom, Buf};

/// Longest `moov` or `moof` that is read. A day of 60 pictures a second has an index of about
/// 100 MiB; longer ones are better sent in parts.
pub(super) const INDEX_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// What a box is called.
pub(super) type Kind = [u8; 4];

/// A box at the top of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileBox {
    pub(super) kind: Kind,
    /// Where its header begins.
    pub(super) start: u64,
    /// Where its content begins.
    pub(super) body: u64,
    /// Where it says that it ends, which may be beyond the end of the file.
    pub(super) end: u64,
}

/// The box whose header begins at `start`; `None` where fewer than 8 bytes are left.
pub(super) fn box_at(
    file: &mut (impl Read + Seek),
    start: u64,
    length: u64,
) -> io::Result<Option<FileBox>> {
    if length.saturating_sub(start) < 8 {
        return Ok(None);
    }
    let mut head = [0; 16];
    file.seek(SeekFrom::Start(start))?;
    let have = if length - start >= 16 { 16 } else { 8 };
    file.read_exact(&mut head[..have])?;
    let (kind, header, size) = header(&head);
    let end = size.map_or(length, |size| start.saturating_add(size.max(header)));
    Ok(Some(FileBox { kind, start, body: start + header, end }))
}

/// The content of a box that lies whole in the file.
pub(super) fn read_body(file: &mut (impl Read + Seek), found: &FileBox) -> io::Result<Vec<u8>> {
    // The caller has checked that it ends in the file: what is reserved here is really there.
    let length = found.end.saturating_sub(found.body);
    let mut body = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.seek(SeekFrom::Start(found.body))?;
    file.read_exact(&mut body)?;
    Ok(body)
}

/// Name, length of the header and length of the whole box; `None`: to the end.
fn header(head: &[u8; 16]) -> (Kind, u64, Option<u64>) {
    let [a, b, c, d, k0, k1, k2, k3, long @ ..] = *head;
    let kind = [k0, k1, k2, k3];
    match u32::from_be_bytes([a, b, c, d]) {
        0 => (kind, 8, None),
        1 => (kind, 16, Some(u64::from_be_bytes(long))),
        size => (kind, 8, Some(u64::from(size))),
    }
}

/// The boxes in a container's content. One that reaches beyond it, and all after it, are left out.
pub(super) fn children(body: &[u8]) -> Children<'_> {
    Children { rest: body }
}

/// Iterator of [`children`].
#[derive(Clone, Debug)]
pub(super) struct Children<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Children<'a> {
    type Item = (Kind, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.len() < 8 {
            return None;
        }
        let mut head = [0; 16];
        let have = self.rest.len().min(16);
        head[..have].copy_from_slice(&self.rest[..have]);
        let (kind, header, size) = header(&head);
        let size = size.map_or(Some(self.rest.len()), |size| usize::try_from(size).ok())?;
        let header = header as usize;
        if size < header || size > self.rest.len() {
            return None;
        }
        let (whole, rest) = self.rest.split_at(size);
        self.rest = rest;
        Some((kind, &whole[header..]))
    }
}

/// The first child of this name.
pub(super) fn child<'a>(body: &'a [u8], kind: &Kind) -> Option<&'a [u8]> {
    children(body).find(|(found, _)| found == kind).map(|(_, body)| body)
}

/// The first child along a path of names.
pub(super) fn descend<'a>(body: &'a [u8], path: &[&Kind]) -> Option<&'a [u8]> {
    path.iter().try_fold(body, |body, kind| child(body, kind))
}

/// Decodes a leaf. Bytes behind its last field are forgiven: some writers pad.
pub(super) fn leaf<T: Atom>(body: &[u8]) -> Option<T> {
    let mut rest = body;
    let atom = T::decode_body(&mut rest).ok()?;
    debug_assert!(Buf::remaining(&rest) <= body.len(), "a decoder only consumes");
    Some(atom)
}
