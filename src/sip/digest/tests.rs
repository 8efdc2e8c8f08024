//! Both sides against each other, and against the RFCs' examples.

use super::answerer::{Answerer, ChallengeError};
use super::challenger::{Challenger, NONCES_MAX, Verdict};
use super::{Algorithm, Qop, Sum, joined};
use crate::message::fields::Authorisation;
use crate::message::params::Params;
use crate::message::uri::Uri;
use domain::now::epoch;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

const LIFE: Duration = Duration::from_secs(300);
const URI: &str = "sip:pbx.example";

const NONCE: &str = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
const CNONCE: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
const AUTH: Qop<'_> = Qop::Auth { nc: "00000001", cnonce: CNONCE };

/// The example of RFC 7616 §3.9.1.
fn mufasa(algorithm: Algorithm, is_session: bool, qop: Qop<'_>) -> String {
    let secret = ["Mufasa", "http-auth@example.org", "Circle of Life"];
    let request = ["GET", "/dir/index.html"];
    Sum { algorithm, is_session, secret, request, nonce: NONCE, qop }.response()
}

/// RFC 2617 §3.5, RFC 7616 §3.9.1 (MD5 and SHA-256), and RFC 2617 §3.5 as RFC 2069 sums it. Those
/// of `-sess` and `auth-int`, of which the RFCs have no example, were worked out by hand.
#[test]
fn sums_are_those_of_the_rfcs() {
    let int = Qop::AuthInt { nc: "00000001", cnonce: CNONCE, body: b"v=0" };
    for (algorithm, is_session, qop, response) in [
        (Algorithm::Md5, false, AUTH, "8ca523f5e9506fed4657c9700eebdbec"),
        (
            Algorithm::Sha256,
            false,
            AUTH,
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        ),
        (Algorithm::Md5, true, AUTH, "e783283f46242139c486a698fec7211d"),
        (Algorithm::Md5, false, int, "3835b139d1606d821f6f96713d044ded"),
    ] {
        assert_eq!(mufasa(algorithm, is_session, qop), response);
    }
    let old = |qop| Sum {
        algorithm: Algorithm::Md5,
        is_session: false,
        secret: ["Mufasa", "testrealm@host.com", "Circle Of Life"],
        request: ["GET", "/dir/index.html"],
        nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
        qop,
    };
    let qop = Qop::Auth { nc: "00000001", cnonce: "0a4f113b" };
    assert_eq!(old(qop).response(), "6629fae49393a05397450978507c4ef1");
    assert_eq!(old(Qop::None).response(), "670fd8c2df070c60b045671b8b24ff02");
}

/// SHA-512/256 is that of FIPS 180-4, whose own example `abc` is. The example of RFC 7616 §3.9.2 is
/// wrong: its user hash is the first half of a SHA-512. What is expected here was worked out from
/// its inputs with another implementation of FIPS 180-4.
#[test]
fn sha_512_256_has_initial_values_of_its_own() {
    let hash = |parts: &[&str]| Algorithm::Sha512_256.hash(parts);
    assert_eq!(hash(&["abc"]), "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23");
    let of_the_rfc = "488869477bf257147b804c45308cd62ac4e25eb717b12b298c79e62dcea254ec";
    let user = ["J\u{e4}s\u{f8}n Doe", "api@example.org"];
    assert_ne!(hash(&user), of_the_rfc);
    let cut = joined::<sha2::Sha512>(user.iter().map(|part| part.as_bytes()));
    assert_eq!(&cut[..64], of_the_rfc);
    let sum = Sum {
        algorithm: Algorithm::Sha512_256,
        is_session: false,
        secret: [user[0], user[1], "Secret, or not?"],
        request: ["GET", "/doe.json"],
        nonce: "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
        qop: Qop::Auth { nc: "00000001", cnonce: "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v" },
    };
    assert_eq!(sum.response(), "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5");
}

fn parsed(value: &str) -> Authorisation<'_> {
    let (scheme, params) = value.split_once(' ').unwrap();
    Authorisation { scheme, params: Params::comma_separated(params) }
}

/// A server with one user, `ann` with `secret`.
struct Server {
    challenger: Challenger,
    source: IpAddr,
    start: Instant,
}

impl Server {
    fn new(algorithms: &[Algorithm]) -> Self {
        let start = epoch().instant;
        let challenger = Challenger::new("r \"1\"", [7; 32], algorithms, LIFE, start);
        Self { challenger, source: "192.0.2.1".parse().unwrap(), start }
    }

    fn challenge(&mut self, after: Duration) -> Vec<String> {
        self.challenger.challenge(self.source, false, self.start + after)
    }

    fn verify(&mut self, value: &str, after: Duration) -> Verdict {
        let uri = Uri::parse(URI).unwrap();
        let password = |user: &str| (user == "ann").then(|| Arc::from("secret"));
        let now = self.start + after;
        self.challenger.verify(parsed(value), "REGISTER", &uri, password, self.source, now)
    }
}

fn client(user: &str, password: &str, challenges: &[String]) -> Answerer {
    let mut answerer = Answerer::new(user, password);
    let challenges = challenges.iter().map(|value| parsed(value));
    answerer.take_challenge(challenges, false).unwrap();
    answerer
}

fn authorise(answerer: &mut Answerer) -> String {
    answerer.authorise("REGISTER", URI, &mut StdRng::seed_from_u64(5)).unwrap()
}

fn accepted() -> Verdict {
    Verdict::Accepted { user: "ann".into() }
}

#[test]
fn the_first_algorithm_known_is_answered_and_accepted() {
    for algorithms in [
        &Algorithm::ALL[..],
        &[Algorithm::Sha256, Algorithm::Md5],
        &[Algorithm::Md5, Algorithm::Sha512_256],
    ] {
        let mut server = Server::new(algorithms);
        let challenges = server.challenge(Duration::ZERO);
        assert_eq!(challenges.len(), algorithms.len());
        let mut ann = client("ann", "secret", &challenges);
        let value = authorise(&mut ann);
        assert!(value.contains(&format!("algorithm={}", algorithms[0].name())), "{value}");
        assert_eq!(server.verify(&value, LIFE), accepted());
        // The next count on the same nonce, and both again: replayed.
        let second = authorise(&mut ann);
        assert_eq!(server.verify(&second, LIFE), accepted());
        for replayed in [&value, &second] {
            assert_eq!(server.verify(replayed, LIFE), Verdict::Refused { stale: true });
        }
    }
}

#[test]
fn unknown_users_and_wrong_passwords_are_answered_alike() {
    let mut server = Server::new(&[Algorithm::Md5]);
    let challenges = server.challenge(Duration::ZERO);
    for (user, password) in [("ann", "wrong"), ("bob", "secret"), ("", "")] {
        let value = authorise(&mut client(user, password, &challenges));
        assert_eq!(server.verify(&value, Duration::ZERO), Verdict::Refused { stale: false });
    }
}

/// Old, foreign and forged nonces: the password was right, so the client may retry.
#[test]
fn nonces_are_stale_when_old_or_not_ours() {
    let mut server = Server::new(&[Algorithm::Md5]);
    let challenges = server.challenge(Duration::from_secs(1));
    let value = authorise(&mut client("ann", "secret", &challenges));
    let late = LIFE + Duration::from_secs(2);
    let stale = Verdict::Refused { stale: true };
    assert_eq!(server.verify(&value, late), stale);
    server.source = "192.0.2.2".parse().unwrap();
    assert_eq!(server.verify(&value, Duration::from_secs(2)), stale);
    for nonce in ["", "é", "0000000000000000000000000000", "ffffffffffffffffffffffffffffffff"] {
        let foreign = [format!("Digest realm=\"r \\\"1\\\"\",nonce=\"{nonce}\",qop=\"auth\"")];
        let value = authorise(&mut client("ann", "secret", &foreign));
        assert_eq!(server.verify(&value, Duration::ZERO), stale, "{nonce}");
    }
    let retry = server.challenger.challenge(server.source, true, server.start);
    assert!(retry[0].ends_with(",stale=TRUE"));
}

#[test]
fn credentials_that_lack_a_part_are_unusable() {
    let mut server = Server::new(&[Algorithm::Md5]);
    let challenges = server.challenge(Duration::ZERO);
    let value = authorise(&mut client("ann", "secret", &challenges));
    for (from, to) in [
        ("Digest ", "Basic "),
        ("username=", "user="),
        ("realm=\"r", "realm=\"q"),
        ("nonce=", "n="),
        ("cnonce=", "cn="),
        ("nc=00000001", "nc=1"),
        ("nc=00000001", "nc=00000000"),
        ("qop=auth", "qop=auth-int"),
        ("algorithm=MD5", "algorithm=MD5-sess"),
        ("algorithm=MD5", "algorithm=SHA-256"),
        ("response=", "r="),
    ] {
        assert!(value.contains(from), "{from}");
        let verdict = server.verify(&value.replacen(from, to, 1), Duration::ZERO);
        assert_eq!(verdict, Verdict::Unusable, "{to}");
    }
    // Signed for another user's URI.
    let mut ann = client("ann", "secret", &challenges);
    let other = ann.authorise("REGISTER", "sip:boss@pbx.example", &mut StdRng::seed_from_u64(5));
    assert_eq!(server.verify(&other.unwrap(), Duration::ZERO), Verdict::Refused { stale: false });
    assert_eq!(server.verify(&value, Duration::ZERO), accepted());
}

/// Counts may come out of order over UDP, each once, and not from far behind.
#[test]
fn counts_are_taken_once_within_a_window() {
    let mut server = Server::new(&[Algorithm::Md5]);
    let challenges = server.challenge(Duration::ZERO);
    let mut ann = client("ann", "secret", &challenges);
    let values: Vec<_> = (0..70).map(|_| authorise(&mut ann)).collect();
    let stale = Verdict::Refused { stale: true };
    for (at, verdict) in [
        (1, accepted()),
        (0, accepted()),
        (0, stale.clone()),
        (69, accepted()),
        (6, accepted()),
        (5, stale.clone()),
        (69, stale.clone()),
        (6, stale),
    ] {
        assert_eq!(server.verify(&values[at], Duration::ZERO), verdict, "count {}", at + 1);
    }
}

/// The list of counts is bounded; what falls out of it cannot be replayed.
#[test]
fn forgotten_nonces_are_stale() {
    let mut server = Server::new(&[Algorithm::Md5]);
    let mut values = Vec::new();
    for at_ms in 0..=NONCES_MAX as u64 {
        let at = Duration::from_millis(at_ms);
        let challenges = server.challenge(at);
        let value = authorise(&mut client("ann", "secret", &challenges));
        assert_eq!(server.verify(&value, at), accepted());
        values.push(value);
    }
    let last = Duration::from_millis(NONCES_MAX as u64);
    for value in [&values[0], &values[1], &values[NONCES_MAX]] {
        assert_eq!(server.verify(value, last), Verdict::Refused { stale: true });
    }
}

#[test]
fn a_client_stops_when_its_password_is_wrong_and_not_when_its_nonce_is_old() {
    let challenge = |nonce: &str, more: &str| format!("Digest realm=\"r\",nonce=\"{nonce}\"{more}");
    let take = |answerer: &mut Answerer, value: &str, answered| {
        answerer.take_challenge([parsed(value)].into_iter(), answered)
    };
    let mut ann = Answerer::new("ann", "secret");
    assert_eq!(ann.authorise("REGISTER", URI, &mut StdRng::seed_from_u64(5)), None);
    for unknown in [",algorithm=SHA-3", ",algorithm=MD5-sess", ",qop=\"token\"", ",algorithm=-sess"]
    {
        let unknown = challenge("a", unknown);
        assert_eq!(take(&mut ann, &unknown, false), Err(ChallengeError::Unknown), "{unknown}");
    }
    assert_eq!(
        take(&mut ann, &challenge("a", ",qop=\"auth-int, auth\",opaque=\"o\""), false),
        Ok(())
    );
    let value = authorise(&mut ann);
    assert!(value.contains("qop=auth,nc=00000001,opaque=\"o\""), "{value}");
    assert_eq!(take(&mut ann, &challenge("b", ""), true), Err(ChallengeError::Refused));
    assert_eq!(take(&mut ann, &challenge("b", ",stale=true"), true), Ok(()));
    // A server of RFC 2069: no qop, no count.
    let old = authorise(&mut ann);
    assert!(!old.contains("nc=") && old.contains("algorithm=MD5"), "{old}");
}

/// One try for each nonce; stale allows one more, and then it is over, so that a server which calls
/// everything stale cannot keep us asking.
#[test]
fn a_stale_nonce_allows_one_more_try() {
    let challenge = |nonce: &str, more: &str| format!("Digest realm=\"r\",nonce=\"{nonce}\"{more}");
    let take = |answerer: &mut Answerer, value: &str, answered| {
        answerer.take_challenge([parsed(value)].into_iter(), answered)
    };
    let stale = ",stale=true,qop=\"auth\"";
    let mut ann = Answerer::new("ann", "secret");
    assert_eq!(take(&mut ann, &challenge("a", ",qop=\"auth\""), false), Ok(()));
    authorise(&mut ann);
    assert_eq!(take(&mut ann, &challenge("b", stale), true), Ok(()));
    authorise(&mut ann);
    assert_eq!(take(&mut ann, &challenge("c", stale), true), Err(ChallengeError::Refused));
    // The next request was let in with it; later that nonce is too old as well.
    authorise(&mut ann);
    assert_eq!(take(&mut ann, &challenge("d", stale), true), Ok(()));
}

/// Bodies are protected where nothing else is offered, and the session key of `-sess` stays that of
/// the first request (RFC 7616 §3.4.2, §3.4.3).
#[test]
fn sessions_and_bodies_are_answered() {
    let take = |value: &str| client("ann", "secret", &[value.to_owned()]);
    let text = |value: &str, name: &str| {
        let parsed = parsed(value);
        crate::message::params::unquote(parsed.params.get(name).unwrap()).into_owned()
    };
    let mut ann = take("Digest realm=\"r\",nonce=\"n\",algorithm=SHA-256-sess,qop=\"auth-int\"");
    let mut random = StdRng::seed_from_u64(5);
    let first = ann.authorise_body("INVITE", URI, b"v=0", &mut random).unwrap();
    let second = ann.authorise_body("INVITE", URI, b"v=0", &mut random).unwrap();
    assert_eq!(text(&first, "cnonce"), text(&second, "cnonce"));
    for (value, nc) in [(&first, "00000001"), (&second, "00000002")] {
        assert_eq!((text(value, "qop"), text(value, "nc")), ("auth-int".into(), nc.into()));
        assert_eq!(text(value, "algorithm"), "SHA-256-sess");
        let cnonce = text(value, "cnonce");
        let sum = Sum {
            algorithm: Algorithm::Sha256,
            is_session: true,
            secret: ["ann", "r", "secret"],
            request: ["INVITE", URI],
            nonce: "n",
            qop: Qop::AuthInt { nc, cnonce: &cnonce, body: b"v=0" },
        };
        assert_eq!(text(value, "response"), sum.response());
    }
}
