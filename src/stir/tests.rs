//! Whole verifications: every reason once, against certificates made for the purpose.

mod corpora;
mod known_answers;
mod malformed;

use crate::attest::Attestation;
use crate::chain::{Anchors, Chain};
use crate::identity::{Identity, Token};
use crate::number::Numbering;
use crate::passport::{BASE64URL, Claims, Header, Party, signing_input};
use crate::sign::{Signer, SignerError, ToSign, origin_id};
use crate::test_kit::{Key, Making, attest_constraints, number_list, pem, provider_list};
use crate::time::print_sip_date;
use crate::verdict::{CredentialFault, Fault, InfoFault, Verdict, Verstat};
use crate::verify::{Credentials, Request, Rules, certificate_host, verify, wanted};
use base64::Engine;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use std::sync::Arc;

/// 1 June 2026.
const NOW_S: u64 = 1_780_272_000;
const URL: &str = "https://cert.example.org:8443/signer.pem";
const ID: &str = "123e4567-e89b-12d3-a456-426655440000";

/// An authority and a signer below it.
struct House {
    key: Key,
    certificate: Vec<u8>,
    rules: Rules,
}

impl House {
    fn new(change: impl FnOnce(&mut Making<'_>)) -> Self {
        let (authority_key, key) = (Key::new(), Key::new());
        let authority = Making::new("Authority", "Authority", true);
        let authority = authority.sign(&authority_key, &authority_key);
        let mut signer = Making::new("Signer", "Authority", false);
        signer.tn_list = Some(provider_list("1234"));
        change(&mut signer);
        let certificate = signer.sign(&key, &authority_key);
        let anchors = Anchors::parse(pem("CERTIFICATE", &authority).as_bytes()).unwrap();
        Self { key, certificate, rules: Rules { anchors, numbering: Numbering::default() } }
    }

    fn usual() -> Self {
        Self::new(|_| ())
    }

    fn signer(&self) -> Signer {
        let random = SystemRandom::new();
        Signer::load(&self.key.pem(), &self.certificate, URL, &random).unwrap()
    }

    fn credentials(&self) -> Credentials {
        let chain = Chain::parse(&self.certificate).map(Arc::new).map_err(Fault::Credential);
        [(Arc::from(URL), chain)].into()
    }

    fn signed(&self, call: &ToSign<'_>) -> Arc<str> {
        self.signer().sign(call, &SystemRandom::new()).unwrap().into()
    }

    fn verify(&self, identities: &[Arc<str>], date: Option<&str>) -> Verdict {
        let (caller, called) = ("+12155551212", ["+12155551213"]);
        let request = Request { identities, caller, called: &called, date };
        verify(&request, &self.credentials(), &self.rules, NOW_S)
    }

    /// Signs any header and claims with the signer's key.
    fn forge(&self, header: &str, claims: &str) -> (Arc<str>, Arc<str>, Arc<str>) {
        let input = signing_input(header, claims);
        let signature = fixed(&self.key, &input);
        let (header, claims) = input.split_once('.').unwrap();
        (header.into(), claims.into(), signature.into())
    }

    fn forged(&self, header: &str, claims: &str, kind: Option<&str>) -> Arc<str> {
        let (header, claims, signature) = self.forge(header, claims);
        let token = Token::Full { header, claims, signature };
        let kind = kind.map(Arc::from);
        Identity { token, info: URL.into(), algorithm: None, kind }.print().into()
    }
}

fn fixed(key: &Key, input: &str) -> String {
    let random = SystemRandom::new();
    let pem = key.pem();
    let pkcs8 = crate::chain::pem_sections(&pem, "PRIVATE KEY").unwrap().remove(0);
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8, &random).unwrap();
    BASE64URL.encode(pair.sign(&random, input.as_bytes()).unwrap())
}

fn usual_call() -> ToSign<'static> {
    ToSign {
        attestation: Attestation::Full,
        origin: "12155551212",
        destination: "12155551213",
        origin_id: ID,
        issued_at_s: NOW_S,
    }
}

fn passed(attestation: Option<Attestation>) -> Verdict {
    Verdict::Passed {
        attestation,
        origin_id: attestation.map(|_| ID.into()),
        provider: Some("1234".into()),
        certificate_url: URL.into(),
    }
}

#[test]
fn what_is_signed_is_verified_with_or_without_a_date() {
    let house = House::usual();
    let identity = house.signed(&usual_call());
    let expected = passed(Some(Attestation::Full));
    assert_eq!(house.verify(&[Arc::clone(&identity)], None), expected);
    let date = print_sip_date(NOW_S - 30);
    assert_eq!(house.verify(&[identity], Some(&date)), expected);
    assert_eq!(expected.verstat(), Verstat::Passed);
}

#[test]
fn each_fault_of_a_call_has_its_verdict_and_status() {
    let house = House::usual();
    let call = usual_call();
    let identity = |call: ToSign<'_>| house.signed(&call);
    let at = |issued_at_s: u64| identity(ToSign { issued_at_s, ..call });
    let stale_date = print_sip_date(NOW_S - 61);
    let tampered = identity(call).replacen(";info", "A;info", 1);
    for (identities, date, fault, status) in [
        (vec![], None, Fault::NoIdentity, 428),
        (vec![at(NOW_S - 61)], None, Fault::Stale, 403),
        (vec![at(NOW_S + 61)], None, Fault::Stale, 403),
        (vec![at(NOW_S)], Some(&*stale_date), Fault::Stale, 403),
        (
            vec![identity(ToSign { origin: "12155551214", ..call })],
            None,
            Fault::CallerMismatch,
            438,
        ),
        (
            vec![identity(ToSign { destination: "12155551214", ..call })],
            None,
            Fault::CalledMismatch,
            438,
        ),
        (vec![tampered.into()], None, Fault::BadSignature, 438),
        (vec!["nonsense".into()], None, Fault::Malformed, 438),
    ] {
        assert_eq!(house.verify(&identities, date), Verdict::Failed(fault), "{identities:?}");
        assert_eq!(fault.status(), status, "{fault:?}");
    }
    for fresh in [NOW_S - 60, NOW_S + 60] {
        assert_eq!(house.verify(&[at(fresh)], None), passed(Some(Attestation::Full)));
    }
}

#[test]
fn each_fault_of_a_passport_has_its_verdict() {
    let house = House::usual();
    let header =
        |kind: &str| format!("{{\"alg\":\"ES256\",{kind}\"typ\":\"passport\",\"x5u\":\"{URL}\"}}");
    let shaken = header("\"ppt\":\"shaken\",");
    let parties = format!(
        "\"dest\":{{\"tn\":[\"12155551213\"]}},\"iat\":{NOW_S},\"orig\":{{\"tn\":\"12155551212\"}}"
    );
    let complete = format!("{{\"attest\":\"B\",{parties},\"origid\":\"{ID}\"}}");
    let plain = format!("{{{parties}}}");
    let good = Some("shaken");
    let as_text = complete.replace(&NOW_S.to_string(), &format!("\"{NOW_S}\""));
    for (header, claims, kind, verdict, why) in [
        (&shaken, &complete, good, Ok(Some(Attestation::Partial)), "all is well"),
        (&shaken, &as_text, good, Ok(Some(Attestation::Partial)), "iat as text"),
        (&header(""), &plain, None, Ok(None), "a plain PASSporT"),
        (&shaken, &plain, good, Err(Fault::MissingClaims), "neither attest nor origid"),
        (&shaken, &complete, None, Err(Fault::HeaderMismatch), "ppt in the PASSporT only"),
        (&header(""), &complete, good, Err(Fault::HeaderMismatch), "ppt in the header only"),
        (&header("\"ppt\":1,"), &plain, None, Err(Fault::Malformed), "ppt is no text"),
        (&shaken.replace("8443", "443"), &complete, good, Err(Fault::HeaderMismatch), "x5u"),
        (&shaken.replace("passport", "jwt"), &complete, good, Err(Fault::HeaderMismatch), "typ"),
        (
            &shaken.replace("ES256", "none"),
            &complete,
            good,
            Err(Fault::UnsupportedAlgorithm),
            "alg",
        ),
        (&shaken, &complete.replace("\"B\"", "\"D\""), good, Err(Fault::Malformed), "attest D"),
        (&shaken, &complete.replace(ID, "1"), good, Err(Fault::Malformed), "origid no UUID"),
        (&shaken, &"{}".into(), good, Err(Fault::Malformed), "no claims"),
        (&shaken, &complete, Some("div"), Err(Fault::UnsupportedKind), "another kind"),
    ] {
        let identity = house.forged(header, claims, kind);
        let expected = match verdict {
            Ok(Some(attestation)) => passed(Some(attestation)),
            Ok(None) => passed(None),
            Err(fault) => Verdict::Failed(fault),
        };
        assert_eq!(house.verify(&[identity], None), expected, "{why}");
    }
    let (header, claims, _) = house.forge(&shaken, &complete);
    let other = fixed(&Key::new(), &format!("{header}.{claims}"));
    let token = Token::Full { header, claims, signature: other.into() };
    let kind = Some("shaken".into());
    let identity = Identity { token, info: URL.into(), algorithm: None, kind }.print();
    assert_eq!(house.verify(&[identity.into()], None), Verdict::Failed(Fault::BadSignature));
}

#[test]
fn each_fault_of_a_certificate_has_its_verdict() {
    type Change = fn(&mut Making<'_>);
    let table: [(Change, CredentialFault); 6] = [
        (|making| making.until = "260101000000Z", CredentialFault::Expired),
        (|making| making.from = "270101000000Z", CredentialFault::NotYetValid),
        (|making| making.issuer = "Nobody", CredentialFault::Untrusted),
        (|making| making.tn_list = None, CredentialFault::NoTnList),
        (
            |making| making.tn_list = Some(number_list("12155551214")),
            CredentialFault::NumberNotCovered,
        ),
        (|making| making.is_authority = true, CredentialFault::Untrusted),
    ];
    for (change, fault) in table {
        // The signer itself would refuse an expired certificate, so the call is signed by hand.
        let house = House::new(change);
        let header = crate::passport::Header {
            algorithm: "ES256".into(),
            media_type: "passport".into(),
            kind: None,
            certificate_url: URL.into(),
        };
        let claims = Claims::new(
            Party::Number("12155551212".into()),
            Party::Number("12155551213".into()),
            NOW_S,
        );
        let identity = house.forged(&Header::print(&header), &claims.print(), None);
        let expected = Verdict::Failed(Fault::Credential(fault));
        assert_eq!(house.verify(&[identity], None), expected, "{fault:?}");
        assert_eq!(Fault::Credential(fault).status(), 437);
    }
}

#[test]
fn a_certificates_constraints_bind_its_claims() {
    let house = House::new(|making| making.constraints = Some(attest_constraints(&["B", "C"])));
    for (attestation, expected) in [
        (Attestation::Full, Verdict::Failed(Fault::ForbiddenClaims)),
        (Attestation::Partial, passed(Some(Attestation::Partial))),
    ] {
        let identity = house.signed(&ToSign { attestation, ..usual_call() });
        assert_eq!(house.verify(&[identity], None), expected);
    }
}

#[test]
fn an_authority_between_limits_what_is_below_it() {
    let (root_key, between_key, key) = (Key::new(), Key::new(), Key::new());
    let root = Making::new("Root", "Root", true).sign(&root_key, &root_key);
    for (held, expected) in [
        (Some(number_list("12155551212")), Ok(())),
        (Some(number_list("12155551299")), Err(CredentialFault::BeyondAuthority)),
        (None, Ok(())),
    ] {
        let mut between = Making::new("Between", "Root", true);
        between.tn_list = held;
        let between = between.sign(&between_key, &root_key);
        let mut signer = Making::new("Signer", "Between", false);
        signer.tn_list = Some(number_list("12155551212"));
        let signer = signer.sign(&key, &between_key);
        let text = pem("CERTIFICATE", &signer) + &pem("CERTIFICATE", &between);
        let chain = Chain::parse(text.as_bytes()).unwrap();
        let anchors = Anchors::parse(&root).unwrap();
        assert_eq!(chain.check(&anchors, NOW_S), expected);
        // Past 2029 the root is out of its time.
        assert!(chain.check(&anchors, NOW_S + 200_000_000).is_err());
    }
}

#[test]
fn the_compact_form_is_built_anew_from_the_request() {
    let house = House::usual();
    let date = print_sip_date(NOW_S - 10);
    let header = format!("{{\"alg\":\"ES256\",\"typ\":\"passport\",\"x5u\":\"{URL}\"}}");
    let claims = format!(
        "{{\"dest\":{{\"tn\":[\"12155551213\"]}},\"iat\":{},\"orig\":{{\"tn\":\"12155551212\"}}}}",
        NOW_S - 10
    );
    let (_, _, signature) = house.forge(&header, &claims);
    let identity: Arc<str> = format!("..{signature};info=<{URL}>").into();
    let verdict = |date: Option<&str>| house.verify(std::slice::from_ref(&identity), date);
    assert_eq!(verdict(Some(&date)), passed(None));
    assert_eq!(verdict(None), Verdict::Failed(Fault::NoDate));
    let other = print_sip_date(NOW_S - 11);
    assert_eq!(verdict(Some(&other)), Verdict::Failed(Fault::BadSignature));
    let shaken = [format!("{identity};ppt=shaken").into()];
    assert_eq!(house.verify(&shaken, Some(&date)), Verdict::Failed(Fault::MissingClaims));
}

/// RFC 8224 §6.2.1, §6.2.2.
#[test]
fn one_valid_value_is_enough_and_of_faults_the_telling_one_is_told() {
    let house = House::usual();
    let good = house.signed(&usual_call());
    let partial = house.signed(&ToSign { attestation: Attestation::Partial, ..usual_call() });
    let bad: Arc<str> = "nonsense".into();
    let unknown: Arc<str> = format!("a.b.c;info=<{URL}>;ppt=rph").into();
    let unfetched: Arc<str> = good.replace(URL, "https://other.example/x").into();
    let expected = passed(Some(Attestation::Full));
    assert_eq!(house.verify(&[bad.clone(), partial, good.clone()], None), expected);
    let failed = |values: &[&Arc<str>]| {
        let values: Vec<_> = values.iter().map(|value| Arc::clone(value)).collect();
        house.verify(&values, None)
    };
    assert_eq!(failed(&[&unknown]), Verdict::Failed(Fault::UnsupportedKind));
    assert_eq!(failed(&[&unknown, &bad]), Verdict::Failed(Fault::Malformed));
    // The PASSporT of a value that was moved to another address contradicts it.
    assert_eq!(failed(&[&unfetched]), Verdict::Failed(Fault::HeaderMismatch));
    let (caller, called) = ("anonymous", ["+12155551213"]);
    let identities = [good];
    let anonymous = Request { identities: &identities, caller, called: &called, date: None };
    let verdict = verify(&anonymous, &house.credentials(), &house.rules, NOW_S);
    assert_eq!(verdict, Verdict::Failed(Fault::NoCallerNumber));
    assert_eq!(verdict.verstat(), Verstat::NotValidated);
    let request = Request { caller: "+12155551212", ..anonymous };
    let verdict = verify(&request, &Credentials::new(), &house.rules, NOW_S);
    assert_eq!(verdict, Verdict::Failed(Fault::BadInfo(InfoFault::TimedOut)));
    assert_eq!(verdict.verstat(), Verstat::NotValidated);
    assert_eq!(wanted(&[identities[0].clone(), identities[0].clone(), bad]), [Arc::from(URL)]);
}

#[test]
fn certificates_are_fetched_from_https_on_two_ports() {
    let allowed = ["127.0.0.1:9443".into()];
    let bad = Err(InfoFault::BadAddress);
    for (url, expected) in [
        ("https://cert.example.org/a.pem", Ok(("cert.example.org", 443))),
        ("HTTPS://cert.example.org:8443/a", Ok(("cert.example.org", 8443))),
        ("https://[2001:db8::1]:8443/a", Ok(("[2001:db8::1]", 8443))),
        ("https://cert.example.org?x", Ok(("cert.example.org", 443))),
        ("https://127.0.0.1:9443/a", Ok(("127.0.0.1", 9443))),
        ("https://cert.example.org:9443/a", bad),
        ("http://cert.example.org/a.pem", bad),
        ("https://user@cert.example.org/a", bad),
        ("https:///a", bad),
        ("https://cert.example.org:x/a", bad),
        ("https://cert.example.org/a b", bad),
        ("cid:1", bad),
    ] {
        assert_eq!(certificate_host(url, &allowed), expected, "{url}");
    }
}

#[test]
fn a_key_that_is_not_its_certificates_is_found_at_load() {
    let (house, other) = (House::usual(), House::usual());
    let random = SystemRandom::new();
    let load = |key: &str, certificate: &[u8], url: &str| {
        Signer::load(key, certificate, url, &random).map(|_| ())
    };
    assert_eq!(load(&house.key.pem(), &house.certificate, URL), Ok(()));
    for (key, certificate, url, expected) in [
        (other.key.pem(), house.certificate.as_slice(), URL, SignerError::KeyOfAnother),
        ("no key".into(), &house.certificate, URL, SignerError::KeyMalformed),
        (house.key.pem(), b"no certificate", URL, SignerError::CertificateMalformed),
        (house.key.pem(), &house.certificate, "http://a/b", SignerError::BadAddress),
    ] {
        assert_eq!(load(&key, certificate, url), Err(expected));
    }
    let after = ToSign { issued_at_s: 1_900_000_000, ..usual_call() };
    assert_eq!(house.signer().sign(&after, &random), None, "nobody would believe it");
}

#[test]
fn an_origin_id_is_a_random_uuid() {
    assert_eq!(origin_id([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    assert_eq!(origin_id([0; 16]), "00000000-0000-4000-8000-000000000000");
}
