//! One connection's media direction, as QUIC gives it: unidirectional streams with priorities,
//! resets and stops, in order within a stream, lost packets sent again, over two [`Link`]s.
//!
//! Models what the product's decisions can notice: order, delay by loss, in-flight bytes, what is
//! written and not yet sent. Models neither handshakes nor congestion control: the window is a
//! constant of the line.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use roommate_protocol::media::gate::Sending;
use roommate_protocol::media::pull::StreamNumber;
use roommate_protocol::time::Mono;
use roommate_protocol::wire::code::StreamCode;

use crate::dice::Dice;
use crate::net::{Line, Link};

mod streams;

use streams::{Incoming, Outgoing};

/// Bytes of stream data in a packet.
const PACKET_BYTES: usize = 1200;
/// What a packet has beside its data.
const OVERHEAD_BYTES: u64 = 60;
/// An acknowledgement or a stop.
const ACK_BYTES: u64 = 60;
/// Packets acknowledged behind one that is not, before that one counts as lost.
const OVERTAKEN_MAX: u32 = 3;
/// The window of a line without a rate.
const WINDOW_BYTES: u64 = 512 * 1024;

/// What came out at the receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// The stream's next bytes.
    Bytes(Bytes),
    /// All of it was received.
    Finished,
    /// The sender gave it up.
    Reset(StreamCode),
}

#[derive(Clone, Debug)]
enum Part {
    Data { offset: usize, bytes: Bytes, fin: bool },
    Reset(StreamCode),
}

#[derive(Clone, Debug)]
struct Packet {
    number: u64,
    stream: StreamNumber,
    part: Part,
}

#[derive(Clone, Debug)]
enum Back {
    Ack(u64),
    Stop(StreamNumber),
}

#[derive(Debug)]
struct Flight {
    sent_at: Mono,
    stream: StreamNumber,
    part: Part,
    overtaken: u32,
}

impl Flight {
    fn bytes(&self) -> u64 {
        match &self.part {
            Part::Data { bytes, .. } => bytes.len() as u64,
            Part::Reset(_) => 0,
        }
    }
}

/// The streams of one connection in one direction.
#[derive(Debug)]
pub struct Pipe {
    forward: Link<Packet>,
    back: Link<Back>,
    outgoing: BTreeMap<StreamNumber, Outgoing>,
    incoming: BTreeMap<StreamNumber, Incoming>,
    in_flight: BTreeMap<u64, Flight>,
    next_packet: u64,
    written: u64,
    sent: u64,
    in_flight_bytes: u64,
    last_ack: Mono,
    stopped: Vec<StreamNumber>,
    /// Counts what could matter to a writer: acknowledgements, losses, packets let out, stops.
    stirs: u64,
    paused: bool,
    dead: bool,
}

impl Pipe {
    /// A connection that begins now.
    pub fn new(line: Line, dice: &mut Dice, now: Mono) -> Self {
        Self {
            forward: Link::new(line, dice.split()),
            back: Link::new(back(line), dice.split()),
            outgoing: BTreeMap::new(),
            incoming: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            next_packet: 0,
            written: 0,
            sent: 0,
            in_flight_bytes: 0,
            last_ack: now,
            stopped: Vec::new(),
            stirs: 0,
            paused: false,
            dead: false,
        }
    }

    /// Changes the line, both ways.
    pub fn set_line(&mut self, line: Line) {
        self.forward.set(line);
        self.back.set(back(line));
    }

    /// What the line does now.
    #[must_use]
    pub fn line(&self) -> Line {
        self.forward.line()
    }

    /// Writes; the stream is opened by its first write.
    pub fn write(&mut self, stream: StreamNumber, bytes: &[u8]) {
        let outgoing = self.outgoing.entry(stream).or_default();
        outgoing.data.extend_from_slice(bytes);
        self.written += bytes.len() as u64;
    }

    /// Streams of a higher priority are sent first.
    pub fn set_priority(&mut self, stream: StreamNumber, priority: i32) {
        if let Some(outgoing) = self.outgoing.get_mut(&stream) {
            outgoing.priority = priority;
        }
    }

    /// Nothing more will be written to it.
    pub fn finish(&mut self, stream: StreamNumber) {
        if let Some(outgoing) = self.outgoing.get_mut(&stream) {
            outgoing.fin = true;
        }
    }

    /// Gives it up: what was not sent is never sent.
    pub fn reset(&mut self, stream: StreamNumber, code: StreamCode) {
        if let Some(outgoing) = self.outgoing.get_mut(&stream)
            && outgoing.reset.is_none()
        {
            // QUIC forgets it, so it is no longer unsent.
            self.sent += (outgoing.data.len() - outgoing.sent) as u64;
            self.sent += outgoing.again.iter().map(|(from, to)| (to - from) as u64).sum::<u64>();
            outgoing.again.clear();
            outgoing.data = Vec::new();
            outgoing.sent = 0;
            outgoing.reset = Some(code);
        }
    }

    /// The receiver wants no more of it.
    pub fn stop(&mut self, stream: StreamNumber, now: Mono) {
        self.incoming.entry(stream).or_default().over = true;
        self.back.send(ACK_BYTES, Back::Stop(stream), now);
    }

    /// Streams that the receiver stopped, once each.
    pub fn take_stopped(&mut self) -> Vec<StreamNumber> {
        std::mem::take(&mut self.stopped)
    }

    /// Streams from `base` on, `count` of them, that were opened and are neither finished nor
    /// reset.
    #[must_use]
    pub fn open_streams(&self, base: u32, count: u32) -> usize {
        let streams = self.outgoing.range(StreamNumber(base)..StreamNumber(base + count));
        streams.filter(|(_, stream)| !stream.fin && stream.reset.is_none()).count()
    }

    /// What the gate is told.
    #[must_use]
    pub fn sending(&self, now: Mono) -> Sending {
        Sending {
            written: self.written,
            sent: self.sent,
            in_flight: self.in_flight_bytes,
            last_ack_age: now.since(self.last_ack),
        }
    }

    /// The receiver stands still: what comes is lost, nothing is acknowledged.
    pub fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// The connection is gone.
    pub fn kill(&mut self) {
        self.dead = true;
        self.forward.cut();
        self.back.cut();
    }

    /// Lets time pass up to `now`: sends what may be sent, and gives what has arrived.
    pub fn advance(&mut self, now: Mono) -> Vec<(StreamNumber, Arrived)> {
        let mut arrived = Vec::new();
        if self.dead {
            return arrived;
        }
        while let Some(packet) = self.forward.poll(now) {
            if !self.paused {
                self.back.send(ACK_BYTES, Back::Ack(packet.number), now);
                let stream = packet.stream;
                let incoming = self.incoming.entry(stream).or_default();
                incoming.receive(packet.part, &mut |news| arrived.push((stream, news)));
            }
        }
        while let Some(back) = self.back.poll(now) {
            self.stirs += 1;
            match back {
                Back::Ack(number) => self.acknowledge(number, now),
                Back::Stop(stream) => self.stopped.push(stream),
            }
        }
        self.declare_lost(now);
        self.pump(now);
        arrived
    }

    /// Changes when something happened that could let a writer go on.
    #[must_use]
    pub fn stirs(&self) -> u64 {
        self.stirs
    }

    /// When something happens next, if nothing is written until then.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Mono> {
        if self.dead {
            return None;
        }
        // Sent in the order of their numbers, so the first one runs out of patience first.
        let lost = self.in_flight.values().next().map(|flight| flight.sent_at + self.patience());
        [self.forward.poll_timeout(), self.back.poll_timeout(), lost].into_iter().flatten().min()
    }

    /// After which silence a packet counts as lost.
    #[must_use]
    pub fn patience(&self) -> Duration {
        let line = self.forward.line();
        line.longest() + line.delay + line.jitter + Duration::from_millis(5)
    }

    fn window(&self) -> u64 {
        let line = self.forward.line();
        let Some(rate) = line.rate else { return WINDOW_BYTES };
        let round_trip = 2 * line.delay + line.jitter;
        let on_the_way = rate * u64::try_from(round_trip.as_micros()).unwrap_or(0) / 1_000_000;
        // Most of the queue is filled, as quinn's BBR does.
        (on_the_way + line.queue_bytes / 10 * 7).max(4 * PACKET_BYTES as u64)
    }

    fn pump(&mut self, now: Mono) {
        while self.in_flight_bytes + PACKET_BYTES as u64 <= self.window()
            && let Some((stream, part)) = streams::next_part(&mut self.outgoing)
        {
            self.stirs += 1;
            let number = self.next_packet;
            self.next_packet += 1;
            let flight = Flight { sent_at: now, stream, part: part.clone(), overtaken: 0 };
            let bytes = flight.bytes();
            self.sent += bytes;
            self.in_flight_bytes += bytes;
            self.in_flight.insert(number, flight);
            self.forward.send(bytes + OVERHEAD_BYTES, Packet { number, stream, part }, now);
        }
    }

    fn acknowledge(&mut self, number: u64, now: Mono) {
        self.last_ack = now;
        if let Some(flight) = self.in_flight.remove(&number) {
            self.in_flight_bytes -= flight.bytes();
        }
        for flight in self.in_flight.range_mut(..number).map(|(_, flight)| flight) {
            flight.overtaken += 1;
        }
    }

    fn declare_lost(&mut self, now: Mono) {
        let patience = self.patience();
        let lost: Vec<u64> = self
            .in_flight
            .iter()
            .take_while(|(_, f)| f.overtaken > 0 || f.sent_at + patience <= now)
            .filter(|(_, f)| f.overtaken >= OVERTAKEN_MAX || f.sent_at + patience <= now)
            .map(|(number, _)| *number)
            .collect();
        self.stirs += lost.len() as u64;
        for number in lost {
            let Some(flight) = self.in_flight.remove(&number) else { continue };
            self.in_flight_bytes -= flight.bytes();
            let Some(stream) = self.outgoing.get_mut(&flight.stream) else { continue };
            match flight.part {
                Part::Reset(_) => stream.reset_sent = false,
                // Of a stream that was reset nothing is sent again.
                Part::Data { .. } if stream.reset.is_some() => {}
                Part::Data { offset, bytes, fin } => {
                    self.sent -= bytes.len() as u64;
                    stream.fin_sent &= !fin;
                    if !bytes.is_empty() {
                        stream.again.insert((offset, offset + bytes.len()));
                    }
                }
            }
        }
    }
}

/// Acknowledgements add up, so that losing one costs nothing: only their delay counts.
fn back(line: Line) -> Line {
    Line { jitter: line.jitter, ..Line::clean(line.delay) }
}

#[cfg(test)]
mod tests;
