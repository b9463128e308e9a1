//! What befalls nodes: death, sleep, a loop that is blocked, a connection that carries nothing.

use roommate_protocol::room::ConnId;

use super::{Happening, S, Who, World};

/// How long QUIC waits for a peer that says nothing.
const IDLE: u64 = 10 * S;

impl World {
    /// SIGKILL: the others notice by silence, or by a new start.
    pub(crate) fn kill(&mut self, who: Who) {
        self.nodes[who].room = None;
        self.touched.insert(who);
        self.nodes[who].starts += 100;
        self.starve(who);
    }

    /// SIGSTOP, or a closed lid: nothing is read, nothing is done.
    pub(crate) fn sleep(&mut self, who: Who) {
        self.nodes[who].asleep = true;
        self.touched.insert(who);
        self.starve(who);
    }

    pub(crate) fn wake(&mut self, who: Who) {
        self.nodes[who].asleep = false;
        self.touched.insert(who);
    }

    /// The node's loop is blocked; its connections live on.
    pub(crate) fn block(&mut self, who: Who) {
        self.nodes[who].backlog = Some(Vec::new());
        self.touched.insert(who);
    }

    /// The loop goes on: with deadlines that have passed, then with what has come.
    pub(crate) fn unblock(&mut self, who: Who) {
        let backlog = self.nodes[who].backlog.take().unwrap_or_default();
        self.act(who, |room, now| room.handle_timeout(now));
        for (happening, read_at) in backlog {
            self.happen(happening, read_at);
        }
    }

    /// The other ends of a dead or sleeping node's connections wait for QUIC's idle timeout.
    fn starve(&mut self, who: Who) {
        for (conn, wire) in self.wires.clone() {
            if wire.up && wire.has(who) {
                let other = wire.other(who);
                self.later(IDLE, |world| Happening::Down {
                    conn,
                    to: other,
                    life: world.life(other),
                });
            }
        }
    }

    /// From now on this connection looks up and carries nothing.
    pub(crate) fn mute(&mut self, conn: ConnId) {
        self.muted.insert(conn);
    }
}
