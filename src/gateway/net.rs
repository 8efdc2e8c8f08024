//! Sockets: SIP over datagrams and streams, RTP for the media workers.

pub mod rtp;
pub mod tcp;
pub mod udp;
