//! Sockets: SIP over datagrams and streams, RTP for the media workers, HTTP for the API.

pub mod http;
pub mod rtp;
pub mod tcp;
pub mod udp;
