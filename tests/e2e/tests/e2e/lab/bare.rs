//! Machines that lack what every other has: a network, a home.

use e2e::cast::Roommate;
use e2e::stage::Stage;

use crate::said::refused;

const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";

#[test]
fn a_machine_without_a_network_is_told_what_to_do() {
    let stage = Stage::shared();
    let offline = |of| Roommate::within(&stage, &["unshare", "--net"], "offline", of);
    let create = offline("roommate").args(["room", "create"]);
    refused(create, 1, &["no network address to put into a LAN link", "--bootstrap"]);
    refused(offline("roommate-bootstrap"), 1, &["no network interface has an address"]);
}

/// A user that the system does not know, and no `HOME`.
#[test]
fn without_a_home_a_folder_must_be_named() {
    let stage = Stage::shared();
    let stranger = ["unshare", "--user", "--map-user=54321"];
    let stranger = |of| Roommate::within(&stage, &stranger, "stranger", of).without("HOME");
    let create = stranger("roommate").args(["room", "create"]);
    refused(create, 1, &["no home folder is known", "--data-dir", "--ephemeral"]);
    let bootstrap = stranger("roommate-bootstrap").args(["--listen", QUIC]);
    refused(bootstrap, 1, &["no home folder is known", "--data-dir"]);
}
