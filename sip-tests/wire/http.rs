//! A client of the API, as small as one can be: a request, a reply, the connection closed.

use super::PATIENCE;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// A reply.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Header lines, as they came.
    pub head: String,
    /// The body; null when it is not JSON.
    pub json: Value,
    /// The body.
    pub text: String,
}

impl Reply {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Asserts the status and gives the body.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json
    }
}

/// Sends a request and reads the reply to its end. `head`: further header lines, each with CR LF.
pub fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    head: &str,
    body: &[u8],
) -> std::io::Result<Reply> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let length = body.len();
    let text = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{head}\
         Content-Length: {length}\r\n\r\n"
    );
    stream.write_all(text.as_bytes())?;
    // Who refuses a body may close before he has read it all.
    let written = stream.write_all(body);
    let mut reply = Vec::new();
    if let Err(error) = stream.read_to_end(&mut reply)
        && reply.is_empty()
    {
        return Err(error);
    }
    read(&reply).ok_or_else(|| written.err().unwrap_or(std::io::ErrorKind::UnexpectedEof.into()))
}

fn read(reply: &[u8]) -> Option<Reply> {
    let reply = String::from_utf8_lossy(reply);
    let (head, body) = reply.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let json = serde_json::from_str(body).unwrap_or(Value::Null);
    Some(Reply { status, head: head.to_owned(), json, text: body.to_owned() })
}
