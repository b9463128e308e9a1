//! What members show, and what must be true of them after every step.

use roommate_protocol::media::track::AccessUnit;
use roommate_protocol::time::Mono;
use roommate_protocol::trust::id::TrackKey;

use super::Town;
use crate::member::Member;
use crate::oracle;
use crate::source::Source;
use crate::viewer::Shown;

impl Town {
    pub(super) fn show(&mut self) -> Result<(), String> {
        for number in 0..self.members.len() {
            let local = self.members[number].now(self.now).mono;
            let mut watching = std::mem::take(&mut self.members[number].watching);
            for (track, viewer) in &mut watching {
                for unit in viewer.pull(local) {
                    self.check(number, track, unit.seq, &unit.access_unit())?;
                    let (seq, group) = (unit.seq, unit.group);
                    let captured = self.captured(track, unit.access_unit().captured_us);
                    let ready = self.members[number].world(unit.ready_at);
                    let next = Shown { seq, group, captured, ready };
                    oracle::follows(number, viewer.shown.last(), &next)?;
                    viewer.shown.push(next);
                }
            }
            self.members[number].watching = watching;
        }
        Ok(())
    }

    /// The source of a track, of whichever start of its node.
    #[must_use]
    pub fn source(&self, track: &TrackKey) -> Option<(&Member, &Source)> {
        self.members.iter().find_map(|member| {
            member.source.as_ref().filter(|s| s.track() == *track).map(|source| (member, source))
        })
    }

    fn check(
        &self,
        number: usize,
        track: &TrackKey,
        seq: u64,
        shown: &AccessUnit,
    ) -> Result<(), String> {
        let original = self.source(track).and_then(|(_, source)| source.originals.get(&seq));
        if original == Some(shown) {
            return Ok(());
        }
        Err(format!("member {number} shows {seq} as it was never published"))
    }

    /// A time of a broadcast's clock by the world's.
    fn captured(&self, track: &TrackKey, captured_us: i64) -> Mono {
        let Some((member, _)) = self.source(track) else { return Mono::default() };
        let Some(clock) = member.room.clock(track.publisher, track.broadcast) else {
            return Mono::default();
        };
        let local = u64::try_from(captured_us - clock.offset_us).unwrap_or_default();
        member.world(Mono::from_micros(local))
    }

    pub(super) fn look(&self) -> Result<(), String> {
        for wire in &self.wires {
            for (end, other) in [(0, 1), (1, 0)] {
                for (_, feed) in wire.ends[end].feeds.values() {
                    oracle::writer_keeps_bounds(feed, wire.ends[other].member)?;
                }
            }
        }
        for member in self.members.iter().filter(|member| member.alive) {
            for (track, viewer) in &member.watching {
                oracle::cache_is_bounded(&format!("member {}", member.number), &viewer.cache)?;
                self.clock_is_right(member, track)?;
            }
        }
        Ok(())
    }

    /// Whether a member's idea of a broadcast's clock is within the bound that it tells.
    fn clock_is_right(&self, member: &Member, track: &TrackKey) -> Result<(), String> {
        let Some(view) = member.room.clock(track.publisher, track.broadcast) else { return Ok(()) };
        let Some((publisher, _)) = self.source(track).filter(|(member, _)| member.alive) else {
            return Ok(());
        };
        let Some(truth) = publisher.room.clock(track.publisher, track.broadcast) else {
            return Ok(());
        };
        let truth = truth.at(publisher.now(self.now).mono);
        let off = (view.at(member.now(self.now).mono) - truth).unsigned_abs();
        if off <= view.error_us {
            return Ok(());
        }
        let number = member.number;
        Err(format!(
            "member {number}: its clock is {off} µs off, the bound is {} µs",
            view.error_us
        ))
    }
}
