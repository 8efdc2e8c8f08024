//! What stands behind the hotline: an order service, and a receiver of webhooks that checks each
//! signature as Standard Webhooks asks.

use super::process::wait_for;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A webhook as it came.
#[derive(Clone, Debug)]
struct Letter {
    id: String,
    timestamp: String,
    signature: String,
    body: String,
}

#[derive(Debug, Default)]
struct Seen {
    asked: Vec<String>,
    letters: Vec<Letter>,
}

/// The service at work.
#[derive(Debug)]
pub struct Receiver {
    /// Where it is.
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

impl Receiver {
    /// Starts it on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = seen.clone();
        // It ends with the process: nothing is left to do once the tests are over.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { address, seen }
    }

    /// What was asked for so far, such as `/orders/4711`.
    pub fn asked(&self) -> Vec<String> {
        self.seen.lock().unwrap().asked.clone()
    }

    /// Waits for `count` webhooks, checks their signatures with `secret`, and gives the bodies.
    pub fn webhooks(&self, count: usize, secret: &str) -> Vec<Value> {
        let letters = wait_for("webhooks", || {
            let letters = self.seen.lock().unwrap().letters.clone();
            (letters.len() >= count).then_some(letters)
        });
        let key = secret.strip_prefix("whsec_").expect("the form of Standard Webhooks");
        let key = STANDARD.decode(key).expect("base64");
        letters.iter().for_each(|letter| check(letter, &key));
        letters.iter().map(|letter| serde_json::from_str(&letter.body).unwrap()).collect()
    }
}

/// The signature by the rule, not by the code that made it.
fn check(letter: &Letter, key: &[u8]) {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).unwrap();
    mac.update(format!("{}.{}.{}", letter.id, letter.timestamp, letter.body).as_bytes());
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    assert!(letter.signature.split(' ').any(|one| one == expected), "{letter:?}");
}

fn serve(mut stream: TcpStream, seen: &Mutex<Seen>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut first = String::new();
    if reader.read_line(&mut first).unwrap_or(0) == 0 {
        return;
    }
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            head.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    let header = |name: &str| {
        let found = head.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let (status, answer) = if path == "/webhook" {
        seen.lock().unwrap().letters.push(Letter {
            id: header("webhook-id"),
            timestamp: header("webhook-timestamp"),
            signature: header("webhook-signature"),
            body: String::from_utf8_lossy(&body).into_owned(),
        });
        ("204 No Content", "")
    } else {
        seen.lock().unwrap().asked.push(path.clone());
        match path.as_str() {
            "/orders/4711" => ("200 OK", r#"{"status":"shipped","expected":"Tuesday"}"#),
            _ => ("404 Not Found", ""),
        }
    };
    let length = answer.len();
    let reply = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{answer}"
    );
    // The client may have gone.
    let _ = stream.write_all(reply.as_bytes());
}
