//! Secrets stand in a file of their own in the data folder, readable by its owner only, never in
//! the configuration: `trunkline secret set agent/anna`.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use toml_edit::DocumentMut;

/// The file's name in the data folder.
const FILE: &str = "secrets.toml";

/// Named secrets: `agent/NAME` of a telephone's digest, `trunk/NAME` of a carrier's.
#[derive(Clone, Default)]
pub struct Secrets {
    secrets: BTreeMap<String, String>,
}

impl fmt::Debug for Secrets {
    /// Names only: what is printed ends up in logs.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.secrets.keys()).finish()
    }
}

impl Secrets {
    /// Reads the file of a data folder; none is no secret.
    ///
    /// # Errors
    /// When the file is there and cannot be read, or is no list of `name = "secret"`.
    pub fn read(data: &Path) -> io::Result<Self> {
        let path = data.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let wrong = |why: String| io::Error::other(format!("{}: {why}", path.display()));
        // The parser's own words would show the line, and with it the secret.
        let document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
            let before = &text.as_bytes()[..error.span().map_or(0, |span| span.start)];
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            wrong(format!("line {line} is not of the form `\"agent/NAME\" = \"secret\"`"))
        })?;
        let mut secrets = BTreeMap::new();
        for (name, item) in document.iter() {
            let secret = item.as_str().ok_or_else(|| wrong(format!("`{name}` is no text")))?;
            secrets.insert(name.to_owned(), secret.to_owned());
        }
        Ok(Self { secrets })
    }

    /// Made-up secrets, for the demo and tests.
    pub fn of(secrets: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { secrets: secrets.into_iter().collect() }
    }

    /// The secret called `name`.
    pub fn named(&self, name: &str) -> Option<&str> {
        self.secrets.get(name).map(String::as_str)
    }

    /// Sets or replaces one and writes the file anew, whole or not at all.
    ///
    /// # Errors
    /// Those of [`Secrets::read`], and when the folder cannot be written.
    pub fn set(data: &Path, name: &str, secret: &str) -> io::Result<PathBuf> {
        fs::create_dir_all(data)?;
        let mut all = Self::read(data)?;
        all.secrets.insert(name.to_owned(), secret.to_owned());
        let mut document = DocumentMut::new();
        for (name, secret) in &all.secrets {
            document[name] = toml_edit::value(secret.as_str());
        }
        let path = data.join(FILE);
        let fresh = data.join(format!("{FILE}.new"));
        // One left by a start that failed might be readable by others.
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => (),
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(document.to_string().as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn secrets_are_kept_for_their_owner_only() {
        let folder = std::env::temp_dir().join(format!("trunkline-secrets-{}", std::process::id()));
        let path = Secrets::set(&folder, "agent/anna", "a \"quoted\" one").unwrap();
        Secrets::set(&folder, "trunk/carrier", "other").unwrap();
        let secrets = Secrets::read(&folder).unwrap();
        assert_eq!(secrets.named("agent/anna"), Some("a \"quoted\" one"));
        assert_eq!(secrets.named("trunk/carrier"), Some("other"));
        assert_eq!(secrets.named("agent/ben"), None);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_without_its_secrets() {
        let folder = std::env::temp_dir().join(format!("trunkline-unread-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let text = "\"agent/anna\" = \"first\"\n\"agent/ben\" = \"hushed\n";
        fs::write(folder.join(FILE), text).unwrap();
        let told = Secrets::read(&folder).unwrap_err().to_string();
        fs::remove_dir_all(&folder).unwrap();
        assert!(told.contains("secrets.toml: line 2 is not"), "{told}");
        assert!(!told.contains("hushed"), "{told}");
        let secrets = Secrets::of([("agent/anna".to_owned(), "hushed".to_owned())]);
        assert_eq!(format!("{secrets:?}"), r#"{"agent/anna"}"#);
    }
}
