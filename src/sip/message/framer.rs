//! Messages out of a stream (RFC 3261 §18.3): Content-Length tells where each ends, and line
//! ends between messages are keep-alives (RFC 5626 §3.5.1).
//!
//! Bounded: a head longer than [`HEAD_MAX`] or a message longer than
//! [`LENGTH_MAX`](crate::message::LENGTH_MAX) loses the framing, and the stream must be closed.

use crate::error::{Fault, FieldFault, ParseError};
use crate::message::LENGTH_MAX;
use crate::message::parse::{self, Length};
use bytes::{Buf, Bytes, BytesMut};

/// The longest head taken from a stream, in octets.
pub const HEAD_MAX: usize = 16_384;

/// What comes out of a stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Framed {
    /// A whole message, to be read by [`parse_framed`](crate::message::parse_framed); the stream goes
    /// on behind it.
    Message(Bytes),
    /// An empty line twice: the other side asks whether we are there, and gets one line end
    /// back ([`PONG`], RFC 5626 §4.4.1).
    Ping,
    /// One line end: the answer to a ping of ours. A ping whose halves arrive apart is told as
    /// a pong, which nobody waits for, and then the ping.
    Pong,
}

/// What answers a [`Framed::Ping`].
pub const PONG: &[u8] = b"\r\n";

/// What asks the other side for a [`Framed::Pong`].
pub const PING: &[u8] = b"\r\n\r\n";

/// Cuts one stream into messages.
#[derive(Debug, Default)]
pub struct StreamFramer {
    buffer: BytesMut,
    /// Up to here no end of the head was found; the search goes on from here.
    searched: usize,
    /// The whole length of the message in front, once its head is complete.
    expected: Option<usize>,
    /// The last thing taken was one line end.
    half_ping: bool,
    lost: bool,
}

impl StreamFramer {
    /// For a new stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what was read from the stream. Call [`StreamFramer::take`] until it gives nothing
    /// before the next read: then at most one message is ever held.
    pub fn push(&mut self, octets: &[u8]) {
        if !self.lost {
            self.buffer.extend_from_slice(octets);
        }
    }

    /// How many octets are held.
    pub fn held(&self) -> usize {
        self.buffer.len()
    }

    /// The next thing in the stream; `None` until more is read.
    ///
    /// # Errors
    /// The framing is lost: answer with what the error still gives, then close the stream.
    /// Everything pushed later is dropped.
    pub fn take(&mut self) -> Result<Option<Framed>, ParseError> {
        if self.lost {
            return Ok(None);
        }
        if self.expected.is_none() {
            if let Some(keep_alive) = self.take_line_end() {
                return Ok(Some(keep_alive));
            }
            if !self.find_head()? {
                return Ok(None);
            }
        }
        match self.expected {
            Some(length) if self.buffer.len() >= length => {
                self.expected = None;
                self.searched = 0;
                self.half_ping = false;
                let message = self.buffer.split_to(length).freeze();
                Ok(Some(Framed::Message(message)))
            }
            Some(_) | None => Ok(None),
        }
    }

    fn take_line_end(&mut self) -> Option<Framed> {
        match &self.buffer[..] {
            [b'\r', b'\n', b'\r', b'\n', ..] if !self.half_ping => {
                self.buffer.advance(4);
                Some(Framed::Ping)
            }
            [b'\r', b'\n', ..] => {
                self.buffer.advance(2);
                self.half_ping = !self.half_ping;
                Some(if self.half_ping { Framed::Pong } else { Framed::Ping })
            }
            _ => None,
        }
    }

    /// Looks for the end of the head; whether the length of the message is known now.
    fn find_head(&mut self) -> Result<bool, ParseError> {
        let found = parse::head_end(&self.buffer, self.searched);
        let Some(end) = found.filter(|end| *end <= HEAD_MAX) else {
            // An end may begin in the last three octets: `\n\r` and then `\n`.
            self.searched = self.buffer.len().saturating_sub(3);
            if found.is_some() || self.buffer.len() > HEAD_MAX {
                return Err(self.lose(HEAD_MAX, Fault::TooLong));
            }
            return Ok(false);
        };
        let length = match parse::content_length(&self.buffer[..end]) {
            Length::Octets(length) => length,
            Length::Missing => return Err(self.lose(end, Fault::LengthMissing)),
            Length::Unusable(fault) => return Err(self.lose(end, length_fault(fault))),
        };
        if length > LENGTH_MAX - end {
            return Err(self.lose(end, Fault::TooLong));
        }
        self.expected = Some(end + length);
        Ok(true)
    }

    /// Gives up, salvaging what an answer needs from the first `head` octets.
    fn lose(&mut self, head: usize, fault: Fault) -> ParseError {
        self.lost = true;
        let buffer: Bytes = std::mem::take(&mut self.buffer).freeze();
        let head = buffer.slice(..head.min(buffer.len()));
        parse::salvage(head, fault)
    }
}

fn length_fault(fault: FieldFault) -> Fault {
    let name = crate::message::name::Name::ContentLength;
    crate::error::FieldError { name, fault }.into()
}
