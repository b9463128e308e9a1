//! Why members say no to each other: numbers on the wire, sentences for people.

use std::fmt;

macro_rules! reasons {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $number:literal, $sentence:literal;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$doc])* $variant,)*
            /// A number of a newer version.
            Other(u16),
        }

        impl $name {
            /// The number on the wire, frozen.
            pub const fn number(self) -> u16 {
                match self {
                    $(Self::$variant => $number,)*
                    Self::Other(number) => number,
                }
            }

            /// What a number on the wire means.
            pub const fn from_number(number: u16) -> Self {
                match number {
                    $($number => Self::$variant,)*
                    other => Self::Other(other),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($sentence),)*
                    Self::Other(number) => write!(f, "reason {number}, unknown to this version: a newer Roommate may say more"),
                }
            }
        }
    };
}

reasons! {
    /// Why a parent does not feed a child.
    RefuseReason {
        /// The child's ticket lacks the role.
        NotAllowed = 1, "the link does not allow viewing";
        /// The child's ticket has ended.
        Expired = 2, "the link has expired";
        /// Nothing of that name is there.
        Unknown = 3, "that member is not broadcasting this";
        /// All slots are taken.
        Full = 4, "that member has no free slot";
        /// It would go round in a circle.
        Loop = 5, "the two would feed each other";
        /// The broadcast is over.
        Over = 6, "the broadcast has ended";
        /// Pictures never go through a relay.
        Relayed = 7, "the connection goes through a relay, which carries no pictures";
        /// It publishes something else, and does not pass this on.
        NotForwarded = 8, "that member does not pass this on";
    }
}

reasons! {
    /// Why a member does not accept a hello.
    UnwelcomeReason {
        /// The ticket chain is not valid for this room and peer.
        Ticket = 1, "the ticket is not valid for this room";
        /// It has ended.
        Expired = 2, "the link has expired";
        /// It is not yet valid: one of two clocks is wrong.
        NotYet = 3, "the ticket is not valid yet: is the clock right?";
        /// The other speaks only older versions.
        TheyMustUpgrade = 4, "whoever was turned away speaks only an older version of the protocol and must upgrade";
        /// The other speaks only newer versions.
        WeMustUpgrade = 5, "whoever turned the other away speaks only an older version of the protocol and must upgrade";
        /// A newer start of the same peer is here.
        Superseded = 6, "the same node key was started anew elsewhere";
        /// As many members as one node can know.
        Full = 7, "the room is full";
    }
}
