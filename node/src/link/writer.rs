//! Writes one track to one child: the cursor decides, this performs. One task a child and track.
//!
//! At most two streams are open. Nothing is written ahead of the network: the gate is asked in the
//! very poll that writes, and a write takes at most 8 KiB. Everything is awaited in one `select!`,
//! and whatever is dropped there has written nothing.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use roommate_protocol::media::cursor::Cursor;
use roommate_protocol::media::gate::{Gate, May, Sending};
use roommate_protocol::media::pull::{Feed, Medium, Offer, Pull, Rank, StreamNumber};
use roommate_protocol::media::track::Over;
use roommate_protocol::time::{Mono, Now, Wall};
use roommate_protocol::wire::code::StreamCode;
use tokio::sync::{mpsc, watch};

use crate::link::sink::{
    GateView, MediaSink, PRIORITY_LEFT, PRIORITY_NEWEST, PRIORITY_OLDER, PRIORITY_SOUND, SendHalf,
    SinkError, Time,
};
use crate::link::{Cancel, FeedStats, SharedTrack};

/// The longest sleep: the time of day may jump, and a ticket's end is told by it.
const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(1);

/// Between two requests for a keyframe. The publisher's policy decides; this only spares words.
const KEYFRAME_REQUEST_INTERVAL: Duration = Duration::from_secs(1);

/// How a feed ended. All its streams are reset or finished by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedEnd {
    /// It was cancelled with this code.
    Cancelled(StreamCode),
    /// The child's ticket ended.
    TicketEnded,
    /// The child stopped a stream with `Gone`: it has unsubscribed.
    Unsubscribed,
    /// The track is over.
    Over(Over),
    /// The connection is over.
    LinkDown,
}

/// One feed: what is written, until when, and whom to ask for a keyframe.
#[derive(Debug)]
pub struct FeedTask {
    /// What the child asked for.
    pub feed: Feed,
    /// The track.
    pub track: Arc<SharedTrack>,
    /// When the child's ticket ends.
    pub until: Option<Wall>,
    /// Ends the feed.
    pub cancel: Cancel,
    /// What was sent.
    pub stats: Arc<FeedStats>,
    /// Told when the child is late and no newer group is there. When it is full, the next
    /// request counts.
    pub keyframe_wanted: mpsc::Sender<()>,
}

/// Writes until the feed ends.
pub async fn write_feed<S, G, T>(task: FeedTask, sink: S, gate: G, time: T) -> FeedEnd
where
    S: MediaSink,
    G: GateView,
    T: Time,
{
    let changes = task.track.changes();
    let cursor = Cursor::new(task.feed.clone());
    let medium = task.feed.medium;
    let streams = Streams { sink, medium, opening: None, open: BTreeMap::new(), sent_seen: 0 };
    let mut writer =
        Writer { task, cursor, streams, gate: Gate::of(medium), view: gate, time, asked_at: None };
    let end = writer.run(changes).await;
    let code = match end {
        FeedEnd::Cancelled(code) => code,
        _ => StreamCode::Cancelled,
    };
    writer.streams.reset_all(code, &writer.view);
    writer.task.stats.set_counts(writer.cursor.counts());
    writer.task.stats.set_over();
    end
}

struct Writer<S: MediaSink, G, T> {
    task: FeedTask,
    cursor: Cursor,
    streams: Streams<S>,
    gate: Gate,
    view: G,
    time: T,
    asked_at: Option<Mono>,
}

/// What a turn of the loop brought.
enum Turn {
    /// Look again.
    Again,
    Wrote {
        stream: StreamNumber,
        bytes: usize,
        unsent: u64,
    },
    Failed(StreamNumber, SinkError),
    End(FeedEnd),
}

impl<S: MediaSink, G: GateView, T: Time> Writer<S, G, T> {
    async fn run(&mut self, mut changes: watch::Receiver<u64>) -> FeedEnd {
        loop {
            // Marked before the look: a change after it ends the wait below.
            changes.mark_unchanged();
            let now = self.time.now();
            if self.task.until.is_some_and(|until| until <= now.wall) {
                return FeedEnd::TicketEnded;
            }
            let (pull, wants_keyframe) = self.task.track.look(|cache| {
                let pull = self.cursor.pull(cache, now.mono);
                (pull, self.cursor.wants_keyframe(cache, now.mono))
            });
            self.streams.follow(&self.cursor, &self.view);
            self.task.stats.set_counts(self.cursor.counts());
            if wants_keyframe {
                self.ask_for_keyframe(now.mono);
            }
            let offers = match pull {
                Pull::Write(offers) => offers,
                Pull::Wait => Vec::new(),
                Pull::Finish(stream) => {
                    self.streams.finish(stream);
                    continue;
                }
                Pull::Leave(stream) => {
                    self.streams.leave(stream);
                    continue;
                }
                Pull::Reset { stream, code } => {
                    self.streams.reset(stream, code, &self.view);
                    continue;
                }
                Pull::Ended(over) => return FeedEnd::Over(over),
            };
            match self.turn(&mut changes, offers, now).await {
                Turn::Again => {}
                Turn::Wrote { stream, bytes, unsent } => {
                    self.cursor.wrote(stream, bytes);
                    self.task.stats.note_write(bytes as u64, unsent);
                }
                Turn::Failed(_, SinkError::NoCredit) => {}
                Turn::Failed(stream, SinkError::Stopped(code)) => {
                    self.cursor.handle_stopped(stream);
                    self.streams.reset(stream, StreamCode::Cancelled, &self.view);
                    if StreamCode::from_code(code) == Some(StreamCode::Gone) {
                        return FeedEnd::Unsubscribed;
                    }
                }
                Turn::Failed(_, SinkError::Closed) => return FeedEnd::LinkDown,
                Turn::End(end) => return end,
            }
        }
    }

    /// Waits for whatever comes first; writes only while the gate is open.
    async fn turn(
        &mut self,
        changes: &mut watch::Receiver<u64>,
        mut offers: Vec<Offer>,
        now: Now,
    ) -> Turn {
        // Taken before the counters are looked at: a change between the two ends the wait.
        let notice = self.view.notified();
        let sending = self.view.sending();
        self.streams.look(sending);
        let may = self.gate.ask(sending, now.mono);
        let (open, mut wait) = match may {
            May::Write => (true, LOOK_INTERVAL_MAX),
            May::Wait(until) => (false, until.since(now.mono)),
        };
        let has_offers = !offers.is_empty();
        if !has_offers {
            wait = LOOK_INTERVAL_MAX;
        }
        if let Some((at, _)) = self.cursor.poll_timeout() {
            wait = wait.min(at.since(now.mono));
        }
        if let Some(until) = self.task.until {
            let left = until.as_micros().saturating_sub(now.wall.as_micros());
            wait = wait.min(Duration::from_micros(u64::try_from(left).unwrap_or(0)));
        }
        let (streams, gate, view, time) =
            (&mut self.streams, &mut self.gate, &self.view, &self.time);
        let write = poll_fn(|cx| {
            // Asked in the poll that writes: another track of this link may have closed it.
            let sending = view.sending();
            streams.look(sending);
            if gate.ask(sending, time.mono()) != May::Write {
                return Poll::Ready(Turn::Again);
            }
            streams.poll_write(cx, &mut offers, sending.unsent())
        });
        tokio::select! {
            biased;
            code = self.task.cancel.cancelled() => Turn::End(FeedEnd::Cancelled(code)),
            _ = changes.changed() => Turn::Again,
            () = tokio::time::sleep(wait) => Turn::Again,
            () = notice, if has_offers && !open => Turn::Again,
            turn = write, if has_offers && open => turn,
        }
    }

    fn ask_for_keyframe(&mut self, now: Mono) {
        let soon = |asked: Mono| now.since(asked) < KEYFRAME_REQUEST_INTERVAL;
        if !self.asked_at.is_some_and(soon) {
            self.asked_at = Some(now);
            let _ = self.task.keyframe_wanted.try_send(());
        }
    }
}

type Opening<H> = Pin<Box<dyn Future<Output = Result<H, SinkError>> + Send>>;

/// The streams of one feed: at most two open, and one being opened.
struct Streams<S: MediaSink> {
    sink: S,
    medium: Medium,
    /// For no stream in particular until it is open: whoever needs one first takes it.
    opening: Option<Opening<S::Half>>,
    open: BTreeMap<StreamNumber, Open<S::Half>>,
    /// What the connection had sent at the last look.
    sent_seen: u64,
}

struct Open<H> {
    half: H,
    rank: Rank,
    bytes: u64,
    /// How much of `bytes` has not left, at most as far as can be told.
    unsent: u64,
}

impl<S: MediaSink> Streams<S> {
    /// Writes one offer, the first that its stream takes anything of.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        offers: &mut [Offer],
        unsent: u64,
    ) -> Poll<Turn> {
        let medium = self.medium;
        for Offer { stream, rank, chunks } in offers {
            let open = match self.open.get_mut(stream) {
                Some(open) => open,
                None => match self.poll_open(cx) {
                    Poll::Pending => continue,
                    Poll::Ready(Err(error)) => return Poll::Ready(Turn::Failed(*stream, error)),
                    Poll::Ready(Ok(mut half)) => {
                        half.set_priority(priority(medium, *rank));
                        self.open.entry(*stream).or_insert(Open {
                            half,
                            rank: *rank,
                            bytes: 0,
                            unsent: 0,
                        })
                    }
                },
            };
            match open.half.poll_write(cx, chunks) {
                Poll::Pending => {}
                Poll::Ready(Ok(bytes)) => {
                    open.bytes += bytes as u64;
                    open.unsent += bytes as u64;
                    return Poll::Ready(Turn::Wrote { stream: *stream, bytes, unsent });
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Turn::Failed(*stream, error)),
            }
        }
        Poll::Pending
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<S::Half, SinkError>> {
        let sink = &self.sink;
        let opening = self.opening.get_or_insert_with(|| Box::pin(sink.open()));
        let polled = opening.as_mut().poll(cx);
        if polled.is_ready() {
            self.opening = None;
        }
        polled
    }

    /// Gives the streams the ranks that they have now, and resets those that the cursor gave up
    /// before anything was written to them.
    fn follow(&mut self, cursor: &Cursor, view: &impl GateView) {
        let ranks: BTreeMap<_, _> = cursor.streams().collect();
        // Only what the cursor has forgotten and not said: `Finish` and `Reset` are still to come.
        let unknown = |(number, open): (&StreamNumber, &Open<S::Half>)| {
            (!ranks.contains_key(number) && open.bytes == 0).then_some(*number)
        };
        let silent: Vec<_> = self.open.iter().filter_map(unknown).collect();
        silent.into_iter().for_each(|stream| self.reset(stream, StreamCode::Stale, view));
        for (number, open) in &mut self.open {
            if let Some(rank) = ranks.get(number)
                && *rank != open.rank
            {
                open.rank = *rank;
                open.half.set_priority(priority(self.medium, *rank));
            }
        }
    }

    fn finish(&mut self, stream: StreamNumber) {
        if let Some(mut open) = self.open.remove(&stream) {
            open.half.finish();
        }
    }

    /// Finishes a stream of whose last bytes nothing may be lost, before all others.
    fn leave(&mut self, stream: StreamNumber) {
        if let Some(mut open) = self.open.remove(&stream) {
            open.half.set_priority(PRIORITY_LEFT);
            open.half.finish();
        }
    }

    /// Attributes what the connection has sent since the last look: the newest stream's bytes left
    /// first. What others on this connection sent is attributed too, so that `unsent` is rather too
    /// small: too little is taken back then, and the counters mend that when they run dry.
    fn look(&mut self, sending: Sending) {
        let mut left = sending.sent.saturating_sub(self.sent_seen);
        self.sent_seen = self.sent_seen.max(sending.sent);
        for rank in [Rank::Newest, Rank::Older] {
            for open in self.open.values_mut().filter(|open| open.rank == rank) {
                let sent = open.unsent.min(left);
                open.unsent -= sent;
                left -= sent;
            }
        }
    }

    /// Resets a stream. What was written to it and has not left never will.
    fn reset(&mut self, stream: StreamNumber, code: StreamCode, view: &impl GateView) {
        let sending = view.sending();
        self.look(sending);
        let Some(mut open) = self.open.remove(&stream) else { return };
        open.half.reset(code);
        view.take_back(open.unsent.min(sending.unsent()));
    }

    fn reset_all(&mut self, code: StreamCode, view: &impl GateView) {
        self.opening = None;
        while let Some((stream, _)) = self.open.first_key_value() {
            self.reset(*stream, code, view);
        }
    }
}

fn priority(medium: Medium, rank: Rank) -> i32 {
    match (medium, rank) {
        (Medium::Sound, _) => PRIORITY_SOUND,
        (Medium::Pictures, Rank::Newest) => PRIORITY_NEWEST,
        (Medium::Pictures, Rank::Older) => PRIORITY_OLDER,
    }
}
