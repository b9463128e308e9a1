//! Streams over bad lines.

use super::*;

const ONE: StreamNumber = StreamNumber(1);
const TWO: StreamNumber = StreamNumber(2);

fn lossy() -> Line {
    Line {
        jitter: Duration::from_millis(3),
        loss_ppm: 100_000,
        reorder_ppm: 100_000,
        ..Line::clean(Duration::from_millis(20))
    }
}

fn pipe(line: Line) -> Pipe {
    Pipe::new(line, &mut Dice::new(5), Mono::default())
}

/// Runs until nothing happens any more; what arrived, and when the last did.
fn run(pipe: &mut Pipe, from: Mono) -> (Vec<(StreamNumber, Arrived)>, Mono) {
    let mut all = pipe.advance(from);
    let mut now = from;
    while let Some(at) = pipe.poll_timeout() {
        now = at.max(now);
        all.extend(pipe.advance(now));
    }
    (all, now)
}

fn bytes_of(all: &[(StreamNumber, Arrived)], stream: StreamNumber) -> Vec<u8> {
    let of = |(number, arrived): &(StreamNumber, Arrived)| match arrived {
        Arrived::Bytes(bytes) if *number == stream => Some(bytes.to_vec()),
        _ => None,
    };
    all.iter().filter_map(of).flatten().collect()
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8).collect()
}

#[test]
fn a_stream_arrives_whole_and_in_order_whatever_is_lost() {
    let mut pipe = pipe(lossy());
    pipe.write(ONE, &content(300_000));
    pipe.finish(ONE);
    let (all, _) = run(&mut pipe, Mono::default());
    assert_eq!(bytes_of(&all, ONE), content(300_000));
    assert_eq!(all.last(), Some(&(ONE, Arrived::Finished)));
    let sending = pipe.sending(Mono::default());
    assert_eq!((sending.written, sending.sent, sending.in_flight), (300_000, 300_000, 0));
}

#[test]
fn the_higher_priority_goes_first() {
    let line =
        Line { rate: Some(100_000), queue_bytes: 5_000, ..Line::clean(Duration::from_millis(5)) };
    let mut pipe = pipe(line);
    pipe.write(ONE, &content(50_000));
    pipe.write(TWO, &content(50_000));
    pipe.set_priority(TWO, 1);
    pipe.finish(ONE);
    pipe.finish(TWO);
    let (all, _) = run(&mut pipe, Mono::default());
    let ends: Vec<_> =
        all.iter().filter(|(_, a)| *a == Arrived::Finished).map(|(s, _)| *s).collect();
    assert_eq!(ends, [TWO, ONE]);
}

#[test]
fn what_is_reset_is_no_longer_unsent_and_the_receiver_hears_of_it() {
    let line = Line { rate: Some(100_000), queue_bytes: 5_000, ..lossy() };
    let mut pipe = pipe(line);
    pipe.write(ONE, &content(100_000));
    pipe.advance(Mono::default());
    assert!(pipe.sending(Mono::default()).unsent() > 80_000);
    pipe.reset(ONE, StreamCode::Stale);
    assert_eq!(pipe.sending(Mono::default()).unsent(), 0);
    let (all, _) = run(&mut pipe, Mono::default());
    assert_eq!(all.last(), Some(&(ONE, Arrived::Reset(StreamCode::Stale))));
    assert!(bytes_of(&all, ONE).len() < 20_000);
}

#[test]
fn a_receiver_that_stands_still_acknowledges_nothing_and_goes_on_later() {
    let mut pipe = pipe(Line::clean(Duration::from_millis(10)));
    pipe.write(ONE, &content(3_000));
    pipe.set_paused(true);
    let mut now = Mono::default();
    while now < Mono::from_micros(2_000_000) {
        assert!(pipe.advance(now).is_empty());
        now = pipe.poll_timeout().unwrap().max(now);
    }
    let sending = pipe.sending(now);
    assert!(sending.last_ack_age >= Duration::from_secs(2) && sending.in_flight > 0);
    pipe.set_paused(false);
    assert_eq!(bytes_of(&run(&mut pipe, now).0, ONE), content(3_000));
}

#[test]
fn a_stop_reaches_the_sender_once() {
    let mut pipe = pipe(Line::clean(Duration::from_millis(10)));
    pipe.write(ONE, &content(100));
    run(&mut pipe, Mono::default());
    let now = Mono::from_micros(100_000);
    pipe.stop(ONE, now);
    run(&mut pipe, now);
    assert_eq!(pipe.take_stopped(), [ONE]);
    assert!(pipe.take_stopped().is_empty());
}
