//! The certificate of servers with TLS, the same for all: for the name `localhost` and no other, valid until
//! 2120.
//!
//! Made by `certificates/make.sh`, so that no test needs `openssl`. The key is no secret: no machine trusts
//! the authority.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::account::Account;
use crate::error::ServerError;

const AUTHORITY: &str = include_str!("../../certificates/authority.pem");
const CERTIFICATE: &str = include_str!("../../certificates/server.pem");
const KEY: &str = include_str!("../../certificates/server.key");

/// Puts the files into a server's folder; the settings that name them.
pub(super) fn install(account: Account, folder: &Path) -> Result<Vec<(String, String)>, ServerError> {
    let [certificate, key] = ["server.pem", "server.key"].map(|name| folder.join(name));
    for (path, text) in [(&authority(folder), AUTHORITY), (&certificate, CERTIFICATE)] {
        fs::write(path, text).map_err(|error| ServerError::at("write", path, error))?;
    }
    // The server takes no key that others could read.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&key);
    let written = file.and_then(|mut file| file.write_all(KEY.as_bytes()));
    written.map_err(|error| ServerError::at("write", &key, error))?;
    account.own(&key)?;
    let shown = |path: PathBuf| path.display().to_string();
    let settings =
        [("ssl", "on".to_owned()), ("ssl_cert_file", shown(certificate)), ("ssl_key_file", shown(key))];
    Ok(settings.map(|(name, value)| (name.to_owned(), value)).into())
}

/// Where the certificate of the authority lies.
pub(super) fn authority(folder: &Path) -> PathBuf {
    folder.join("authority.pem")
}
