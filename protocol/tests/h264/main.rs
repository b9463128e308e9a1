//! Sequence parameter sets of real encoders, access units by the letter of the standard, AVCC both
//! ways, and hostile bytes for every parser.

mod hostile;
mod make;
mod sets;
mod sps;
mod units;
