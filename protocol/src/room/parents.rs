//! Who feeds us. A subscription belongs to a track, not to a connection: when the connection changes,
//! what is lacking is asked again and the same track is subscribed anew. Until members feed each
//! other, the parent is the publisher. At most [`SUBSCRIPTIONS_MAX`].

use std::collections::BTreeMap;
use std::time::Duration;

use super::Room;
use super::input::ConnId;
use super::output::{Event, Output};
use super::reasons::RefuseReason;
use crate::media::clock::ClockView;
use crate::media::track::Lacking;
use crate::time::{Deadline, Mono, Now, Why};
use crate::trust::id::{PeerId, TrackKey};
use crate::wire::header::SubscriptionId;
use crate::wire::message::{self, Admit, Clock, Path, Redirect, Refuse, Subscribe, Unsubscribe};

/// Tracks that one node watches at a time: picture and sound of a call of thirty.
pub const SUBSCRIPTIONS_MAX: usize = 64;
/// After a refusal that time may mend, the first wait; it doubles.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// The longest wait.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// How long a parent may take to answer a Subscribe: as long as its proof may take.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// A parent whose streams broke a rule is not asked again for so long.
const MISBEHAVED: Duration = Duration::from_secs(10);

/// One track that we want.
#[derive(Clone, Debug)]
pub(super) struct Sub {
    latency: Duration,
    state: State,
    refusals: u32,
}

#[derive(Clone, Debug)]
enum State {
    /// Not before then.
    Wanted { at: Mono },
    /// The shell looks what is lacking.
    Asking,
    /// Subscribe was sent, at `asked`.
    Open { conn: ConnId, sub: SubscriptionId, asked: Mono, admitted: Option<Admitted> },
}

/// What a parent said.
#[derive(Clone, Debug)]
pub(super) struct Admitted {
    pub(super) path: Vec<PeerId>,
    pub(super) clock: ClockView,
}

/// The table of our subscriptions.
#[derive(Debug, Default)]
pub(super) struct Parents {
    subs: BTreeMap<TrackKey, Sub>,
    named: u32,
}

impl Parents {
    /// `first` is drawn at random: two rooms on one connection must not name subscriptions alike,
    /// since a stream names nothing else.
    pub(super) fn new(first: u32) -> Self {
        Self { named: first, ..Self::default() }
    }

    pub(super) fn clear(&mut self) {
        self.subs.clear();
    }

    pub(super) fn tracks(&self) -> impl Iterator<Item = &TrackKey> {
        self.subs.keys()
    }

    pub(super) fn len(&self) -> usize {
        self.subs.len()
    }

    pub(super) fn add(&mut self, track: TrackKey, latency: Duration, now: Mono) {
        let latency = latency.min(Duration::from_millis(message::LATENCY_MS_MAX.into()));
        let state = State::Wanted { at: now };
        self.subs.entry(track).or_insert(Sub { latency, state, refusals: 0 }).latency = latency;
    }

    pub(super) fn contains(&self, track: &TrackKey) -> bool {
        self.subs.contains_key(track)
    }

    /// The open subscription to a track: where, how it is named, and what the parent said.
    pub(super) fn open(
        &self,
        track: &TrackKey,
    ) -> Option<(ConnId, SubscriptionId, Option<&Admitted>)> {
        match &self.subs.get(track)?.state {
            State::Open { conn, sub, admitted, .. } => Some((*conn, *sub, admitted.as_ref())),
            _ => None,
        }
    }

    /// Whether we are asking this very peer for this track. Only publishers feed, so far.
    pub(super) fn is_open_to(&self, track: &TrackKey, peer: PeerId) -> bool {
        track.publisher == peer && self.open(track).is_some()
    }

    /// Whether whom we asked has had its time to answer.
    fn is_unanswered(&self, track: &TrackKey, now: Mono) -> bool {
        matches!(
            self.subs.get(track).map(|sub| &sub.state),
            Some(State::Open { asked, admitted: None, .. }) if *asked + ANSWER_MAX <= now
        )
    }

    fn named(&mut self, conn: ConnId, sub: SubscriptionId) -> Option<(TrackKey, &mut Sub)> {
        self.subs.iter_mut().map(|(track, known)| (*track, known)).find(|(_, known)| {
            matches!(known.state, State::Open { conn: c, sub: s, .. } if c == conn && s == sub)
        })
    }

    pub(super) fn poll_timeout(&self, may_ask: impl Fn(&TrackKey) -> bool) -> Option<Deadline> {
        let times = self.subs.iter().filter_map(|(track, sub)| match sub.state {
            State::Wanted { at } if may_ask(track) => Some(at),
            State::Open { asked, admitted: None, .. } => Some(asked + ANSWER_MAX),
            _ => None,
        });
        times.min().map(|at| (at, Why("a track is subscribed, again or anew")))
    }
}

impl Room {
    /// What the cache of `track` lacks first: the answer to [`Output::AskLacking`]. Now it is
    /// subscribed.
    pub fn handle_lacking(&mut self, track: TrackKey, lacking: Option<Lacking>, now: Now) {
        self.notice(now);
        let conn = self.feeder(&track);
        let Some(known) = self.parents.subs.get_mut(&track) else { return };
        if !matches!(known.state, State::Asking) {
            return;
        }
        let Some(conn) = conn else {
            known.state = State::Wanted { at: now.mono };
            return;
        };
        self.parents.named = self.parents.named.wrapping_add(1);
        let sub = SubscriptionId(self.parents.named);
        known.state = State::Open { conn, sub, asked: now.mono, admitted: None };
        let latency_ms = u32::try_from(known.latency.as_millis()).unwrap_or(u32::MAX);
        let lacking = lacking.map(|lacking| message::Lacking {
            group: lacking.group,
            seq: lacking.seq,
            piece: lacking.piece,
        });
        // First the table, then the word: a stream may overtake the answer.
        self.emit(Output::ExpectStreams { conn, sub, track });
        self.send(conn, &Subscribe { sub, track, lacking, latency_ms });
    }

    /// The streams of this subscription broke a rule: its feeder is no member to deal with.
    pub fn handle_parent_misbehaved(&mut self, conn: ConnId, sub: SubscriptionId, now: Now) {
        self.notice(now);
        if let Some((track, _)) = self.parents.named(conn, sub) {
            self.punish(conn, now);
            for (other, known) in &mut self.parents.subs {
                if other.publisher == track.publisher {
                    known.state = State::Wanted { at: now.mono + MISBEHAVED };
                }
            }
        }
        self.settle(now);
    }

    /// The connection on which a track can be asked for now.
    fn feeder(&self, track: &TrackKey) -> Option<ConnId> {
        let pair = self.pairs.get(&track.publisher)?;
        let conn = self.conns.get(&pair.current)?;
        conn.route.carries_pictures().then_some(pair.current)
    }

    pub(super) fn may_ask(&self, track: &TrackKey) -> bool {
        self.feeder(track).is_some()
    }

    pub(super) fn tick_parents(&mut self, now: Now) {
        let tracks: Vec<TrackKey> = self.parents.subs.keys().copied().collect();
        for track in tracks {
            if self.broadcasts.get(track.publisher, track.broadcast).is_none() {
                self.end_sub(track);
                continue;
            }
            let feeder = self.feeder(&track);
            if let Some((conn, ..)) = self.parents.open(&track)
                && feeder.is_some_and(|feeder| feeder != conn)
            {
                self.close_sub(track, now.mono);
            }
            if self.parents.is_unanswered(&track, now.mono) {
                self.close_sub(track, now.mono + RETRY_MIN);
            }
            let Some(known) = self.parents.subs.get_mut(&track) else { continue };
            if let State::Wanted { at } = known.state
                && at <= now.mono
                && feeder.is_some()
            {
                known.state = State::Asking;
                self.emit(Output::AskLacking { track });
            }
        }
    }

    pub(super) fn lose_parents_on(&mut self, conn: ConnId, now: Now) {
        for (track, known) in &mut self.parents.subs {
            let State::Open { conn: on, sub, admitted, .. } = &known.state else { continue };
            if *on != conn {
                continue;
            }
            self.outputs.push_back(Output::ForgetStreams { conn, sub: *sub });
            // Whoever leaves is fed no longer because they wanted it so.
            if admitted.is_some() && self.ended.is_none() {
                self.outputs.push_back(Output::Event(Event::Unfed { track: *track }));
            }
            known.state = State::Wanted { at: now.mono };
        }
    }

    /// No more of this track.
    pub(super) fn end_sub(&mut self, track: TrackKey) {
        self.close_sub(track, Mono::default());
        self.parents.subs.remove(&track);
    }

    /// Ends an open subscription politely; the track stays wanted.
    fn close_sub(&mut self, track: TrackKey, again: Mono) {
        if let Some((conn, sub, _)) = self.parents.open(&track) {
            self.send(conn, &Unsubscribe { sub });
            self.emit(Output::ForgetStreams { conn, sub });
        }
        if let Some(known) = self.parents.subs.get_mut(&track) {
            known.state = State::Wanted { at: again };
        }
    }

    pub(super) fn on_admit(&mut self, conn: ConnId, said: Admit, now: Now) {
        let Some(parent) = self.conns.get(&conn).map(|conn| conn.peer) else { return };
        let Some((track, known)) = self.parents.named(conn, said.sub) else { return };
        known.refusals = 0;
        let clock = ClockView { offset_us: said.clock.offset_us, error_us: said.clock.error_us };
        let path = said.path;
        if let State::Open { admitted, .. } = &mut known.state {
            *admitted = Some(Admitted { path: path.clone(), clock });
        }
        if self.leave_circle(track, &path, now) {
            return;
        }
        self.tell(Event::Admitted { track, parent, conn, path });
    }

    pub(super) fn on_path(&mut self, conn: ConnId, said: Path, now: Now) {
        let Some((track, known)) = self.parents.named(conn, said.sub) else { return };
        if let State::Open { admitted: Some(admitted), .. } = &mut known.state {
            admitted.path.clone_from(&said.path);
        }
        self.leave_circle(track, &said.path, now);
    }

    /// Whoever finds itself in a path that comes to it leaves that parent at once.
    fn leave_circle(&mut self, track: TrackKey, path: &[PeerId], now: Now) -> bool {
        let circle = path.contains(&self.me);
        if circle {
            self.close_sub(track, now.mono + RETRY_MIN);
        }
        circle
    }

    pub(super) fn on_clock(&mut self, conn: ConnId, said: Clock) {
        let Some((_, known)) = self.parents.named(conn, said.sub) else { return };
        if let State::Open { admitted: Some(admitted), .. } = &mut known.state {
            admitted.clock =
                ClockView { offset_us: said.report.offset_us, error_us: said.report.error_us };
        }
    }

    pub(super) fn on_refuse(&mut self, conn: ConnId, said: Refuse, now: Now) {
        self.refused(conn, said.sub, RefuseReason::from_number(said.reason), now);
    }

    /// Others cannot feed us yet, so being sent to them means that there is no slot.
    pub(super) fn on_redirect(&mut self, conn: ConnId, said: Redirect, now: Now) {
        self.refused(conn, said.sub, RefuseReason::Full, now);
    }

    fn refused(&mut self, conn: ConnId, sub: SubscriptionId, reason: RefuseReason, now: Now) {
        let Some(parent) = self.conns.get(&conn).map(|conn| conn.peer) else { return };
        let Some((track, known)) = self.parents.named(conn, sub) else { return };
        let wait = RETRY_MIN.saturating_mul(1 << known.refusals.min(5)).min(RETRY_MAX);
        known.refusals = known.refusals.saturating_add(1);
        known.state = State::Wanted { at: now.mono + wait };
        self.emit(Output::ForgetStreams { conn, sub });
        self.tell(Event::Refused { track, parent, reason });
    }
}
