//! The HTTP interface: resources under `/v1`, live events, health and figures.
//!
//! ```text
//! request ─► router ─► auth (key → tenant, rate) ─► resource ─┬─► exchange   orders, answered after they are on disk
//!                                                            ├─► store      what is created, in one transaction with its reply
//!                                                            └─► views      what is going on now
//! Action::Publish ─► ApiState::publish ─► views, metrics, feed ─► events (websocket)
//! ```
//!
//! Invariants: every row and every view is reached with the key's tenant; every refusal is a
//! problem document; every body, list and stream is bounded. Only this crate and `store` have wire
//! formats. Takes no decision about calls: it orders and shows.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod exchange;
pub mod feed;
pub mod health;
pub mod metrics;
pub mod problem;
pub mod rate_limit;
pub mod router;
pub mod state;
pub mod views;

mod agents;
mod auth;
mod bans;
mod body;
mod callbacks;
mod calls;
mod campaign_form;
mod campaigns;
mod contact_rows;
mod contacts;
mod do_not_call;
mod event_json;
mod events;
mod idempotency;
mod nearest;
mod openapi;
mod params;
mod queues;
mod results;
mod time;
mod trunks;
mod would_route;

#[cfg(test)]
mod tests;
