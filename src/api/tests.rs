//! The API as a client sees it: a real ledger in a folder that goes away, a fake exchange, and
//! requests that never touch a socket (the websocket excepted).

mod campaigns;
mod description;
mod kit;
mod refusals;
mod resources;
mod tenants;
mod websocket;
