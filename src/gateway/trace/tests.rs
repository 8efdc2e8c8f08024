use super::reader::{CallTrace, Entry};
use super::*;
use sip::event::Transport;
use std::net::SocketAddr;

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("trunkline-{}-{name}", std::process::id()));
        // A folder left by a test that was killed.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const CALL: CallId = CallId(7);

fn message(leg: u64, sent: bool, text: &str) -> Record {
    let address = |port| SocketAddr::from(([192, 0, 2, 1], port));
    let flow = Flow { transport: Transport::Udp, local: address(5060), remote: address(5080) };
    let message = Bytes::copy_from_slice(text.as_bytes());
    Record::Message { leg: Some(LegId(leg)), sent, flow, message }
}

fn leg(call: CallId, leg: u64, who: &str) -> Record {
    Record::Leg { call, leg: LegId(leg), who: who.into() }
}

/// A caller and an agent; a message of another call, which must not appear.
fn records() -> Vec<(u64, Record)> {
    let note =
        |what: &str, why: &str| Record::Note { call: CALL, what: what.into(), why: why.into() };
    vec![
        (1_000, message(11, false, "INVITE sip:4000@h SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\n")),
        (1_001, leg(CALL, 11, "caller")),
        (1_002, note("flow hotline", "number 4000 was dialled\tby \\ 1")),
        (1_003, message(11, true, "SIP/2.0 180 Ringing\r\nCSeq: 1 INVITE\r\n\r\n")),
        (1_004, message(13, false, "OPTIONS sip:h SIP/2.0\r\n\r\n")),
        (1_004, leg(CallId(8), 13, "caller")),
        (1_500, leg(CALL, 12, "agent anna")),
        (3_250, message(12, true, "INVITE sip:anna@h SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\n")),
        (4_000, message(12, false, "SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\n\r\n")),
    ]
}

/// Writes as the thread does, to the end.
fn write(folder: &Path, bytes_max: u64, records: Vec<(u64, Record)>) {
    let segments = Segments::open(folder.to_path_buf(), bytes_max / SEGMENTS).unwrap();
    let (sender, receiver) = sync_channel(records.len());
    for record in records {
        sender.send(record).unwrap();
    }
    drop(sender);
    write_all(&receiver, Some(segments), None);
}

#[test]
fn what_is_written_is_read_and_drawn() {
    let scratch = Scratch::new("ladder");
    write(&scratch.0, 1 << 20, records());
    let trace = reader::read(&scratch.0, CALL.0).unwrap();
    assert_eq!(trace.legs, ["caller", "agent anna"]);
    assert_eq!(trace.entries.len(), 5);
    assert_eq!(
        trace.entries[0],
        Entry::Message {
            wall_ms: 1_000,
            leg: 0,
            sent: false,
            peer: "UDP 192.0.2.1:5080".into(),
            ends: Some(("192.0.2.1:5060".parse().unwrap(), "192.0.2.1:5080".parse().unwrap())),
            text: "INVITE sip:4000@h SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\n".into(),
        }
    );
    let why = "number 4000 was dialled\tby \\ 1".into();
    assert_eq!(trace.entries[1], Entry::Note { wall_ms: 1_002, what: "flow hotline".into(), why });
    let drawn = ladder::print(&trace);
    assert_eq!(drawn, LADDER, "drawn:\n{drawn}");
    assert_eq!(reader::read(&scratch.0, 99).unwrap(), CallTrace::default());
}

const LADDER: &str = "          \
          Trunkline           caller               agent anna
   0.000  │ INVITE sip:4000@h    │                      │
          │◄─────────────────────│                      │
   0.002  │ * flow hotline: number 4000 was dialled by \\ 1
   0.003  │ 180 Ringing (INVITE) │                      │
          │─────────────────────►│                      │
   2.250  │                      │ INVITE sip:anna@h    │
          │────────────────────────────────────────────►│
   3.000  │                      │ 200 OK (INVITE)      │
          │◄────────────────────────────────────────────│
";

#[test]
fn the_oldest_goes_and_the_size_holds() {
    let scratch = Scratch::new("segments");
    let many = (0..2_000).map(|at| (at, leg(CALL, at, "caller"))).collect();
    write(&scratch.0, 8_000, many);
    let segments = reader::segments(&scratch.0);
    assert_eq!(segments.len(), 4);
    let size: u64 = segments.iter().map(|(_, path)| path.metadata().unwrap().len()).sum();
    // Each may exceed its quarter by its last line.
    assert!((6_000..8_200).contains(&size), "{size}");
    assert_eq!(reader::read(&scratch.0, CALL.0).unwrap().legs.len() as u64, {
        let text: String =
            segments.iter().map(|(_, path)| std::fs::read_to_string(path).unwrap()).collect();
        assert!(text.contains("1999\tL\t7\t1999\tcaller\n"));
        text.lines().count() as u64
    });
    // The next start begins a file of its own.
    write(&scratch.0, 8_000, vec![(1, leg(CALL, 1, "caller"))]);
    let next = reader::segments(&scratch.0).last().map(|(number, _)| *number);
    assert_eq!(next, segments.last().map(|(number, _)| number + 1));
}

/// Small files of many starts must not add up, and nobody but the owner reads telephone numbers.
#[test]
fn many_starts_leave_no_more_files_than_one() {
    let scratch = Scratch::new("starts");
    for at in 0..9 {
        let trace = Trace::start(&scratch.0, &TraceConfig { bytes_max: 8_000, hep: None }).unwrap();
        trace.record(at, leg(CALL, at, "caller"));
        // Dropped, it has written what it took.
        drop(trace);
        assert_eq!(reader::read(&scratch.0, CALL.0).unwrap().legs.len() as u64, (at + 1).min(4));
    }
    let segments = reader::segments(&scratch.0);
    let numbers: Vec<u64> = segments.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [6, 7, 8, 9]);
    for (_, path) in segments {
        let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
}

/// A line cut off by a crash, or of a later version, costs nothing but itself.
#[test]
fn broken_lines_are_passed_over() {
    let scratch = Scratch::new("broken");
    let text = "x\n1\tL\t7\t1\tcaller\n2\tN\t7\n\t\t\t\t\n3\tN\t7\tkept\tyes\\\n4\tR\t1\tUD";
    std::fs::write(scratch.0.join("00000001.trace"), text).unwrap();
    std::fs::write(scratch.0.join("notes.txt"), "not ours").unwrap();
    let trace = reader::read(&scratch.0, CALL.0).unwrap();
    assert_eq!(trace.legs, ["caller"]);
    let kept = Entry::Note { wall_ms: 3, what: "kept".into(), why: "yes".into() };
    assert_eq!(trace.entries, [kept]);
}
