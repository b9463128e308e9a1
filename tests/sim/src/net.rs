//! A link, sans-IO: a message and a time in, messages and times out. Delay, jitter, loss, reordering
//! and a rate with a bounded queue, all seeded.
//!
//! Decides only what happens to a message on its way. Holds what is on its way and no more: the
//! queue by bytes, the rest by what the sender's window lets out.

use std::collections::BTreeMap;
use std::time::Duration;

use roommate_protocol::time::Mono;

use crate::dice::Dice;

/// What a link does to what passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// One way, for everything.
    pub delay: Duration,
    /// Up to so much more, evenly; order is kept.
    pub jitter: Duration,
    /// Chances in a million that a message is lost.
    pub loss_ppm: u32,
    /// Chances in a million that a message is overtaken by later ones.
    pub reorder_ppm: u32,
    /// Bytes per second; none: no bound.
    pub rate: Option<u64>,
    /// Bytes that wait for the rate before more are lost.
    pub queue_bytes: u64,
}

impl Line {
    /// A line with nothing but a delay.
    #[must_use]
    pub const fn clean(delay: Duration) -> Self {
        Self {
            delay,
            jitter: Duration::ZERO,
            loss_ppm: 0,
            reorder_ppm: 0,
            rate: None,
            queue_bytes: u64::MAX,
        }
    }

    /// The longest that a message which is not lost can take, if the queue is full.
    #[must_use]
    pub fn longest(&self) -> Duration {
        let queue = self.rate.map_or(Duration::ZERO, |rate| time_of(self.queue_bytes, rate));
        // Overtaken messages take half as long again, and a little more.
        self.delay + self.delay / 2 + OVERTAKEN + self.jitter + queue
    }
}

/// How much later an overtaken message is at least.
const OVERTAKEN: Duration = Duration::from_millis(2);

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It will come out then.
    Arrives(Mono),
    /// Chance took it.
    Lost,
    /// The queue was full.
    Dropped,
    /// The link is cut.
    Nowhere,
}

/// Counts of one link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounts {
    /// Messages put in.
    pub sent: u64,
    /// Messages lost by chance.
    pub lost: u64,
    /// Messages that found the queue full.
    pub dropped: u64,
    /// Messages that came out.
    pub arrived: u64,
}

/// One direction of one line.
#[derive(Debug)]
pub struct Link<M> {
    line: Line,
    dice: Dice,
    under_way: BTreeMap<(Mono, u64), M>,
    number: u64,
    /// When the last byte that was let in has left the queue.
    busy_until: Mono,
    /// Order is kept: nothing arrives before this.
    last_arrival: Mono,
    cut: bool,
    counts: LinkCounts,
}

impl<M> Link<M> {
    /// An empty link.
    #[must_use]
    pub fn new(line: Line, dice: Dice) -> Self {
        Self {
            line,
            dice,
            under_way: BTreeMap::new(),
            number: 0,
            busy_until: Mono::default(),
            last_arrival: Mono::default(),
            cut: false,
            counts: LinkCounts::default(),
        }
    }

    /// Changes the line for what is sent from here on.
    pub fn set(&mut self, line: Line) {
        self.line = line;
    }

    /// What the line does now.
    #[must_use]
    pub fn line(&self) -> Line {
        self.line
    }

    /// Puts a message of so many bytes in.
    pub fn send(&mut self, bytes: u64, message: M, now: Mono) -> Fate {
        if self.cut {
            return Fate::Nowhere;
        }
        self.counts.sent += 1;
        let mut leaves = now;
        if let Some(rate) = self.line.rate {
            let waiting = bytes_in(self.busy_until.since(now), rate);
            if waiting + bytes > self.line.queue_bytes {
                self.counts.dropped += 1;
                return Fate::Dropped;
            }
            self.busy_until = self.busy_until.max(now) + time_of(bytes, rate);
            leaves = self.busy_until;
        }
        // After the queue: what is lost on the way has used the line.
        if self.dice.chance(self.line.loss_ppm) {
            self.counts.lost += 1;
            return Fate::Lost;
        }
        let mut arrives = leaves + self.line.delay + self.dice.within(self.line.jitter);
        if self.dice.chance(self.line.reorder_ppm) {
            arrives = arrives + self.line.delay / 2 + OVERTAKEN;
        } else {
            arrives = arrives.max(self.last_arrival);
            self.last_arrival = arrives;
        }
        self.number += 1;
        self.under_way.insert((arrives, self.number), message);
        Fate::Arrives(arrives)
    }

    /// The next message that has arrived.
    pub fn poll(&mut self, now: Mono) -> Option<M> {
        let first = self.under_way.first_entry()?;
        if first.key().0 > now {
            return None;
        }
        self.counts.arrived += 1;
        Some(first.remove())
    }

    /// When the next message arrives.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Mono> {
        self.under_way.keys().next().map(|(at, _)| *at)
    }

    /// Nothing passes any more, and what is under way is gone.
    pub fn cut(&mut self) {
        self.cut = true;
        self.under_way.clear();
    }

    /// What has happened here.
    #[must_use]
    pub fn counts(&self) -> LinkCounts {
        self.counts
    }
}

fn time_of(bytes: u64, rate: u64) -> Duration {
    Duration::from_micros(bytes.saturating_mul(1_000_000) / rate.max(1))
}

fn bytes_in(time: Duration, rate: u64) -> u64 {
    u64::try_from(time.as_micros() * u128::from(rate) / 1_000_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn at(ms: u64) -> Mono {
        Mono::from_micros(ms * 1000)
    }

    fn drain(link: &mut Link<u32>) -> Vec<(u64, u32)> {
        let mut arrived = Vec::new();
        while let Some(when) = link.poll_timeout() {
            let message = link.poll(when).unwrap();
            arrived.push((when.as_micros() / 1000, message));
        }
        arrived
    }

    #[test]
    fn a_clean_line_delays_and_does_nothing_else() {
        let mut link = Link::new(Line::clean(20 * MS), Dice::new(1));
        assert_eq!(link.send(1200, 1, at(0)), Fate::Arrives(at(20)));
        assert_eq!(link.send(1200, 2, at(3)), Fate::Arrives(at(23)));
        assert_eq!(link.poll(at(19)), None);
        assert_eq!(drain(&mut link), [(20, 1), (23, 2)]);
    }

    #[test]
    fn a_slow_line_lets_bytes_through_at_its_rate_and_drops_what_finds_its_queue_full() {
        // 100 bytes a millisecond; room for ten packets.
        let line = Line { rate: Some(100_000), queue_bytes: 10_000, ..Line::clean(Duration::ZERO) };
        let mut link = Link::new(line, Dice::new(1));
        let fates: Vec<_> = (0..12).map(|n| link.send(1000, n, at(0))).collect();
        assert_eq!(fates[9], Fate::Arrives(at(100)));
        assert_eq!(fates[10], Fate::Dropped);
        assert_eq!(link.send(1000, 20, at(10)), Fate::Arrives(at(110)));
        assert_eq!(drain(&mut link).len(), 11);
        assert_eq!(link.counts().dropped, 2);
    }

    #[test]
    fn loss_is_seeded_and_about_what_was_asked() {
        let line = Line { loss_ppm: 50_000, ..Line::clean(MS) };
        let story = |seed| {
            let mut link = Link::new(line, Dice::new(seed));
            (0..10_000).map(|n| link.send(100, n, at(0)) == Fate::Lost).collect::<Vec<_>>()
        };
        assert_eq!(story(3), story(3));
        let lost = story(3).iter().filter(|lost| **lost).count();
        assert!((420..580).contains(&lost), "{lost}");
    }

    #[test]
    fn jitter_keeps_the_order_and_reordering_does_not() {
        let jitter = Line { jitter: 10 * MS, ..Line::clean(5 * MS) };
        let arrived = |line| {
            let mut link = Link::new(line, Dice::new(9));
            for n in 0..500 {
                link.send(100, n, at(n.into()));
            }
            drain(&mut link).into_iter().map(|(_, n)| n).collect::<Vec<_>>()
        };
        assert!(arrived(jitter).is_sorted());
        let mixed = arrived(Line { reorder_ppm: 100_000, ..jitter });
        assert_eq!(mixed.len(), 500);
        assert!(!mixed.is_sorted());
    }

    #[test]
    fn nothing_takes_longer_than_the_line_says() {
        let line = Line {
            jitter: 7 * MS,
            reorder_ppm: 200_000,
            rate: Some(50_000),
            queue_bytes: 5_000,
            ..Line::clean(10 * MS)
        };
        let mut link = Link::new(line, Dice::new(4));
        for n in 0..2000_u64 {
            if let Fate::Arrives(when) = link.send(100, 0, at(n)) {
                // Order may hold one back behind another that was late.
                assert!(when.since(at(n)) <= line.longest(), "{n}: {when:?}");
            }
        }
    }

    #[test]
    fn a_cut_link_gives_nothing_back() {
        let mut link = Link::new(Line::clean(MS), Dice::new(1));
        link.send(1, 1, at(0));
        link.cut();
        assert_eq!(link.send(1, 2, at(0)), Fate::Nowhere);
        assert_eq!(link.poll_timeout(), None);
    }
}
