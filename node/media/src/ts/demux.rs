//! Bytes in, what happens to the chosen video and sound stream out.
//!
//! The first program that has either is followed, also when its tables change. Written here
//! because neither crate does the work: `mpeg2ts` 0.6 pulls from a `Read` and ends at the first PID
//! that no table has named, so no stream can begin in the middle; `mpeg2ts-reader` 0.18 expects
//! whole packets at known places, drops encrypted ones without a word and takes an allowed
//! repetition for a loss; what is left of it (sections, header fields) is less than its adaption.
//!
//! Bound: a few packets, one section for each of 17 tables, two PES headers.

use super::error::TsError;
use super::packet::{Packet, Packets};
use super::pes::{Pes, PesReader};
use super::program::{Program, choose};
use super::psi::{Sections, programs, streams};

/// Bytes in which the first packet must be found.
const SEARCH_BYTES_MAX: usize = 64 * 1024;

/// A chosen stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Video,
    Sound,
}

/// What the demultiplexer tells.
pub(super) enum Event<'a> {
    /// These streams are followed from here on.
    Program(Program),
    /// The clock may jump.
    Discontinuity,
    /// Something of a stream.
    Pes(Kind, Pes<'a>),
}

/// The table of one program.
#[derive(Debug)]
struct Map {
    number: u16,
    pid: u16,
    counter: Option<u8>,
    sections: Sections,
}

/// The demultiplexer.
#[derive(Debug, Default)]
pub(super) struct Demux {
    packets: Packets,
    tables: Tables,
}

#[derive(Debug, Default)]
struct Tables {
    association: Sections,
    association_counter: Option<u8>,
    maps: Vec<Map>,
    /// Number of the program that is followed.
    chosen: Option<u16>,
    program: Program,
    video: PesReader,
    sound: PesReader,
}

impl Demux {
    /// Takes bytes as they come; `each` is told what they bring.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        each: &mut impl FnMut(Event<'_>) -> Result<(), TsError>,
    ) -> Result<(), TsError> {
        let tables = &mut self.tables;
        self.packets.push(bytes, |packet| tables.take(&packet, each))?;
        if !self.packets.found && self.packets.skipped > SEARCH_BYTES_MAX {
            return Err(TsError::NotTs);
        }
        Ok(())
    }

    /// The end of the stream.
    pub(super) fn end(
        &mut self,
        each: &mut impl FnMut(Event<'_>) -> Result<(), TsError>,
    ) -> Result<(), TsError> {
        let tables = &mut self.tables;
        let torn = self.packets.end(|packet| tables.take(&packet, each))?;
        // Its writer was killed, as a rule in the middle of a picture.
        if torn && !tables.video.looks_ended() {
            each(Event::Pes(Kind::Video, Pes::Lost))?;
            tables.video = PesReader::default();
        }
        tables.video.end(&mut |pes| each(Event::Pes(Kind::Video, pes)))?;
        tables.sound.end(&mut |pes| each(Event::Pes(Kind::Sound, pes)))
    }

    /// Whether a packet was ever found.
    pub(super) fn found(&self) -> bool {
        self.packets.found
    }

    /// The newest PES packet of the video is whole, or seems so.
    pub(super) fn video_looks_ended(&self) -> bool {
        self.tables.video.looks_ended()
    }
}

impl Tables {
    fn take(
        &mut self,
        packet: &Packet<'_>,
        each: &mut impl FnMut(Event<'_>) -> Result<(), TsError>,
    ) -> Result<(), TsError> {
        if packet.pid == 0 {
            self.associate(packet);
            return Ok(());
        }
        let sound = self.program.sound.map(|(pid, _)| pid);
        let (kind, reader) = if Some(packet.pid) == self.program.video {
            (Kind::Video, &mut self.video)
        } else if Some(packet.pid) == sound {
            (Kind::Sound, &mut self.sound)
        } else {
            return self.map(packet, each);
        };
        if packet.discontinuity {
            each(Event::Discontinuity)?;
        }
        reader.push(packet, &mut |pes| each(Event::Pes(kind, pes)))?;
        if reader.is_scrambled() { Err(TsError::Encrypted) } else { Ok(()) }
    }

    /// Takes a packet of the program association table.
    fn associate(&mut self, packet: &Packet<'_>) {
        let payload = section_part(packet, &mut self.association_counter, &mut self.association);
        let Some(payload) = payload else { return };
        let maps = &mut self.maps;
        self.association.push(packet.start, payload, |section| {
            let Some(listed) = programs(section) else { return };
            maps.retain(|map| listed.contains(&(map.number, map.pid)));
            for (number, pid) in listed {
                if !maps.iter().any(|map| map.number == number) {
                    maps.push(Map { number, pid, counter: None, sections: Sections::default() });
                }
            }
        });
        if self.chosen.is_some_and(|number| !self.maps.iter().any(|map| map.number == number)) {
            self.chosen = None;
        }
    }

    /// Takes a packet that may be of a program map table.
    fn map(
        &mut self,
        packet: &Packet<'_>,
        each: &mut impl FnMut(Event<'_>) -> Result<(), TsError>,
    ) -> Result<(), TsError> {
        let Some(map) = self.maps.iter_mut().find(|map| map.pid == packet.pid) else {
            return Ok(());
        };
        let Some(payload) = section_part(packet, &mut map.counter, &mut map.sections) else {
            return Ok(());
        };
        let (own, chosen) = (map.number, self.chosen);
        let mut found = Ok(None);
        map.sections.push(packet.start, payload, |section| {
            // Several programs may share a PID for their tables.
            let Some((number, streams)) = streams(section).filter(|(number, _)| *number == own)
            else {
                return;
            };
            if chosen.is_none_or(|chosen| chosen == number) {
                found = choose(&streams).map(|program| program.map(|program| (number, program)));
            }
        });
        let Some((number, program)) = found? else { return Ok(()) };
        self.chosen = Some(number);
        if program == self.program {
            return Ok(());
        }
        if program.video != self.program.video {
            self.video.end(&mut |pes| each(Event::Pes(Kind::Video, pes)))?;
            self.video = PesReader::default();
        }
        if program.sound != self.program.sound {
            self.sound.end(&mut |pes| each(Event::Pes(Kind::Sound, pes)))?;
            self.sound = PesReader::default();
        }
        self.program = program;
        each(Event::Program(program))
    }
}

/// The payload of a packet with a table; a gap in the count spoils the section that was begun.
fn section_part<'a>(
    packet: &Packet<'a>,
    counter: &mut Option<u8>,
    sections: &mut Sections,
) -> Option<&'a [u8]> {
    let payload = packet.payload?;
    if packet.damaged || packet.scrambled {
        sections.lose();
        return None;
    }
    match counter.replace(packet.counter) {
        Some(last) if last == packet.counter => return None,
        Some(last) if (last + 1) & 0x0f != packet.counter => sections.lose(),
        _ => {}
    }
    Some(payload)
}
