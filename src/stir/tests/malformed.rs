//! Nothing from outside panics, and what is read is printed as it was meant.

use super::{House, NOW_S, URL, usual_call};
use crate::chain::{Anchors, Chain};
use crate::identity::Identity;
use crate::passport::{Claims, Header};
use crate::time::parse_sip_date;
use crate::verdict::Verdict;
use crate::verify::{Credentials, Request, Rules, certificate_host, verify};
use proptest::prelude::*;
use std::sync::Arc;

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        let _ = (Identity::parse(&text), parse_sip_date(&text), certificate_host(&text, &[]));
        let _ = (Header::parse(text.as_bytes()), Claims::parse(text.as_bytes()));
    }

    #[test]
    fn any_octets_are_a_chain_or_none(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = (Chain::parse(&octets), Anchors::parse(&octets));
    }

    #[test]
    fn a_value_that_is_read_is_read_the_same_after_printing(
        value in "[A-Za-z0-9_-]{0,9}\\.[a-z]{0,9}\\.[a-z]{1,9};info=<https://[a-z]{1,9}/[a-z;=]{0,9}>(;alg=ES256)?(;ppt=[a-z]{1,8})?(;x=\"[a-z;]{0,5}\")?"
    ) {
        if let Some(identity) = Identity::parse(&value) {
            prop_assert_eq!(Identity::parse(&identity.print()), Some(identity));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// One octet changed anywhere in a certificate or an Identity value: never valid, never a panic.
    #[test]
    fn a_changed_octet_is_never_valid(place in any::<prop::sample::Index>(), change in 1..=255_u8) {
        let house = House::usual();
        let identity = house.signed(&usual_call());
        let mut certificate = house.certificate.clone();
        *place.get_mut(&mut certificate) ^= change;
        let credentials: Credentials = match Chain::parse(&certificate) {
            Ok(chain) => [(Arc::from(URL), Ok(Arc::new(chain)))].into(),
            Err(_) => return Ok(()),
        };
        prop_assert!(!is_valid(&identity, &credentials, &house.rules));
        // Parameters may be written in several ways; the PASSporT itself may not.
        let token = identity.split(';').next().unwrap().len() - 3;
        let at = place.index(token);
        let mut changed = identity.as_bytes().to_vec();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        prop_assert!(!is_valid(&changed, &house.credentials(), &house.rules));
    }
}

fn is_valid(identity: &str, credentials: &Credentials, rules: &Rules) -> bool {
    let identities = [Arc::from(identity)];
    let (caller, called) = ("+12155551212", ["+12155551213"]);
    let request = Request { identities: &identities, caller, called: &called, date: None };
    matches!(verify(&request, credentials, rules, NOW_S), Verdict::Passed { .. })
}
