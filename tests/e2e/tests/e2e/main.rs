//! Real programs on real sockets. One file a theme, one program for all: they link once.

mod bootstrap_gone;
mod cli;
mod demo;
mod driver;
mod late;
mod leave;
mod life;
mod passthrough;
mod processes;
mod readme;
mod readme_json;
mod room;
mod slow;
mod stuck;
mod wall;
