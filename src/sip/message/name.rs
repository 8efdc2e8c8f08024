//! Header names (RFC 3261 §20): the known ones as one byte, found by length, with compact forms.

/// Makes the enum, the table of texts and the reverse table out of one list, so that they cannot
/// disagree. The list is sorted by length: the lookup compares only names as long as the text.
macro_rules! names {
    ($($variant:ident $text:literal)*) => {
        /// A header name. Unknown names are [`Name::Other`] with their text kept in `Headers`.
        #[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
        #[allow(missing_docs)] // Each is the header of that name.
        pub enum Name { $($variant,)* Other }

        const TABLE: &[(Name, &str)] = &[$((Name::$variant, $text),)*];

        impl Name {
            /// The full name as usually spelt; empty for [`Name::Other`].
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other => "",
                }
            }
        }
    };
}

names! {
    To "To" Via "Via"
    From "From" CSeq "CSeq" Path "Path" RAck "RAck" RSeq "RSeq" Date "Date"
    Allow "Allow" Route "Route" Event "Event"
    Accept "Accept" Reason "Reason" Server "Server" MinSe "Min-SE"
    CallId "Call-ID" Contact "Contact" Expires "Expires" Require "Require" Subject "Subject"
    Warning "Warning" Privacy "Privacy"
    Priority "Priority" ReferTo "Refer-To" Replaces "Replaces" ReplyTo "Reply-To"
    Identity "Identity"
    ReferSub "Refer-Sub" Supported "Supported" Timestamp "Timestamp" CallInfo "Call-Info" Diversion "Diversion"
    UserAgent "User-Agent" AlertInfo "Alert-Info" ErrorInfo "Error-Info"
    RetryAfter "Retry-After" Unsupported "Unsupported" MinExpires "Min-Expires"
    ReferredBy "Referred-By" InReplyTo "In-Reply-To"
    MaxForwards "Max-Forwards" RecordRoute "Record-Route" ContentType "Content-Type"
    AllowEvents "Allow-Events" MimeVersion "MIME-Version" Organization "Organization"
    HistoryInfo "History-Info" UserToUser "User-to-User"
    Authorization "Authorization" ProxyRequire "Proxy-Require" ServiceRoute "Service-Route"
    IdentityInfo "Identity-Info"
    ContentLength "Content-Length" AcceptContact "Accept-Contact" RejectContact "Reject-Contact"
    SessionExpires "Session-Expires" AcceptEncoding "Accept-Encoding"
    AcceptLanguage "Accept-Language" RemotePartyId "Remote-Party-ID"
    WwwAuthenticate "WWW-Authenticate" ContentEncoding "Content-Encoding"
    ContentLanguage "Content-Language" PAssociatedUri "P-Associated-URI"
    ProxyAuthenticate "Proxy-Authenticate" SubscriptionState "Subscription-State"
    ProxyAuthorization "Proxy-Authorization" ContentDisposition "Content-Disposition"
    AuthenticationInfo "Authentication-Info" PAssertedIdentity "P-Asserted-Identity"
    RequestDisposition "Request-Disposition"
    PPreferredIdentity "P-Preferred-Identity"
}

const LENGTH_MAX: usize = 20;

/// `STARTS[n]` is the first row of `TABLE` whose text has at least `n` characters.
const STARTS: [u8; LENGTH_MAX + 2] = {
    let mut starts = [0; LENGTH_MAX + 2];
    let mut length = 0;
    while length < starts.len() {
        let mut row = 0;
        while row < TABLE.len() && TABLE[row].1.len() < length {
            row += 1;
        }
        assert!(row < 256);
        starts[length] = row as u8;
        length += 1;
    }
    starts
};

impl Name {
    /// Finds the name a text stands for, full or compact, in any case; [`Name::Other`] when
    /// unknown (RFC 3261 §7.3.1, §7.3.3).
    pub fn parse(text: &str) -> Self {
        match text.as_bytes() {
            [letter] => Self::of_compact(letter.to_ascii_lowercase()),
            bytes if bytes.len() <= LENGTH_MAX => {
                let rows = usize::from(STARTS[bytes.len()])..usize::from(STARTS[bytes.len() + 1]);
                let first = bytes.first().map(|byte| byte | 0x20);
                // Most senders spell names as we do; the first letter tells most others apart.
                let found = TABLE[rows].iter().find(|(_, full)| {
                    full.as_bytes().first().map(|byte| byte | 0x20) == first
                        && (*full == text || full.eq_ignore_ascii_case(text))
                });
                found.map_or(Self::Other, |(name, _)| *name)
            }
            _ => Self::Other,
        }
    }

    /// The IANA registry of compact forms (RFC 3261 §7.3.3 and the RFC of each extension).
    fn of_compact(letter: u8) -> Self {
        match letter {
            b'a' => Self::AcceptContact,
            b'b' => Self::ReferredBy,
            b'c' => Self::ContentType,
            b'd' => Self::RequestDisposition,
            b'e' => Self::ContentEncoding,
            b'f' => Self::From,
            b'i' => Self::CallId,
            b'j' => Self::RejectContact,
            b'k' => Self::Supported,
            b'l' => Self::ContentLength,
            b'm' => Self::Contact,
            b'n' => Self::IdentityInfo,
            b'o' => Self::Event,
            b'r' => Self::ReferTo,
            b's' => Self::Subject,
            b't' => Self::To,
            b'u' => Self::AllowEvents,
            b'v' => Self::Via,
            b'x' => Self::SessionExpires,
            b'y' => Self::Identity,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case_and_the_table_is_sorted() {
        for (name, text) in TABLE {
            assert_eq!(Name::parse(text), *name);
            assert_eq!(Name::parse(&text.to_uppercase()), *name);
            assert_eq!(name.as_str(), *text);
        }
        assert!(TABLE.windows(2).all(|pair| pair[0].1.len() <= pair[1].1.len()));
        assert_eq!(TABLE.iter().map(|(_, text)| text.len()).max(), Some(LENGTH_MAX));
    }

    #[test]
    fn compact_forms_and_unknown_names() {
        assert_eq!(Name::parse("v"), Name::Via);
        assert_eq!(Name::parse("L"), Name::ContentLength);
        for unknown in ["z", "X", "", "Vias", "X-Far-Longer-Than-Any-Known-Name"] {
            let expected = if unknown == "X" { Name::SessionExpires } else { Name::Other };
            assert_eq!(Name::parse(unknown), expected);
        }
    }
}
