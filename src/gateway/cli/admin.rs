//! Keys, secrets, backup and restore.

use super::{Where, failed};
use crate::config::Config;
use crate::secrets::Secrets;
use clap::Subcommand;
use domain::id::TenantId;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use store::api_key::{CreateApiKey, RevokeApiKey};
use store::error::StoreError;
use store::ledger::StoreConfig;
use store::reader::Reader;
use store::tenant_table::{EnsureTenant, RenewWebhookSecret, SetWebhook};

/// What is done with API keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyAction {
    /// Make a key and print it, once.
    Create {
        /// What it is for, for people.
        #[arg(long)]
        name: String,
    },
    /// List the keys (never their texts).
    List,
    /// Make a key useless.
    Revoke {
        /// Its number in the list.
        id: u64,
    },
}

/// What is done with secrets.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretAction {
    /// Set one: `agent/NAME` of a telephone, `trunk/NAME` of a carrier. Read from standard input.
    Set {
        /// Its name.
        name: String,
    },
}

/// What is done with webhooks.
#[derive(Debug, Subcommand)]
pub(crate) enum WebhookAction {
    /// Print the secret that receivers check signatures with.
    Secret,
    /// Replace the secret by a new one and print it.
    Renew,
    /// Set where webhooks go that have no address of their own (callbacks); empty: nowhere.
    Url {
        /// The address.
        url: String,
    },
}

pub(super) fn webhook(place: &Where, action: WebhookAction) -> ExitCode {
    let config = match place.read() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let tenant = TenantId::default();
    let done = match action {
        WebhookAction::Secret => webhook_secret(&config, &tenant),
        WebhookAction::Renew => perform(&config, RenewWebhookSecret { tenant }),
        WebhookAction::Url { url } => {
            let to = Some(url.as_str()).filter(|url| !url.is_empty()).map(std::sync::Arc::from);
            perform(&config, SetWebhook { tenant, url: to }).map(|()| url)
        }
    };
    match done {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => failed("the ledger cannot be asked", &error),
    }
}

fn webhook_secret(config: &Config, tenant: &TenantId) -> Result<String, StoreError> {
    perform(config, EnsureTenant { tenant: tenant.clone() })?;
    let path = StoreConfig::in_folder(&config.data).ledger_path();
    let tenants = Reader::open(&path, 1)?.tenants()?;
    let found = tenants.into_iter().find(|view| view.tenant == *tenant);
    Ok(found.map(|view| view.webhook_secret).unwrap_or_default())
}

/// Does an operation on the ledger of an installation, whether its gateway runs or not.
fn perform<O: store::operation::Operation>(
    config: &Config,
    operation: O,
) -> Result<O::Receipt, StoreError> {
    store::beside::perform(&StoreConfig::in_folder(&config.data), operation)
}

pub(super) fn key(place: &Where, action: KeyAction) -> ExitCode {
    let config = match place.read() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let tenant = TenantId::default();
    match action {
        KeyAction::Create { name } => {
            match perform(&config, CreateApiKey { tenant, name: name.as_str().into() }) {
                Ok(key) => {
                    println!("{}", key.text);
                    eprintln!(
                        "key {} for {name}: shown only now. Use it as\n  \
                         Authorization: Bearer {}",
                        key.id, key.text
                    );
                    ExitCode::SUCCESS
                }
                Err(error) => failed("no key was made", &error),
            }
        }
        KeyAction::List => list_keys(&config, &tenant),
        KeyAction::Revoke { id } => match perform(&config, RevokeApiKey { tenant, id }) {
            Ok(()) => {
                println!("key {id} is revoked");
                ExitCode::SUCCESS
            }
            Err(error) => failed(&format!("key {id} was not revoked"), &error),
        },
    }
}

fn list_keys(config: &Config, tenant: &TenantId) -> ExitCode {
    let path = StoreConfig::in_folder(&config.data).ledger_path();
    let keys = Reader::open(&path, 1).and_then(|reader| reader.api_keys(tenant, 1_000));
    match keys {
        Ok(keys) => {
            let mut table = comfy_table::Table::new();
            table.set_header(["key", "for", "made", "revoked"]);
            for key in keys {
                let day = |ms: u64| {
                    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
                    jiff::Timestamp::from_millisecond(ms)
                        .map_or_else(|_| "?".into(), |at| at.strftime("%Y-%m-%d %H:%M").to_string())
                };
                table.add_row([
                    key.id.to_string(),
                    key.name.to_string(),
                    day(key.created_wall_ms),
                    key.revoked_wall_ms.map(day).unwrap_or_default(),
                ]);
            }
            println!("{table}");
            ExitCode::SUCCESS
        }
        Err(error) => failed("the keys cannot be read", &error),
    }
}

pub(super) fn secret(place: &Where, action: SecretAction) -> ExitCode {
    let config = match place.read() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let SecretAction::Set { name } = action;
    if !name.starts_with("agent/") && !name.starts_with("trunk/") {
        return failed("nothing was set", &"a secret is called agent/NAME or trunk/NAME");
    }
    eprintln!("the secret for {name}, then Enter and Ctrl-D:");
    let mut text = String::new();
    if let Err(error) = std::io::stdin().take(4_096).read_to_string(&mut text) {
        return failed("nothing was set", &error);
    }
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return failed("nothing was set", &"the secret is empty");
    }
    match Secrets::set(&config.data, &name, secret) {
        Ok(path) => {
            eprintln!("{name} is set in {}; it counts from the next start", path.display());
            ExitCode::SUCCESS
        }
        Err(error) => failed("nothing was set", &error),
    }
}

pub(super) fn backup(place: &Where, to: &Path) -> ExitCode {
    let config = match place.read() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let ledger = StoreConfig::in_folder(&config.data).ledger_path();
    match store::backup::back_up(&ledger, to) {
        Ok(()) => {
            println!("{} is a checked copy of {}", to.display(), ledger.display());
            ExitCode::SUCCESS
        }
        Err(error) => failed("no backup was made", &error),
    }
}

pub(super) fn restore(place: &Where, from: &Path) -> ExitCode {
    let config = match place.read() {
        Ok(config) => config,
        Err(code) => return code,
    };
    match store::backup::restore(from, &config.data) {
        Ok(aside) => {
            println!("{} is in place", from.display());
            if let Some(aside) = aside {
                println!("what it replaced is kept as {}", aside.display());
            }
            ExitCode::SUCCESS
        }
        Err(error) => failed("nothing was restored", &error),
    }
}
