//! Both halves of a stream: what is to be sent of it, and what has come in which order.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use roommate_protocol::media::pull::StreamNumber;
use roommate_protocol::wire::code::StreamCode;

use super::{Arrived, PACKET_BYTES, Part};

#[derive(Debug, Default)]
pub(super) struct Outgoing {
    pub(super) priority: i32,
    pub(super) data: Vec<u8>,
    /// Bytes that were sent at least once.
    pub(super) sent: usize,
    /// To be sent again, from and to.
    pub(super) again: BTreeSet<(usize, usize)>,
    pub(super) fin: bool,
    pub(super) fin_sent: bool,
    pub(super) reset: Option<StreamCode>,
    pub(super) reset_sent: bool,
}

impl Outgoing {
    fn has_news(&self) -> bool {
        match self.reset {
            Some(_) => !self.reset_sent,
            None => {
                !self.again.is_empty()
                    || self.sent < self.data.len()
                    || (self.fin && !self.fin_sent)
            }
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Incoming {
    next: usize,
    waiting: BTreeMap<usize, Bytes>,
    end: Option<usize>,
    pub(super) over: bool,
}

impl Incoming {
    /// Takes a part that came, and tells what is new in order.
    pub(super) fn receive(&mut self, part: Part, tell: &mut impl FnMut(Arrived)) {
        if self.over {
            return;
        }
        match part {
            Part::Reset(code) => {
                self.over = true;
                self.waiting.clear();
                tell(Arrived::Reset(code));
            }
            Part::Data { offset, bytes, fin } => {
                if fin {
                    self.end = Some(offset + bytes.len());
                }
                if offset + bytes.len() > self.next {
                    self.waiting.insert(offset, bytes);
                }
                while let Some(first) = self.waiting.first_entry()
                    && *first.key() <= self.next
                {
                    let (offset, bytes) = first.remove_entry();
                    let known = self.next - offset;
                    if known < bytes.len() {
                        self.next += bytes.len() - known;
                        tell(Arrived::Bytes(bytes.slice(known..)));
                    }
                }
                if self.end == Some(self.next) {
                    self.over = true;
                    tell(Arrived::Finished);
                }
            }
        }
    }
}

/// What is sent next of all streams: a reset, else the most urgent stream's lost or next bytes.
pub(super) fn next_part(
    streams: &mut BTreeMap<StreamNumber, Outgoing>,
) -> Option<(StreamNumber, Part)> {
    let wants = streams.iter_mut().filter(|(_, stream)| stream.has_news());
    let (number, stream) = wants.max_by_key(|(number, stream)| {
        (stream.reset.is_some(), stream.priority, std::cmp::Reverse(**number))
    })?;
    if let Some(code) = stream.reset {
        stream.reset_sent = true;
        return Some((*number, Part::Reset(code)));
    }
    let (from, to) = match stream.again.pop_first() {
        Some((from, to)) => {
            let end = to.min(from + PACKET_BYTES);
            if end < to {
                stream.again.insert((end, to));
            }
            (from, end)
        }
        None => {
            let from = stream.sent;
            stream.sent = stream.data.len().min(from + PACKET_BYTES);
            (from, stream.sent)
        }
    };
    let fin = stream.fin && to == stream.data.len();
    stream.fin_sent |= fin;
    let bytes = Bytes::copy_from_slice(&stream.data[from..to]);
    Some((*number, Part::Data { offset: from, bytes, fin }))
}
