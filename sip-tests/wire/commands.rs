//! The commands of the program: `check`, `call`, `trace`, keys, backup.

use super::installation::{Installation, PROGRAM, Plan, text};
use super::process::Folder;
use std::process::{Command, Output};

fn run(folder: &Folder, arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).current_dir(&folder.0).output().expect("it is built")
}

/// Faults in three files: each is named with file, line, key and a way out, all at once.
#[test]
fn check_reports_every_fault_of_every_file_at_once() {
    let folder = Folder::new("check");
    let numbers = "[[numbers]]\ndialled = \"1\"\nflow = \"bad\"\n";
    folder.write(
        "gateway.toml",
        &format!(
            "[sip]\nlisten = \"nowhere\"\nlisten_too = 1\n[limits]\ncalls_max = -1\n{numbers}"
        ),
    );
    folder.write(
        "flows/bad.toml",
        "version = 1\nlanguages = [\"en\"]\nstart = \"helo\"\n\
         [nodes.hello]\nkind = \"say\"\nsay = \"Hello.\"\nnext = \"nowhere\"\n\
         [nodes.wait]\nkind = \"queue\"\nqueue = \"suport\"\nrefused = { otherwise = \"hello\" }\n",
    );
    folder.write("intents/bad.toml", "version = 1\n[intents.x]\nen = 5\n");
    let output = run(&folder, &["check", "--config", "gateway.toml"]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    for wanted in [
        "gateway.toml:2",
        "listen_too",
        "calls_max",
        "bad.toml",
        "helo",
        "did you mean",
        "suport",
        "intents/bad.toml",
        "fault(s) in 3 file(s)",
    ] {
        assert!(told.contains(wanted), "`{wanted}` is missing from\n{told}");
    }
    let output = run(&folder, &["check", "--config", "gateway.toml", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let lines = text(&output.stdout);
    let faults: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (last, faults) = faults.split_last().unwrap();
    assert_eq!(last["faults"], faults.len());
    for fault in faults {
        assert!(fault["line"].as_u64().unwrap() >= 1, "{fault}");
        assert!(!fault["remedy"].as_str().unwrap().is_empty(), "{fault}");
    }
    // `serve` refuses the same and starts nothing.
    let output = run(&folder, &["serve", "--config", "gateway.toml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("suport") || text(&output.stderr).contains("listen_too"));
}

/// What is in the way of a start is told with the key that would mend it.
#[test]
fn a_port_that_is_taken_is_named_by_its_key() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for key in ["[sip] listen", "[http] api", "[http] operations"] {
        let installation = Installation::new(&Plan::default());
        let written = std::fs::read_to_string(&installation.config).unwrap();
        let (section, name) = key.split_once(' ').unwrap();
        let line = format!("{name} = \"127.0.0.1:0\"");
        let ours = format!("{name} = \"127.0.0.1:{port}\"");
        assert!(written.contains(section) && written.contains(&line), "{written}");
        std::fs::write(&installation.config, written.replace(&line, &ours)).unwrap();
        let output = installation.run(&["serve"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let told = text(&output.stderr);
        assert!(told.contains(key) && !told.contains("panicked"), "{told}");
    }
}

#[test]
fn the_telephone_of_the_command_line_rings_and_the_ladder_shows_the_call() {
    let installation = Installation::new(&Plan::default());
    let gateway = installation.start();
    let mut events = gateway.events();
    let recording = installation.folder.text("call.wav");
    let uri = format!("sip:4000@{}", gateway.sip);
    let arguments =
        ["call", &uri, "--keys", "1:5", "--hang-up", "7", "--record", &recording, "--json"];
    let output = run(&installation.folder, &arguments);
    assert!(output.status.success(), "{output:?}");
    let told = text(&output.stdout);
    for wanted in ["connected", "pressing 5", "hears speech", "ended"] {
        assert!(told.contains(wanted), "`{wanted}` is missing from\n{told}");
    }
    let recorded = super::sound::read(recording.as_ref());
    assert!(recorded.iter().any(|sample| sample.unsigned_abs() > 1_000), "nothing was heard");
    let call = events.call();
    let wanted = ["INVITE", "200 OK (INVITE)", "flow hotline", "intent opening_hours: key 5"];
    let ladder = installation.trace(call, &wanted);
    assert!(ladder.lines().all(|line| line.chars().count() <= 110), "{ladder}");
    let full = installation.run(&["trace", &call.to_string(), "--full"]);
    assert!(text(&full.stdout).contains("m=audio"), "{full:?}");
    let json = installation.run(&["trace", &call.to_string(), "--json"]);
    let entries: Vec<serde_json::Value> =
        text(&json.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(entries.iter().any(|entry| entry["decided"] == "flow hotline"), "{entries:?}");
    let unknown = installation.run(&["trace", "1"]);
    assert_eq!(unknown.status.code(), Some(1));
    // Nobody is at this number: the call fails, and says so by its exit status.
    let nobody = format!("sip:4999@{}", gateway.sip);
    let output = run(&installation.folder, &["call", &nobody]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn keys_are_made_listed_revoked_and_the_ledger_is_copied_while_it_runs() {
    let installation = Installation::new(&Plan::default());
    let gateway = installation.start();
    gateway.get("/v1/agents").expect(200);
    let listed = text(&installation.run(&["key", "list"]).stdout);
    assert!(listed.contains("tests") && !listed.contains(&installation.key), "{listed}");
    let copy = installation.folder.text("copy.db");
    assert!(installation.run(&["backup", &copy]).status.success());
    assert!(!installation.run(&["backup", &copy]).status.success(), "it is not overwritten");
    assert!(!installation.run(&["restore", &copy]).status.success(), "the gateway runs");
    assert!(installation.run(&["key", "revoke", "1"]).status.success());
    gateway.get("/v1/agents").expect(401);
    drop(gateway);
    assert!(installation.run(&["restore", &copy]).status.success());
    // The key was good when the copy was made.
    installation.start().get("/v1/agents").expect(200);
}
