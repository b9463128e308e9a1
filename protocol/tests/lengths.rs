//! Control messages whose lengths lie: whatever they claim, reading one reserves no more than the
//! bound of `wire/codec.rs` says. Alone in its program, because it counts every byte that is allocated.

#[path = "../../tests/support/hostile.rs"]
mod hostile;

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hostile::{NOW, PEAK, Seeded};
use roommate_protocol::limits::FRAME_BYTES_MAX;
use roommate_protocol::wire::codec::RESERVED_BYTES_MAX;
use roommate_protocol::wire::header::SubscriptionId;
use roommate_protocol::wire::message::Signed;
use roommate_protocol::wire::message::{self, Goodbye, Incoming, Lost, Path, Roster};

/// And what a body is kept in.
const BOUND: usize = RESERVED_BYTES_MAX + FRAME_BYTES_MAX;

/// Numbers of message types, those of later versions among them.
const TYPES: std::ops::Range<u16> = 0..80;

/// The count is the whole program's: the tests take turns.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads one message (type and body) and tells the most that was allocated meanwhile.
fn cost(content: &[u8]) -> usize {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let _ = Incoming::read(content);
    PEAK.load(Ordering::Relaxed).saturating_sub(before)
}

/// A length as the coding writes it: 251, 252 and 253 announce 16, 32 and 64 bits.
fn length(claimed: u64) -> Vec<u8> {
    match claimed {
        0..=250 => vec![claimed as u8],
        251..=0xffff => [&[251][..], &(claimed as u16).to_le_bytes()].concat(),
        0x1_0000..=0xffff_ffff => [&[252][..], &(claimed as u32).to_le_bytes()].concat(),
        _ => [&[253][..], &claimed.to_le_bytes()].concat(),
    }
}

#[test]
fn a_length_that_lies_reserves_no_more_than_the_bound() {
    let _turn = turn();
    let mut random = Seeded(41);
    let mut most = 0;
    for number in TYPES {
        for claimed in [1 << 12, 1 << 16, 1 << 20, 1 << 32, u64::MAX / 2, u64::MAX] {
            for ahead in [0, 1, 2, 4, 8, 16, 32, 33, 64] {
                let mut content = number.to_be_bytes().to_vec();
                // Fields in front of the lie: small numbers, so that they are read as such.
                content.extend((0..ahead).map(|_| random.below(4) as u8));
                content.extend(length(claimed));
                content.extend((0..random.below(2_000)).map(|_| random.next() as u8));
                most = most.max(cost(&content));
            }
        }
    }
    assert!(most <= BOUND, "{most} bytes were reserved for a lie");
}

/// Messages as they are sent, each byte in turn made a length that lies.
#[test]
fn no_byte_of_a_true_message_can_be_made_such_a_lie() {
    let _turn = turn();
    let signed = Signed(vec![7; 200]);
    let sub = SubscriptionId(3);
    let frames = [
        message::encode(&Roster { entries: vec![signed.clone(); 20] }),
        message::encode(&Lost { signed: signed.clone() }),
        message::encode(&Goodbye { signed, hint: Vec::new() }),
        message::encode(&Path { sub, path: Vec::new() }),
    ];
    let mut most = 0;
    for frame in frames {
        let content = frame.expect("a message of ours has a form")[4..].to_vec();
        for at in 2..content.len() {
            for claimed in [u64::MAX, 1 << 40, 60_000] {
                let lie = [&content[..at], &length(claimed), &content[at + 1..]].concat();
                most = most.max(cost(&lie));
            }
        }
    }
    assert!(most <= BOUND, "{most} bytes were reserved for a lie");
}

/// The count is one that can fail.
#[test]
fn what_is_allocated_is_counted() {
    let _turn = turn();
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    drop(std::hint::black_box(vec![1_u8; 2 * BOUND]));
    assert!(PEAK.load(Ordering::Relaxed) - before >= 2 * BOUND);
}
