//! Real programs on real sockets. One file a theme, one program for all: they link once.

mod cli;
mod demo;
mod driver;
mod ends;
mod files;
mod lab;
mod late;
mod leave;
mod life;
mod passthrough;
mod processes;
mod readme_json;
mod room;
mod said;
mod slow_build;
mod stuck;
mod wall;
