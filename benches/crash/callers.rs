//! Callers who are promised a call while the gateway is being killed. A promise counts from the
//! moment that the caller's own recording holds the confirmation: the recording is made by his
//! telephone, which nobody kills.

use super::carrier::PROMISED;
use super::tones;
use crate::common::Failure;
use gateway::telephone::{Account, Happening, Order, Telephone, WhenRung};
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Ports of the telephones' sound, apart from the gateway's.
const PORTS: (u16, u16) = (16_000, 17_999);
/// How long an answer is awaited.
const ANSWER_MAX: Duration = Duration::from_secs(4);
/// The offer has begun by then; the key is pressed.
const KEY_AFTER: Duration = Duration::from_millis(150);
/// The confirmation is over by then, if it comes.
const TALK_MAX: Duration = Duration::from_millis(2_500);
/// A BYE that nobody answers is given up after 32 s (RFC 3261 §17.1.2.2, Timer F).
const END_MAX: Duration = Duration::from_secs(40);

/// What the callers have.
#[derive(Debug, Default)]
pub struct Heard {
    /// The numbers whose callers have the confirmation on their recording.
    pub confirmed: Vec<String>,
    /// Calls in which it did not come: the gateway was killed in time.
    pub unconfirmed: u64,
}

/// Callers, one after the other on each of some lines, until they are stopped.
pub struct Callers {
    stop: Arc<AtomicBool>,
    heard: Arc<Mutex<Heard>>,
    lines: JoinSet<()>,
}

impl Callers {
    /// Lets them begin.
    pub fn start(lines: u64, gateway: SocketAddr, folder: &Path) -> Self {
        let (stop, heard) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let number = Arc::new(AtomicU64::new(0));
        let mut callers = Self { stop, heard, lines: JoinSet::new() };
        for _ in 0..lines {
            let (stop, heard) = (callers.stop.clone(), callers.heard.clone());
            let (number, folder) = (number.clone(), folder.to_path_buf());
            callers.lines.spawn(async move {
                let mut ending = JoinSet::new();
                while !stop.load(Ordering::Relaxed) {
                    let number = number.fetch_add(1, Ordering::Relaxed);
                    let caller = format!("{PROMISED}{number:07}");
                    let recording = folder.join(format!("{number}.wav"));
                    match call(gateway, &caller, &recording).await {
                        Some(called) => {
                            ending.spawn(end(called, caller, recording, heard.clone()));
                        }
                        // The gateway is down just now.
                        None => sleep(Duration::from_millis(200)).await,
                    }
                }
                while ending.join_next().await.is_some() {}
            });
        }
        callers
    }

    /// How many promises count so far.
    pub fn confirmed(&self) -> usize {
        self.heard.lock().confirmed.len()
    }

    /// Lets the present calls end and gives what was heard.
    pub async fn finish(mut self) -> Heard {
        self.stop.store(true, Ordering::Relaxed);
        while self.lines.join_next().await.is_some() {}
        std::mem::take(&mut self.heard.lock())
    }
}

type Phone = (Telephone, UnboundedReceiver<Happening>);

/// One call to its end as the caller sees it; `None` when it was not answered.
async fn call(gateway: SocketAddr, caller: &str, recording: &Path) -> Option<Phone> {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let refuse = WhenRung::Refuse(486);
    let mut phone = Telephone::start(listen, None, refuse, PORTS).await.ok()?;
    phone.0.order(Order::Record(recording.display().to_string().into()));
    phone.0.order(Order::Dial { address: gateway, user: "4000".into(), from: caller.into() });
    if !until(&mut phone, ANSWER_MAX, |it| *it == Happening::Connected).await {
        phone.0.order(Order::Leave);
        return None;
    }
    sleep(KEY_AFTER).await;
    phone.0.order(Order::Keys("1".into()));
    until(&mut phone, TALK_MAX, |it| matches!(it, Happening::Ended(_))).await;
    Some(phone)
}

/// Hangs up, waits for the recording, and listens to it.
async fn end(mut phone: Phone, caller: String, recording: PathBuf, heard: Arc<Mutex<Heard>>) {
    phone.0.order(Order::Leave);
    until(&mut phone, END_MAX, |it| *it == Happening::Left).await;
    for _ in 0..50 {
        if recording.exists() {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    let listened =
        tokio::task::spawn_blocking(move || tones::hold_confirmation(&recording).unwrap_or(false));
    let confirmed = listened.await.unwrap_or(false);
    let mut heard = heard.lock();
    match confirmed {
        true => heard.confirmed.push(caller),
        false => heard.unconfirmed += 1,
    }
}

/// Waits for something that a telephone tells.
async fn until(phone: &mut Phone, within: Duration, wanted: impl Fn(&Happening) -> bool) -> bool {
    let found = timeout(within, async {
        while let Some(happening) = phone.1.recv().await {
            if wanted(&happening) {
                return true;
            }
        }
        false
    });
    found.await.unwrap_or(false)
}

/// The agent who keeps the promises: answers at once whatever rings.
pub struct Agent {
    account: Account,
    phone: Option<Phone>,
}

impl Agent {
    /// An agent of the gateway there.
    pub fn new(registrar: SocketAddr, user: &str, password: &str) -> Self {
        let (domain, user, password) = ("trunkline".into(), user.into(), password.into());
        Self { account: Account { registrar, domain, user, password }, phone: None }
    }

    /// Registers, anew after each start of the gateway: registrations live in its memory.
    pub async fn register(&mut self) -> Result<(), Failure> {
        if let Some((phone, _)) = self.phone.take() {
            phone.order(Order::Leave);
        }
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let at_once = WhenRung::Answer(Duration::ZERO);
        let mut phone =
            Telephone::start(listen, Some(self.account.clone()), at_once, PORTS).await?;
        if !until(&mut phone, ANSWER_MAX, |it| *it == Happening::Registered).await {
            return Err("the agent's telephone could not register".into());
        }
        self.phone = Some(phone);
        Ok(())
    }
}
