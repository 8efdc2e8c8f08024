//! The examples of RFC 8225 Appendix A, RFC 7515 Appendix A.3 and RFC 8588 §6.

use crate::passport::{BASE64URL, Claims, Header, Party, signing_input};
use base64::Engine;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

const HEADER: &str =
    r#"{"alg":"ES256","typ":"passport","x5u":"https://cert.example.org/passport.cer"}"#;
const CLAIMS: &str =
    r#"{"dest":{"uri":["sip:alice@example.com"]},"iat":1471375418,"orig":{"tn":"12155551212"}}"#;
const INPUT: &str = "eyJhbGciOiJFUzI1NiIsInR5cCI6InBhc3Nwb3J0IiwieDV1IjoiaHR0cHM6Ly9j\
    ZXJ0LmV4YW1wbGUub3JnL3Bhc3Nwb3J0LmNlciJ9.eyJkZXN0Ijp7InVyaSI6WyJzaXA6YWxpY2VAZXhhbXBsZS5jb20iXX0\
    sImlhdCI6MTQ3MTM3NTQxOCwib3JpZyI6eyJ0biI6IjEyMTU1NTUxMjEyIn19";

#[test]
fn the_example_is_read_and_printed_octet_by_octet() {
    let header = Header::parse(HEADER.as_bytes()).unwrap();
    assert_eq!(header.print(), HEADER);
    let claims = Claims::parse(CLAIMS.as_bytes()).unwrap();
    assert_eq!(claims.print(), CLAIMS);
    assert_eq!(claims.origin, Party::Number("12155551212".into()));
    assert_eq!(claims.destinations, [Party::Uri("sip:alice@example.com".into())]);
    assert_eq!(signing_input(&header.print(), &claims.print()), INPUT);
}

/// RFC 7515 Appendix A.3: ES256 with its signature of `r` and `s`. (The signature printed in
/// RFC 8225 Appendix A was made by neither of the keys printed there.)
#[test]
fn es256_is_that_of_json_web_signatures() {
    let x = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
    let y = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
    let input = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9\
        leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqP\
        P3-Kg6NU1Q";
    let decode = |text: &str| BASE64URL.decode(text).unwrap();
    let point = [vec![4], decode(x), decode(y)].concat();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    assert_eq!(key.verify(input.as_bytes(), &decode(signature)), Ok(()));
    assert!(key.verify(&input.as_bytes()[1..], &decode(signature)).is_err());
}

/// RFC 8588 §6, with `iat` as it must be (RFC 8225 §5.1.1).
#[test]
fn shakens_example_is_printed_in_its_order() {
    let printed = r#"{"attest":"A","dest":{"tn":["12155550131"]},"iat":1443208345,"orig":{"tn":"12155550121"},"origid":"123e4567-e89b-12d3-a456-426655440000"}"#;
    let claims = Claims::parse(printed.as_bytes()).unwrap();
    assert_eq!(claims.print(), printed);
}
