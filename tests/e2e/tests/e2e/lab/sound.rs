//! Sound on a line slower than the pictures beside it. The kernels that these tests run on delay no
//! packet (they have no netem), so the round trip is that of one machine and of the line's queue.

use std::time::Duration;

use e2e::check::{self, must};
use e2e::fields::Fields;
use e2e::lab::Lab;
use e2e::stage::Stage;
use e2e::trace;

use crate::room::{Room, child, end, peer, playing};

#[test]
fn pictures_are_dropped_on_a_slow_line_and_no_sound_is() {
    let stage = Stage::new();
    let lab = Lab::new(&["boot", "publisher", "slow"]);
    let room = Room::open_in(&stage, &lab);
    let slow = room.viewer("slow").ready();
    let slow_peer = peer(&slow);
    let source = "test:1280x720@30,2500,gop=1";
    let publisher = room.publisher("publisher", source).args(["--seconds", "30"]).ready();
    lab.host("slow").download(2_000, 25_000);
    playing(&slow);
    let publisher = publisher.finish(Duration::from_secs(50));
    let slow = end(slow);

    let row = child(publisher.summary(), &slow_peer);
    assert!(row.count("skipped") + row.count("reset") > 0, "every picture came: {row:#}");
    assert!(row.num("rtt_ms") <= 200.0, "{row:#}");
    let (sent, heard) = (room.sound("publisher"), room.sound("slow"));
    must(check::nothing_lost(&sent, &heard));
    assert_eq!(heard.len(), sent.len(), "it was there before the first packet");
    assert_eq!(row.count("sound.sent"), sent.len() as u64, "{row:#}");
    assert_eq!((row.count("sound.skipped"), row.count("sound.reset")), (0, 0), "{row:#}");
    let told = slow.summary();
    assert_eq!(told.count("sound.gaps"), 0, "{told:#}");
    must(check::sound_figures(told, &heard));

    let pictures = (room.trace("slow").len(), room.trace("publisher").len());
    eprintln!("{} of {} pictures, {} packets of sound", pictures.0, pictures.1, heard.len());
    // Between these hosts lies nothing but the queue that the test made: one way takes no time
    // without it, and 112 ms where it is full. A connection fills it until it has found the rate.
    let latency = |from_s: f64| {
        let of = trace::between(&sent, &heard, from_s, 60.0);
        let sorted = trace::sorted(of.iter().map(|unit| unit.latency_ms()));
        let [p50, p99, max] = [50.0, 99.0, 100.0].map(|at| check::percentile(&sorted, at));
        eprintln!("from {from_s} s on: {p50:.0} ms p50, {p99:.0} p99, {max:.0} max");
        p99
    };
    let (begin, found) = (latency(2.0), latency(10.0));
    assert!(begin <= 212.0, "the p99 of the sound is {begin:.0} ms");
    assert!(found <= 100.0, "the p99 of the sound is {found:.0} ms after ten seconds");
}
