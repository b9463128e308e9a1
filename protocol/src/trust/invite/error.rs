//! Why a link cannot be read, used or made, in sentences for whoever pasted it.

use std::time::Duration;

use crate::address::AddressError;
use crate::limits::INVITE_ADDRESSES_MAX;
use crate::trust::terms::spoken;
use crate::trust::ticket::TicketError;

/// Why a link cannot be read, used or made. None of these quotes the link: it is a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// It does not begin as a link does.
    #[error("this is not a Roommate link: a link begins with `roommate:`")]
    NotALink,
    /// It is longer than any link.
    #[error(
        "this is longer than a link can be: copy the link alone, once, without the text around it"
    )]
    TooLong,
    /// A character that is not in the alphabet of links, or one in place of another at the end.
    #[error(
        "the link is mistyped or has something added to it: copy it whole instead of typing it"
    )]
    Character,
    /// It ends too early.
    #[error("the link is cut short: copy it whole, it may go on over several lines")]
    CutShort,
    /// The checksum is wrong.
    #[error("the link is mistyped: copy it instead of typing it, or ask for it again")]
    Mistyped,
    /// A version, flag or role that this program does not know.
    #[error("the link is from a newer version of Roommate: upgrade this one")]
    Newer,
    /// The checksum is right, the layout is not.
    #[error("the link is damaged: ask for it again")]
    Malformed,
    /// The checksum is right, a signature is not: this was no slip.
    #[error(
        "the link was altered by somebody: its signature is wrong; ask the room's owner for it"
    )]
    Altered,
    /// One of its addresses is none.
    #[error("an address in the link cannot be used: {0}")]
    Address(#[from] AddressError),
    /// The link is over.
    #[error("the link expired {} ago: ask for a new one (if that cannot be, check this machine's clock)", spoken(.ago))]
    Expired {
        /// How long ago.
        ago: Duration,
    },
    /// This machine's clock shows a time that cannot be.
    #[error("this machine's clock is wrong: set it, then try again")]
    Clock,
    /// The addresses would make the link longer than its bound.
    #[error(
        "the link cannot hold these addresses: give fewer or shorter ones, at most {INVITE_ADDRESSES_MAX}"
    )]
    TooManyAddresses,
    /// This link does not allow making others.
    #[error("this link does not give the right to invite: ask the room's owner for one that does")]
    MayNotInvite,
    /// A link that makes moderators is made by the room key alone.
    #[error("only the room's owner can make a link with the role `moderate`")]
    MayNotModerate,
    /// The narrower link would grant more, or for longer, than this one.
    #[error("a link made from another can only give the same or fewer roles, and end no later")]
    Widened,
    /// This link was itself made from another.
    #[error("this link was made from another one: no further link can be made from it")]
    TooDeep,
}

impl From<TicketError> for InviteError {
    fn from(error: TicketError) -> Self {
        match error {
            TicketError::CutShort => Self::CutShort,
            TicketError::Malformed | TicketError::TooLong => Self::Malformed,
            TicketError::Newer => Self::Newer,
            TicketError::OtherRoom | TicketError::OtherPeer | TicketError::Forged => Self::Altered,
            TicketError::Widened => Self::Widened,
            TicketError::MayNotInvite => Self::MayNotInvite,
            TicketError::MayNotModerate => Self::MayNotModerate,
            TicketError::Expired { ago } => Self::Expired { ago },
            TicketError::NotYet { .. } => Self::Clock,
        }
    }
}
