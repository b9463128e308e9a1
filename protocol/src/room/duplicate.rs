//! Which of several connections of one pair stays. Both ends come to the same answer from what both
//! can see; who closes the others, and when, is `pairs`'.

use std::cmp::Reverse;

use super::input::{ConnId, Route};

/// What is compared of one connection. All are of the same incarnation: a newer one has closed the
/// older ones' already.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rival {
    pub(super) conn: ConnId,
    /// It answers ping within a second.
    pub(super) prompt: bool,
    pub(super) route: Route,
    /// The peer with the smaller PeerId dialled it.
    pub(super) by_smaller: bool,
    pub(super) exporter: [u8; 16],
}

/// The one that stays.
pub(super) fn best(rivals: impl IntoIterator<Item = Rival>) -> Option<ConnId> {
    let rank = |rival: &Rival| {
        let order = (rival.prompt, rival.route.carries_pictures(), rival.by_smaller);
        (order, Reverse(rival.exporter), Reverse(rival.conn))
    };
    rivals.into_iter().max_by_key(rank).map(|rival| rival.conn)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Rival = Rival {
        conn: ConnId(1),
        prompt: true,
        route: Route::Direct,
        by_smaller: true,
        exporter: [1; 16],
    };

    #[test]
    fn each_rule_beats_all_that_come_after_it() {
        // Each row is worse than the row before for one reason, and better in all later ones.
        let rows = [
            BASE,
            Rival { exporter: [2; 16], ..BASE },
            Rival { by_smaller: false, exporter: [0; 16], ..BASE },
            Rival { route: Route::Relayed, exporter: [0; 16], ..BASE },
            Rival { prompt: false, exporter: [0; 16], ..BASE },
        ];
        for (i, better) in rows.iter().enumerate() {
            for worse in &rows[i + 1..] {
                let [a, b] =
                    [Rival { conn: ConnId(7), ..*better }, Rival { conn: ConnId(3), ..*worse }];
                assert_eq!(best([a, b]), Some(ConnId(7)), "{better:?} {worse:?}");
                assert_eq!(best([b, a]), Some(ConnId(7)), "{better:?} {worse:?}");
            }
        }
    }

    #[test]
    fn lan_and_direct_are_alike_so_that_both_ends_agree() {
        let lan = Rival { conn: ConnId(2), route: Route::Lan, exporter: [9; 16], ..BASE };
        assert_eq!(best([lan, BASE]), Some(BASE.conn));
    }
}
