//! What README and docs tell the reader to type is typed here, against a gateway at work.
//!
//! Blocks of `sh` of a page are run one after the other in one shell, as a reader would. Only
//! places differ: ports, the number of the call looked at, and that nobody waits for a minute.

use super::installation::{Gateway, Installation, PROGRAM, Plan, root};
use super::process::Process;
use std::os::unix::fs::symlink;
use std::process::Command;

/// The blocks of a page that begin with this line after the backquotes.
fn blocks(page: &str, kind: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(page)).expect("the page is there");
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.strip_prefix("```") == Some(kind) {
            let block = lines.by_ref().take_while(|line| *line != "```");
            found.push(block.map(|line| format!("{line}\n")).collect());
        } else if line.starts_with("```") {
            lines.by_ref().take_while(|line| *line != "```").for_each(drop);
        }
    }
    found
}

/// Runs the commands of a page; the first that fails fails the test.
fn run(page: &str, installation: &Installation, gateway: &Gateway, call: u64) {
    let mut script = String::from("set -euo pipefail\n");
    for block in blocks(page, "sh") {
        script += &block;
    }
    let (sip, api) = (gateway.sip.to_string(), gateway.api.to_string());
    for (written, meant) in [
        ("127.0.0.1:5060", sip.as_str()),
        ("127.0.0.1:8080", &api),
        ("127.0.0.1:9090", &gateway.operations.to_string()),
        ("CALL", &call.to_string()),
        ("--record talk.wav", "--hang-up 2 --record talk.wav"),
        ("curl -s ", "curl -s --fail-with-body "),
        // Both are for who has no gateway at work yet.
        ("cargo build", "true"),
        ("trunkline serve", "true"),
        ("make ", "true "),
        ("alias ", "true "),
    ] {
        script = script.replace(written, meant);
    }
    let folder = installation.folder.at("reader");
    std::fs::create_dir_all(folder.join("bin")).unwrap();
    let config = installation.config.parent().expect("it is in a folder");
    // Pages come one after the other to the same reader.
    let _ = symlink(config, folder.join("config"));
    let _ = symlink(PROGRAM, folder.join("bin/trunkline"));
    for block in blocks(page, "csv") {
        std::fs::write(folder.join("contacts.csv"), block).unwrap();
    }
    let path = format!("{}:{}", folder.join("bin").display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    command.arg("-c").arg(&script).current_dir(&folder).env("PATH", path);
    command.env("KEY", &installation.key);
    let mut reader = Process::start("reader", &installation.folder.0, &mut command);
    let status = reader.wait_exit();
    assert!(status.success(), "{page}: {status}\n{script}\n{}", reader.said());
}

#[test]
fn what_the_pages_tell_the_reader_to_type_works() {
    let installation = Installation::new(&Plan {
        more: "[trunks.acme]\naddress = \"127.0.0.1:9\"\n".into(),
        ..Plan::default()
    });
    let gateway = installation.start();
    let mut events = gateway.events();
    let uri = format!("sip:4000@{}", gateway.sip);
    let mut rings = Command::new(PROGRAM);
    rings.args(["call", &uri, "--hang-up", "1"]);
    Process::start("call", &installation.folder.0, &mut rings).wait_success();
    let call = events.call();
    gateway.legs(call, 1);
    installation.trace(call, &["BYE"]);
    for page in [
        "README.md",
        "docs/connect-a-trunk.md",
        "docs/read-a-call.md",
        "docs/route-calls.md",
        "docs/run-a-campaign.md",
    ] {
        run(page, &installation, &gateway, call);
    }
    let campaigns = gateway.get("/v1/campaigns").expect(200);
    assert_eq!(campaigns["items"][0]["name"], "Parcels");
    let contacts = gateway.get("/v1/campaigns/1/contacts").expect(200);
    assert_eq!(contacts["items"][0]["key"], "customer-17");
}

/// Configurations in the pages have no fault.
#[test]
fn configurations_in_the_pages_are_checked() {
    let installation = Installation::new(&Plan::default());
    let mut count = 0;
    for page in ["docs/connect-a-trunk.md", "docs/route-calls.md"] {
        for block in blocks(page, "toml config") {
            installation.folder.write("gateway.toml", &block);
            let checked = installation.run(&["check"]);
            assert!(checked.status.success(), "{page}: {checked:?}");
            count += 1;
        }
    }
    assert!(count > 0, "no configuration was found");
}
