use super::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::id::{CallbackId, QueueId, TenantId};
use domain::phone_number::PhoneNumber;
use hmac::{Hmac, Mac};
use queue::event::{CallbackState, Promise};
use sha2::Sha256;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use store::fact::StoreFacts;
use store::ledger::StoreConfig;
use store::reader::administration::{LetterState, LetterView};
use store::tenant_table::SetWebhook;
use switchboard::event::Fact;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A ledger in a folder of its own and a sender on it, with a clock turned by hand.
struct Kit {
    folder: PathBuf,
    ledger: Ledger,
    reader: Reader,
    wall_ms: Arc<AtomicU64>,
    sender: JoinHandle<()>,
}

impl Kit {
    fn new(url: &str, allow_private: bool) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("trunkline-webhook-{}-{count}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let wall_ms = Arc::new(AtomicU64::new(1_800_000_000_000));
        let clock: Clock = {
            let wall_ms = Arc::clone(&wall_ms);
            Arc::new(move || wall_ms.load(Ordering::SeqCst))
        };
        let mut config = StoreConfig::in_folder(&folder);
        config.clock = Arc::clone(&clock);
        let (ledger, _) = Ledger::open(config).unwrap();
        let reader = Reader::open(ledger.path(), 1).unwrap();
        let address = SetWebhook { tenant: TenantId::default(), url: Some(url.into()) };
        ledger.perform(address).unwrap();
        let sender =
            WebhookSender::new(ledger.clone(), reader.clone(), clock, allow_private).unwrap();
        Self { folder, ledger, reader, wall_ms, sender: tokio::spawn(sender.run()) }
    }

    /// Puts a webhook for this callback into the outbox.
    fn kept(&self, callback: u64) {
        let promise = Promise {
            id: CallbackId(callback),
            queue: QueueId::new(&TenantId::default(), "sales"),
            number: PhoneNumber::parse("+4930777").unwrap(),
            arrived_wall_ms: 0,
            not_before_wall_ms: 0,
            expires_wall_ms: 0,
            tries: 1,
            state: CallbackState::Kept,
        };
        self.ledger.perform(StoreFacts::new(vec![Fact::Promise(promise)])).unwrap();
    }

    fn letters(&self, state: LetterState) -> Vec<LetterView> {
        self.reader.letters(&TenantId::default(), Some(state), None, 100).unwrap()
    }

    /// Waits until a letter is in this state after so many tries.
    async fn until(&self, state: LetterState, tries: u32) -> LetterView {
        let found = async {
            loop {
                if let Some(letter) =
                    self.letters(state).into_iter().find(|letter| letter.tries == tries)
                {
                    return letter;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), found).await.expect("within 20 s")
    }
}

impl Drop for Kit {
    fn drop(&mut self) {
        self.sender.abort();
        self.ledger.close();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// One request as received: its head and its body.
async fn receive(listener: &TcpListener, answer: &str) -> (String, String) {
    let accepted = tokio::time::timeout(Duration::from_secs(20), listener.accept()).await;
    let (mut stream, _) = accepted.expect("within 20 s").unwrap();
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).await.unwrap();
        bytes.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8(bytes.clone()).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_owned();
        let length: usize = header(&head, "content-length").parse().unwrap();
        if body.len() == length {
            stream.write_all(answer.as_bytes()).await.unwrap();
            return (head, body.to_owned());
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    head.lines()
        .find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
        .unwrap_or("")
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const BROKEN: &str = "HTTP/1.1 500 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    (listener, url)
}

#[tokio::test]
async fn a_webhook_is_signed_so_that_its_receiver_can_check_it() {
    let (listener, url) = listen().await;
    let kit = Kit::new(&url, true);
    kit.kept(7);
    let (head, body) = receive(&listener, OK).await;
    assert!(head.starts_with("POST /hook HTTP/1.1"), "{head}");
    assert_eq!(header(&head, "webhook-id"), "callback-7-kept");
    assert_eq!(header(&head, "webhook-timestamp"), "1800000000");
    assert!(body.starts_with(r#"{"type":"callback.kept","timestamp":"2027-"#), "{body}");
    let secret = kit.reader.tenants().unwrap()[0].webhook_secret.clone();
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&key).unwrap();
    mac.update(format!("callback-7-kept.1800000000.{body}").as_bytes());
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(header(&head, "webhook-signature"), expected);
    let letter = kit.until(LetterState::Delivered, 1).await;
    assert_eq!(letter.last_status, Some(200));
}

#[tokio::test]
async fn a_refused_webhook_comes_again_after_its_gap_under_the_same_id() {
    let (listener, url) = listen().await;
    let kit = Kit::new(&url, true);
    kit.kept(1);
    receive(&listener, BROKEN).await;
    let waiting = kit.until(LetterState::Pending, 1).await;
    assert_eq!(waiting.last_error.as_deref(), Some("answered with status 500"));
    assert_eq!(waiting.next_wall_ms, 1_800_000_005_000);
    kit.wall_ms.fetch_add(5_000, Ordering::SeqCst);
    let (head, _) = receive(&listener, OK).await;
    assert_eq!(header(&head, "webhook-id"), "callback-1-kept");
    assert_eq!(header(&head, "webhook-timestamp"), "1800000005");
    kit.until(LetterState::Delivered, 2).await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (listener, url) = listen().await;
    let (inside, inside_url) = listen().await;
    let kit = Kit::new(&url, true);
    kit.kept(1);
    let moved = format!(
        "HTTP/1.1 302 Found\r\nlocation: {inside_url}\r\ncontent-length: 0\r\n\
         connection: close\r\n\r\n"
    );
    receive(&listener, &moved).await;
    assert_eq!(kit.until(LetterState::Pending, 1).await.last_status, Some(302));
    let knocked = tokio::time::timeout(Duration::from_millis(50), inside.accept()).await;
    assert!(knocked.is_err());
}

#[tokio::test]
async fn a_private_address_is_given_up_without_a_connection() {
    let (listener, url) = listen().await;
    for url in [url.clone(), url.replace("http:", "https:")] {
        let kit = Kit::new(&url, false);
        kit.kept(1);
        let dead = kit.until(LetterState::Dead, 1).await;
        assert!(dead.last_error.is_some(), "{dead:?}");
    }
    // A name that leads inside fails in the resolver, and is tried later: names change.
    let port = url.rsplit_once(':').unwrap().1;
    let kit = Kit::new(&format!("https://localhost:{port}"), false);
    kit.kept(2);
    let failed = kit.until(LetterState::Pending, 1).await;
    assert!(failed.last_error.unwrap().ends_with("is not a public address"));
    let knocked = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(knocked.is_err());
}

#[tokio::test]
async fn letters_to_a_broken_receiver_are_put_off_without_losing_a_try() {
    let (listener, url) = listen().await;
    let kit = Kit::new(&url, true);
    for callback in 1..=5 {
        kit.kept(callback);
        receive(&listener, BROKEN).await;
        let failed = async {
            while kit.letters(LetterState::Pending).iter().any(|letter| letter.tries == 0) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), failed).await.expect("within 20 s");
    }
    // The sixth is not even claimed while the receiver is left alone.
    kit.kept(6);
    let knocked = tokio::time::timeout(LOOK_EVERY * 3, listener.accept()).await;
    assert!(knocked.is_err());
    let waits = kit.letters(LetterState::Pending);
    assert_eq!((waits[0].tries, waits[0].next_wall_ms), (0, 1_800_000_000_000));
    // After the pause one goes ahead; when it is taken the others follow a second later.
    kit.wall_ms.fetch_add(30_000, Ordering::SeqCst);
    receive(&listener, OK).await;
    kit.until(LetterState::Delivered, 2).await;
    kit.wall_ms.fetch_add(1_000, Ordering::SeqCst);
    for _ in 2..=6 {
        receive(&listener, OK).await;
    }
    kit.until(LetterState::Delivered, 1).await;
}
