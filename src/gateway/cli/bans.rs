//! `trunkline bans` and `trunkline unban`: who is left unread, and how he is read again.

use super::at_work::AtWork;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use reqwest::Method;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::process::ExitCode;

pub(super) fn list(gateway: &AtWork, json: bool) -> ExitCode {
    match gateway.ask(Method::GET, "/bans") {
        Ok(bans) => {
            match json {
                true => println!("{bans}"),
                false => print!("{}", as_text(&bans)),
            }
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

pub(super) fn unban(gateway: &AtWork, address: IpAddr, json: bool) -> ExitCode {
    match gateway.ask(Method::DELETE, &format!("/bans/{address}")) {
        Ok(_) => {
            match json {
                true => println!("{}", json!({ "unbanned": address.to_string() })),
                false => println!("{address} is read again"),
            }
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

fn as_text(bans: &Value) -> String {
    let items = bans["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    if items.is_empty() {
        return "nobody is banned\n".to_owned();
    }
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(["source", "left", "unread"]);
    for ban in items {
        let left_s = ban["left_s"].as_u64().unwrap_or(0);
        table.add_row([
            source(ban["source"].as_str().unwrap_or("")),
            format!("{}:{:02} min", left_s / 60, left_s % 60),
            ban["dropped"].as_u64().unwrap_or(0).to_string(),
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// With IPv6 it is a network.
fn source(text: &str) -> String {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(_)) => format!("{text}/64"),
        Ok(IpAddr::V4(_)) | Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bans_are_a_table_or_a_sentence() {
        assert_eq!(as_text(&json!({ "items": [] })), "nobody is banned\n");
        let bans = json!({ "items": [
            { "source": "198.51.100.7", "left_s": 601, "dropped": 12 },
            { "source": "2001:db8::", "left_s": 59, "dropped": 0 },
        ]});
        let text = as_text(&bans);
        let lines: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["source", "left", "unread"]);
        assert_eq!(lines[1], ["198.51.100.7", "10:01", "min", "12"]);
        assert_eq!(lines[2], ["2001:db8::/64", "0:59", "min", "0"]);
    }
}
