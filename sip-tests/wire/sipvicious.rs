//! A scan with sipvicious: it must not learn which extension exists.

use super::installation::{Installation, Plan};
use super::process::{Folder, Process};
use std::process::Command;

/// The programs' names: as Debian's package and as the Python package call them.
fn scanner(name: &str) -> Command {
    let found = |program: &str| {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&paths).any(|folder| folder.join(program).exists())
    };
    let other = format!("sipvicious_{name}");
    assert!(found(&other) || found(name), "no {other}: scripts/setup test installs it");
    Command::new(if found(&other) { other } else { name.to_owned() })
}

fn scan(folder: &Folder, name: &str, arguments: &[&str]) -> Process {
    let mut command = scanner(name);
    // It keeps its sessions under the home folder.
    command.args(arguments).env("HOME", &folder.0).env("PYENV_VERSION", "");
    let mut process = Process::start(name, &folder.0, &mut command);
    process.wait_exit();
    process
}

/// anna and ben are agents, 4000 and 4100 are numbers; the other names are nobody's.
#[test]
fn a_scan_learns_no_extension() {
    let installation = Installation::new(&Plan::default());
    // The scanner's address is no trunk's: from a trunk's, every number may be dialled.
    let config = std::fs::read_to_string(&installation.config).unwrap();
    installation.folder.write("gateway.toml", &config.replace("127.0.0.0/8", "127.0.0.77/32"));
    let gateway = installation.start();
    let names = "anna\nben\ncarol\nnobody\n4000\n4100\n4999\n100\n";
    let list = installation.folder.write("names.txt", names);
    let list = list.display().to_string();
    let port = gateway.sip.port().to_string();
    for method in ["REGISTER", "INVITE", "OPTIONS"] {
        let arguments = ["-d", &list, "-p", &port, "-m", method, "--force", "127.0.0.1"];
        let scan = scan(&installation.folder, "svwar", &arguments);
        let told = scan.said();
        // What svwar finds it prints as a row of its table: | name | reqauth |.
        let found: Vec<&str> =
            names.lines().filter(|name| told.contains(&format!("| {name} "))).collect();
        assert!(found.is_empty() || found.len() == names.lines().count(), "{method}: {told}");
    }
}
