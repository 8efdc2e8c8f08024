//! The live events, through the websocket of the API.

use super::PATIENCE;
use serde_json::Value;
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Instant;
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, client};

/// The stream, read by a thread; what came is kept for a test that fails.
#[derive(Debug)]
pub struct Events {
    stream: Receiver<Value>,
    seen: Vec<Value>,
}

impl Events {
    /// Opens the stream.
    pub fn open(api: SocketAddr, key: &str) -> Self {
        let mut request = format!("ws://{api}/v1/events").into_client_request().unwrap();
        request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        let connection = TcpStream::connect(api).unwrap();
        let (mut socket, _) = client(request, connection).expect("the stream of events opens");
        let (sender, stream) = channel();
        // It ends when the gateway closes the stream or ends.
        thread::spawn(move || {
            while let Ok(message) = socket.read() {
                if let Message::Text(text) = message
                    && sender.send(serde_json::from_str(&text).unwrap()).is_err()
                {
                    return;
                }
            }
        });
        Self { stream, seen: Vec::new() }
    }

    /// Waits for an event that `wanted` makes something of; those before it are passed over.
    #[track_caller]
    pub fn find<T>(&mut self, what: &str, wanted: impl Fn(&Value) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.stream.recv_timeout(left) {
                Ok(event) => {
                    self.seen.push(event);
                    if let Some(found) = self.seen.last().and_then(&wanted) {
                        return found;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no {what} in {}", self.story()),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("the stream ended before {what}: {}", self.story())
                }
            }
        }
    }

    /// Waits for an event of this kind.
    #[track_caller]
    pub fn kind(&mut self, kind: &str) -> Value {
        self.find(kind, |event| (event["type"] == kind).then(|| event.clone()))
    }

    /// Waits until so many events of this kind have come, those already passed over among them.
    #[track_caller]
    pub fn count(&mut self, kind: &str, count: usize) {
        let is = |event: &Value| event["type"] == kind;
        while self.seen.iter().filter(|event| is(event)).count() < count {
            self.kind(kind);
        }
    }

    /// Waits for an event of this kind in this call.
    #[track_caller]
    pub fn of(&mut self, call: u64, kind: &str) -> Value {
        let wanted =
            |event: &Value| (event["call"] == call && event["type"] == kind).then(|| event.clone());
        self.find(kind, wanted)
    }

    /// Waits until the caller of `call` is told something with `words` in it.
    #[track_caller]
    pub fn said(&mut self, call: u64, words: &str) {
        self.find(words, |event| {
            let said = event["type"] == "call.said" && event["call"] == call;
            (said && event["text"].as_str()?.contains(words)).then_some(())
        });
    }

    /// Waits for the next call to begin and gives its number.
    #[track_caller]
    pub fn call(&mut self) -> u64 {
        self.kind("call.started")["call"].as_u64().expect("a call has a number")
    }

    /// Waits until a callback is in `state`.
    #[track_caller]
    pub fn callback(&mut self, state: &str) -> Value {
        self.find(state, |event| {
            let changed = event["type"] == "callback.changed" && event["state"] == state;
            changed.then(|| event.clone())
        })
    }

    /// Everything that came so far.
    pub fn seen(&mut self) -> &[Value] {
        self.seen.extend(self.stream.try_iter());
        &self.seen
    }

    fn story(&mut self) -> String {
        self.seen().iter().map(|event| format!("\n  {event}")).collect()
    }
}
