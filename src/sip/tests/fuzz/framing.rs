//! A stream cut into messages: however it arrives, the same comes out, and little is held.

use sip::message::framer::{Framed, HEAD_MAX, StreamFramer};
use sip::message::{LENGTH_MAX, parse_framed};

/// The first octet says in what pieces the rest arrives.
pub fn run(data: &[u8]) {
    let Some((first, stream)) = data.split_first() else { return };
    let whole = frames(stream, stream.len().max(1));
    let pieces = frames(stream, usize::from(*first) % 61 + 1);
    assert_eq!(whole, pieces);
}

/// What comes out, without the line ends between messages, whose halves may arrive apart.
fn frames(stream: &[u8], step: usize) -> Vec<String> {
    let mut framer = StreamFramer::new();
    let mut found = Vec::new();
    for chunk in stream.chunks(step) {
        framer.push(chunk);
        loop {
            match framer.take() {
                Ok(Some(Framed::Message(message))) => {
                    found.push(format!("{:?}", parse_framed(message)));
                }
                Ok(Some(Framed::Ping | Framed::Pong)) => (),
                Ok(None) => break,
                Err(error) => {
                    found.push(format!("lost {:?}", error.fault));
                    let _ = error.response("totag");
                }
            }
        }
        assert!(framer.held() <= LENGTH_MAX.max(HEAD_MAX) + step);
    }
    found
}
