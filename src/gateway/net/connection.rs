//! One open connection, as its task has it: cuts what it reads into messages, writes what it is
//! given, and keeps it alive (RFC 5626 §3.5.1, §4.4.1; RFC 7118 §6).

use super::figures::Loss;
use super::places::Place;
use super::streams::{Shared, StreamEvent};
use super::web_socket::{Came, WebSocket};
use bytes::{Bytes, BytesMut};
use sip::event::Flow;
use sip::message::framer::{Framed, PING, PONG, StreamFramer};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use switchboard::exchange::Input;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

/// How long a peer may take to read what we write: as long as a transaction (64*T1).
const WRITE_TIMEOUT: Duration = Duration::from_secs(32);
/// How long a new connection may be silent: whoever connects has something to say, and places are
/// few.
pub(super) const FIRST_TIMEOUT: Duration = Duration::from_secs(32);
/// How long what a peer still sends is read and thrown away once we have closed.
const LINGER: Duration = Duration::from_secs(2);
/// How long a connection may be idle: longer than a call's session interval (RFC 4028) needs.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3_700);
/// How often we ask the far end of a connection of ours whether it is there (RFC 5626 §4.4.1: 95 to
/// 120 s), which also keeps firewalls from forgetting it.
pub(super) const PING_EVERY: Duration = Duration::from_secs(100);
/// How long the answer may take (§4.4.1).
pub(super) const PONG_WITHIN: Duration = Duration::from_secs(10);

/// One connection.
pub(super) struct Connection {
    pub(super) flow: Flow,
    /// By which the signalling task knows it from a later one between the same addresses.
    pub(super) way: mpsc::WeakSender<Bytes>,
    pub(super) messages: mpsc::Receiver<Bytes>,
    pub(super) shared: Arc<Shared>,
    /// Held as long as it lives.
    pub(super) place: Place,
}

/// Whether the far end answers our keep-alives. One that never does may not know them
/// (RFC 5626 §4.4); one that did and stops is gone.
#[derive(Default)]
struct Pongs {
    ever: AtomicBool,
    since_asked: AtomicBool,
}

impl Connection {
    /// Reads and writes until the peer or the signalling task lets go of it. `pings`: whether we
    /// keep it alive, having opened it.
    pub(super) async fn serve<S>(self, stream: S, pings: bool)
    where
        S: AsyncRead + AsyncWrite,
    {
        let Self { flow, way, messages, shared, place } = self;
        let (reader, writer) = tokio::io::split(stream);
        let mut reader = pin!(reader);
        let (to_answer, answers) = mpsc::channel(4);
        let pongs = Pongs::default();
        let asks = pings.then_some(&pongs);
        let mut writing = pin!(write(writer, messages, answers, asks, &shared));
        let peer_went = tokio::select! {
            () = read(reader.as_mut(), flow, &shared, &to_answer, &pongs) => true,
            () = &mut writing => false,
        };
        tell_end(&shared.events, Input::ConnectionClosed { flow }, flow, way).await;
        if peer_went {
            // The signalling task lets go of it now; what it has queued is still written.
            writing.await;
        }
        // Closed with something unread, the system would take back what we wrote last.
        let _ = timeout(LINGER, tokio::io::copy(&mut reader, &mut tokio::io::sink())).await;
        drop(place);
    }

    /// The same for a WebSocket, whose frames are whole messages.
    pub(super) async fn serve_web_socket<S>(self, mut socket: WebSocket<S>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Self { flow, way, mut messages, shared, place } = self;
        let mut until = Instant::now() + FIRST_TIMEOUT;
        loop {
            let came = tokio::select! {
                came = timeout_at(until, socket.next()) => came,
                message = messages.recv() => match message {
                    Some(message) => match timeout(WRITE_TIMEOUT, socket.send(message)).await {
                        Ok(Ok(())) => continue,
                        Ok(Err(_)) | Err(_) => break,
                    },
                    None => break,
                },
            };
            let message = match came {
                Ok(Came::Message(message)) => message,
                Ok(Came::Ping(answer)) => {
                    until = Instant::now() + IDLE_TIMEOUT;
                    let answered = socket.send(Bytes::from_static(answer));
                    if !matches!(timeout(WRITE_TIMEOUT, answered).await, Ok(Ok(()))) {
                        break;
                    }
                    continue;
                }
                Ok(Came::Other) => continue,
                Ok(Came::End) => break,
                Ok(Came::Broken) => {
                    shared.rules.figures.count(Loss::Framing);
                    break;
                }
                Err(_) => {
                    shared.rules.figures.count(Loss::Idle);
                    break;
                }
            };
            until = Instant::now() + IDLE_TIMEOUT;
            let input = Input::Message { flow, message };
            if shared.events.send(StreamEvent::Input(input)).await.is_err() {
                break;
            }
        }
        tell_end(&shared.events, Input::ConnectionClosed { flow }, flow, way).await;
        // Nobody holds the way to it now; what was queued before that is still written.
        let rest = async {
            while let Some(message) = messages.recv().await {
                if socket.send(message).await.is_err() {
                    break;
                }
            }
            socket.close().await;
        };
        let _ = timeout(WRITE_TIMEOUT, rest).await;
        drop(place);
    }
}

/// First that messages can go this way no more: what is to be sent once more for it opens another
/// connection. The loop is gone when this fails, and so is everything else.
pub(super) async fn tell_end(
    events: &mpsc::Sender<StreamEvent>,
    end: Input,
    flow: Flow,
    way: mpsc::WeakSender<Bytes>,
) {
    let _ = events.send(StreamEvent::Gone(flow, way)).await;
    let _ = events.send(StreamEvent::Input(end)).await;
}

/// Reads until the peer closes, is idle too long, or sends what cannot be framed.
async fn read<S: AsyncRead + AsyncWrite>(
    mut reader: std::pin::Pin<&mut ReadHalf<S>>,
    flow: Flow,
    shared: &Shared,
    to_answer: &mpsc::Sender<()>,
    pongs: &Pongs,
) {
    let mut framer = StreamFramer::default();
    let mut buffer = BytesMut::with_capacity(16 * 1024);
    // Drop by drop does not count: a first whole message by then.
    let mut until = Instant::now() + FIRST_TIMEOUT;
    loop {
        buffer.clear();
        match timeout_at(until, reader.read_buf(&mut buffer)).await {
            Ok(Ok(1..)) => (),
            Ok(Ok(0)) | Ok(Err(_)) => return,
            Err(_) => return shared.rules.figures.count(Loss::Idle),
        }
        framer.push(&buffer);
        loop {
            let input = match framer.take() {
                Ok(Some(Framed::Message(message))) => Input::Framed { flow, message },
                Ok(Some(Framed::Ping)) => {
                    // RFC 5626 §3.5.1: a double CRLF is answered by a single one.
                    let _ = to_answer.try_send(());
                    until = Instant::now() + IDLE_TIMEOUT;
                    continue;
                }
                Ok(Some(Framed::Pong)) => {
                    pongs.ever.store(true, Ordering::Relaxed);
                    pongs.since_asked.store(true, Ordering::Relaxed);
                    continue;
                }
                Ok(None) => break,
                Err(error) => {
                    shared.rules.figures.count(Loss::Framing);
                    let lost = Input::FramingLost { flow, error };
                    // The loop is gone when this fails, and so is everything else.
                    let _ = shared.events.send(StreamEvent::Input(lost)).await;
                    return;
                }
            };
            until = Instant::now() + IDLE_TIMEOUT;
            if shared.events.send(StreamEvent::Input(input)).await.is_err() {
                return;
            }
        }
    }
}

/// Writes until the signalling task lets go of the connection, or its far end is gone.
async fn write<S: AsyncRead + AsyncWrite>(
    mut writer: WriteHalf<S>,
    mut messages: mpsc::Receiver<Bytes>,
    mut answers: mpsc::Receiver<()>,
    asks: Option<&Pongs>,
    shared: &Shared,
) {
    let mut asked = false;
    let mut next = Instant::now() + PING_EVERY;
    loop {
        let message = tokio::select! {
            message = messages.recv() => match message {
                Some(message) => message,
                None => break,
            },
            Some(()) = answers.recv() => Bytes::from_static(PONG),
            () = tokio::time::sleep_until(next), if asks.is_some() => {
                let Some(pongs) = asks else { continue };
                if std::mem::take(&mut asked) {
                    next = Instant::now() + PING_EVERY - PONG_WITHIN;
                    let is_gone = pongs.ever.load(Ordering::Relaxed)
                        && !pongs.since_asked.load(Ordering::Relaxed);
                    if is_gone {
                        shared.rules.figures.count(Loss::NoPong);
                        break;
                    }
                    continue;
                }
                asked = true;
                next = Instant::now() + PONG_WITHIN;
                pongs.since_asked.store(false, Ordering::Relaxed);
                Bytes::from_static(PING)
            }
        };
        // TLS holds back what it could not pass on at once.
        let written = async {
            writer.write_all(&message).await?;
            writer.flush().await
        };
        match timeout(WRITE_TIMEOUT, written).await {
            Ok(Ok(())) => (),
            Ok(Err(_)) => break,
            Err(_) => {
                shared.rules.figures.count(Loss::Unsent);
                break;
            }
        }
    }
    let _ = timeout(LINGER, writer.shutdown()).await;
}
