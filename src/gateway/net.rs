//! Sockets: SIP over datagrams and connections, RTP for the media workers, HTTP for the API.

pub mod batch;
pub mod certificate;
mod connection;
pub mod figures;
pub mod http;
pub mod places;
pub mod resolve;
pub mod rtp;
pub mod streams;
#[cfg(test)]
pub(crate) mod test_certificates;
pub mod tls;
pub mod udp;
mod web_socket;
