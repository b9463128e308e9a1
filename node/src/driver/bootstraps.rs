//! The bootstraps: which is dialled when (`rooms::reach`), what each is told and tells
//! (`rooms::watch`, one a room). Only carries between those machines and their streams.

use std::collections::{BTreeMap, VecDeque};

use roommate_protocol::address::{Address, Kind};
use roommate_protocol::room::ConnId;
use roommate_protocol::rooms::reach::Reach;
use roommate_protocol::rooms::telling::told_to_bootstrap;
use roommate_protocol::rooms::watch::{Output, Watch, WatchConfig};
use roommate_protocol::time::{Deadline, Now, earliest};
use roommate_protocol::trust::id::{PeerId, RoomPk};
use roommate_protocol::trust::secret::RoomSecret;
use roommate_protocol::wire::close::CloseCode;
use roommate_protocol::wire::frame::Violation;

use crate::net::address::to_multiaddr;
use crate::net::outgoing::Outgoing;

/// What the driver does for the bootstraps.
pub(super) enum Action {
    Dial(Address),
    Found {
        room: RoomPk,
        peer: PeerId,
        addresses: Vec<Address>,
    },
    /// No bootstrap holds its registration any more.
    Gone {
        room: RoomPk,
        peer: PeerId,
    },
    /// There is no place for this bootstrap, which the room's link names.
    LeftOut {
        room: RoomPk,
        address: Address,
    },
    Close(ConnId, CloseCode),
}

#[derive(Default)]
struct Seat {
    conn: Option<ConnId>,
    out: Option<Outgoing>,
    watches: BTreeMap<RoomPk, Watch>,
}

/// A room that is looked for.
struct Sought {
    secret: RoomSecret,
    /// The bootstraps of its link.
    link: Vec<Address>,
}

/// All bootstraps of this node, for all its rooms.
pub(super) struct Bootstraps {
    reach: Reach,
    /// Those of no room's link.
    configured: Vec<Address>,
    seats: BTreeMap<Address, Seat>,
    rooms: BTreeMap<RoomPk, Sought>,
    left_out: Vec<Address>,
    listen: Vec<Address>,
    me: PeerId,
    actions: VecDeque<Action>,
}

impl Bootstraps {
    /// Those that are kept whatever room the node is in; they are dialled at once.
    pub(super) fn new(
        me: PeerId,
        listen: Vec<Address>,
        configured: Vec<Address>,
        now: Now,
    ) -> Self {
        let (reach, seats, rooms, left_out, actions) = Default::default();
        let mut new = Self { reach, configured, seats, rooms, left_out, listen, me, actions };
        new.follow(now);
        new
    }

    /// Keeps the bootstraps that are configured or in the link of a room, as far as there are places.
    fn follow(&mut self, now: Now) {
        let links = self.rooms.values().flat_map(|sought| &sought.link);
        let wishes: Vec<Address> = self.configured.iter().chain(links).cloned().collect();
        let kept = self.reach.want(&wishes, now);
        for address in &kept.removed {
            tracing::info!(address = %to_multiaddr(address), "bootstrap no longer needed");
            // What waits on its stream is written; then the stream ends, and the connection with it.
            self.seats.remove(address);
        }
        for address in kept.added {
            let mut seat = Seat::default();
            for (room, sought) in &self.rooms {
                let watch = new_watch(self.me, &self.listen, &address, &sought.secret, now);
                seat.watches.insert(*room, watch);
            }
            self.seats.insert(address, seat);
        }
        for address in kept.left_out.iter().filter(|address| !self.left_out.contains(address)) {
            for (room, _) in self.rooms.iter().filter(|(_, sought)| sought.link.contains(address)) {
                self.actions.push_back(Action::LeftOut { room: *room, address: address.clone() });
            }
        }
        self.left_out = kept.left_out;
    }

    /// Looks for a room at every bootstrap, those of its link included.
    pub(super) fn join(
        &mut self,
        (room, secret): (RoomPk, RoomSecret),
        link: &[Address],
        now: Now,
    ) {
        for (address, seat) in &mut self.seats {
            let mut watch = new_watch(self.me, &self.listen, address, &secret, now);
            if seat.out.is_some() {
                watch.handle_opened(now);
            }
            seat.watches.insert(room, watch);
        }
        let link = link.iter().filter(|address| address.kind == Kind::Bootstrap).cloned().collect();
        self.rooms.insert(room, Sought { secret, link });
        self.follow(now);
        self.pass_on();
    }

    /// Tells every bootstrap that this node has left the room, and gives up those of its link that no
    /// other room needs.
    pub(super) fn leave_room(&mut self, room: RoomPk, now: Now) {
        for seat in self.seats.values_mut() {
            if let Some(watch) = seat.watches.get_mut(&room) {
                watch.leave();
            }
        }
        self.pass_on();
        self.rooms.remove(&room);
        for seat in self.seats.values_mut() {
            seat.watches.remove(&room);
        }
        self.follow(now);
    }

    /// Leaves every room.
    pub(super) fn leave(&mut self, now: Now) {
        for room in self.rooms.keys().copied().collect::<Vec<_>>() {
            self.leave_room(room, now);
        }
    }

    /// Lets every stream end once what waits in it is written.
    pub(super) fn close(&mut self) {
        for seat in self.seats.values_mut() {
            seat.out = None;
        }
    }

    /// Whether the bootstrap is still wanted; else the connection is to be closed.
    pub(super) fn handle_connected(&mut self, conn: ConnId, address: &Address) -> bool {
        self.reach.handle_up(address);
        let seat = self.seats.get_mut(address);
        seat.map(|seat| seat.conn = Some(conn)).is_some()
    }

    pub(super) fn handle_failed(&mut self, address: &Address, now: Now) {
        self.reach.handle_down(address, now);
    }

    pub(super) fn handle_disconnected(&mut self, conn: ConnId, now: Now) {
        let Some((address, seat)) = self.seats.iter_mut().find(|(_, s)| s.conn == Some(conn))
        else {
            return;
        };
        tracing::warn!(
            address = %to_multiaddr(address),
            "the bootstrap is gone; whoever is connected stays connected"
        );
        seat.conn = None;
        seat.out = None;
        for watch in seat.watches.values_mut() {
            watch.handle_closed(now);
        }
        let address = address.clone();
        self.reach.handle_down(&address, now);
    }

    pub(super) fn handle_opened(&mut self, conn: ConnId, out: Outgoing, now: Now) {
        if let Some(seat) = self.seats.values_mut().find(|seat| seat.conn == Some(conn)) {
            seat.out = Some(out);
            for watch in seat.watches.values_mut() {
                watch.handle_opened(now);
            }
        }
        self.pass_on();
    }

    /// A frame of a bootstrap, for every room: each machine passes over what is not its own.
    pub(super) fn handle_frame(
        &mut self,
        conn: ConnId,
        content: &[u8],
        now: Now,
    ) -> Result<(), Violation> {
        if let Some((address, seat)) =
            self.seats.iter_mut().find(|(_, seat)| seat.conn == Some(conn))
        {
            for watch in seat.watches.values_mut() {
                watch.handle_frame(content, now)?;
            }
            self.reach.handle_answered(address);
        }
        self.pass_on();
        Ok(())
    }

    pub(super) fn handle_timeout(&mut self, now: Now) {
        self.reach.handle_timeout(now);
        for seat in self.seats.values_mut() {
            for watch in seat.watches.values_mut() {
                watch.handle_timeout(now);
            }
        }
        self.pass_on();
    }

    /// This node listens elsewhere now.
    pub(super) fn set_addresses(&mut self, listen: &[Address], now: Now) {
        self.listen = listen.to_vec();
        for (address, seat) in &mut self.seats {
            let reachable = told_to_bootstrap(listen, self.me, address);
            for watch in seat.watches.values_mut() {
                watch.set_addresses(reachable.clone(), now);
            }
        }
        self.pass_on();
    }

    pub(super) fn poll_output(&mut self) -> Option<Action> {
        self.reach.poll_output().map(Action::Dial).or_else(|| self.actions.pop_front())
    }

    pub(super) fn poll_timeout(&self) -> Option<Deadline> {
        let watches = self.seats.values().flat_map(|seat| seat.watches.values());
        earliest(watches.map(Watch::poll_timeout).chain([self.reach.poll_timeout()]))
    }

    /// Each bootstrap and whether it is connected.
    pub(super) fn status(&self) -> Vec<(String, bool)> {
        let row = |(address, up): (&Address, bool)| (to_multiaddr(address).to_string(), up);
        self.reach.bootstraps().map(row).collect()
    }

    /// Carries what the machines want to their streams and to the driver.
    fn pass_on(&mut self) {
        let mut gone = Vec::new();
        for (address, seat) in &mut self.seats {
            for (room, watch) in &mut seat.watches {
                while let Some(output) = watch.poll_output() {
                    match output {
                        Output::Send(frame) => {
                            let full = seat.out.as_ref().is_some_and(|out| out.put(frame).is_err());
                            if full && let Some(conn) = seat.conn {
                                tracing::debug!(address = %to_multiaddr(address), "does not read");
                                let code = CloseCode::Violation;
                                self.actions.push_back(Action::Close(conn, code));
                            }
                        }
                        Output::Found { peer, addresses } => {
                            self.actions.push_back(Action::Found { room: *room, peer, addresses });
                        }
                        Output::Gone { peer } => gone.push((*room, peer)),
                        Output::Registered => tracing::info!("registered at the bootstrap"),
                        Output::Refused(reason) => {
                            tracing::warn!(address = %to_multiaddr(address), "the bootstrap refuses: {reason}");
                        }
                        Output::Silent => {
                            tracing::warn!(address = %to_multiaddr(address), "the bootstrap is silent");
                            let close = |conn| Action::Close(conn, CloseCode::Silent);
                            self.actions.extend(seat.conn.map(close));
                        }
                    }
                }
            }
        }
        // Only now: whom one bootstrap forgets may be known to another, or back already.
        for (room, peer) in gone {
            if !self.is_known(room, &peer) {
                tracing::debug!(%peer, "no longer registered");
                self.actions.push_back(Action::Gone { room, peer });
            }
        }
    }

    /// Whether any bootstrap holds a registration of `peer` in the room.
    fn is_known(&self, room: RoomPk, peer: &PeerId) -> bool {
        let watches = self.seats.values().filter_map(|seat| seat.watches.get(&room));
        watches.into_iter().any(|watch| watch.knows(peer))
    }
}

fn new_watch(
    me: PeerId,
    listen: &[Address],
    bootstrap: &Address,
    secret: &RoomSecret,
    now: Now,
) -> Watch {
    let addresses = told_to_bootstrap(listen, me, bootstrap);
    Watch::new(WatchConfig { secret: *secret, peer: me, addresses }, rand::random(), now)
}

#[cfg(test)]
mod tests;
