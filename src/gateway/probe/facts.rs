//! What one response says of its sender, as far as a trial of a trunk wants to know it.

use domain::media_plan::Direction;
use sip::message::Response;
use sip::message::method::Method;
use sip::message::name::Name;
use sip::sdp::Session;

/// What a response says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Facts {
    /// The status.
    pub status: u16,
    /// Its reason phrase.
    pub reason: String,
    /// `Allow`; `None` when there is none.
    pub allow: Option<Vec<String>>,
    /// `Supported`.
    pub supported: Vec<String>,
    /// Whether it must be acknowledged by PRACK (RFC 3262 §3): `Require: 100rel` and `RSeq`.
    pub reliable: bool,
    /// `Session-Expires` as it stands.
    pub session_expires: Option<String>,
    /// Who sends, as the audio line of its description says it; `None` without one.
    pub direction: Option<Direction>,
    /// Who made it: `Server`.
    pub server: Option<String>,
}

impl Facts {
    /// Reads a response.
    pub fn of(response: &Response) -> Self {
        let headers = &response.headers;
        let list = |name| headers.list(name).map(str::to_owned).collect::<Vec<_>>();
        let requires = headers.require().any(|option| option.eq_ignore_ascii_case("100rel"));
        let session = Session::parse(&response.body).ok();
        let audio = session.as_ref().and_then(|session| {
            let media = session.media.iter().find(|it| it.kind == "audio" && it.port != 0)?;
            Some(session.direction_of(media))
        });
        Self {
            status: response.status,
            reason: response.reason.clone(),
            allow: headers.has(Name::Allow).then(|| list(Name::Allow)),
            supported: list(Name::Supported),
            reliable: requires && headers.has(Name::RSeq),
            session_expires: headers.get(Name::SessionExpires).map(str::to_owned),
            direction: audio,
            server: headers.get(Name::Server).map(str::to_owned),
        }
    }

    /// Whether `Allow` names a method; `None` without `Allow`.
    pub fn allows(&self, method: &Method) -> Option<bool> {
        let allow = self.allow.as_ref()?;
        Some(allow.iter().any(|found| found == method.as_str()))
    }

    /// Whether `Supported` names an option.
    pub fn supports(&self, option: &str) -> bool {
        self.supported.iter().any(|found| found.eq_ignore_ascii_case(option))
    }

    /// Status and reason in words.
    pub fn words(&self) -> String {
        format!("{} {}", self.status, self.reason).trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip::message::{Message, parse};

    #[test]
    fn a_response_says_what_its_sender_can() {
        let text = "SIP/2.0 183 Session Progress\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
                    From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\
                    Allow: INVITE, PRACK\r\nSupported: timer\r\nRequire: 100rel\r\nRSeq: 7\r\n\
                    Session-Expires: 1800;refresher=uac\r\nServer: other/1\r\n\
                    Content-Type: application/sdp\r\n\r\nv=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n\
                    c=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=recvonly\r\n";
        let Ok(Message::Response(response)) = parse(text.into()) else {
            panic!("it is a response")
        };
        let facts = Facts::of(&response);
        let expected = Facts {
            status: 183,
            reason: "Session Progress".into(),
            allow: Some(vec!["INVITE".into(), "PRACK".into()]),
            supported: vec!["timer".into()],
            reliable: true,
            session_expires: Some("1800;refresher=uac".into()),
            direction: Some(Direction::RecvOnly),
            server: Some("other/1".into()),
        };
        assert_eq!(facts, expected);
        assert_eq!(facts.allows(&Method::Prack), Some(true));
        assert_eq!(facts.allows(&Method::Update), Some(false));
        assert_eq!(Facts::default().allows(&Method::Update), None);
        assert!(facts.supports("TIMER") && !facts.supports("replaces"));
    }
}
