//! Credentials from outside, as bytes and text: any bytes, altered bytes, and the bytes that must
//! never change.

mod cast;
mod golden;
mod mutants;
mod parsers;
