//! Who is in the room and who has just left, in JSON.

use roommate_protocol::media::clock::ClockView;
use serde_json::{Value, json};

use crate::status::RoomStatus;

/// `members`: everybody else who is here, with since when we know of them (Unix time, µs).
pub(super) fn members(status: &RoomStatus) -> Value {
    let row = |member: &crate::status::Member| {
        json!({
            "peer": member.peer.to_string(),
            "name": member.name,
            "roles": member.roles.names().collect::<Vec<_>>(),
            "since_us": member.since.as_micros(),
        })
    };
    status.members.iter().map(row).collect()
}

/// `departed`: who left last, with when we heard of it (Unix time, µs).
pub(super) fn departed(status: &RoomStatus) -> Value {
    let row = |(peer, at): &(
        roommate_protocol::trust::id::PeerId,
        roommate_protocol::time::Wall,
    )| { json!({"peer": peer.to_string(), "at_us": at.as_micros()}) };
    status.departed.iter().map(row).collect()
}

/// `driver_blocked_us`: when the test hook blocked the driver, by the broadcast's clock.
pub(super) fn blocked(status: &RoomStatus, view: Option<ClockView>) -> Option<Value> {
    let view = view.filter(|_| !status.driver_blocked.is_empty())?;
    let row = |(from, to): &(_, _)| json!([view.at(*from), view.at(*to)]);
    Some(status.driver_blocked.iter().map(row).collect())
}
