//! The clients that are killed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use gristmill_outbox_kill::Settings;

use crate::account::Account;

/// Some clients, each replaced by another one when it is killed.
pub(crate) struct Crowd {
    url: String,
    folder: PathBuf,
    lanes: u32,
    pause: Duration,
    started: u32,
    clients: Vec<Client>,
    /// How many were killed.
    pub(crate) kills: u32,
}

struct Client {
    child: Child,
    journal: PathBuf,
}

impl Crowd {
    /// Starts the clients.
    pub(crate) fn start(url: &str, folder: &Path, clients: usize, lanes: u32, pause: Duration) -> Self {
        let (url, folder) = (url.to_owned(), folder.to_owned());
        let mut crowd = Self { url, folder, lanes, pause, started: 0, clients: Vec::new(), kills: 0 };
        for _ in 0..clients {
            let client = crowd.client(None);
            crowd.clients.push(client);
        }
        crowd
    }

    /// Kills one that has come to begin, and puts another one in its place, which takes over what it left.
    pub(crate) fn kill_one(&mut self, account: &mut Account) {
        let place = fastrand::usize(..self.clients.len());
        let client = &mut self.clients[place];
        assert_eq!(client.child.try_wait().expect("it is ours"), None, "a client has ended by itself");
        if client.journal.metadata().map_or(0, |about| about.len()) == 0 {
            return;
        }
        client.end();
        account.read(&client.journal);
        self.kills += 1;
        let before = client.journal.clone();
        self.clients[place] = self.client(Some(before));
    }

    /// Lets all come to the end of their transactions.
    pub(crate) fn finish(&mut self, account: &mut Account) {
        for client in &mut self.clients {
            drop(client.child.stdin.take());
        }
        for mut client in self.clients.drain(..) {
            assert!(client.child.wait().expect("it is ours").success(), "a client ends in order");
            account.read(&client.journal);
        }
    }

    fn client(&mut self, before: Option<PathBuf>) -> Client {
        self.started += 1;
        let journal = self.folder.join(format!("journal-{}", self.started));
        let settings = Settings {
            url: self.url.clone(),
            journal: journal.clone(),
            before,
            incarnation: self.started,
            lanes: self.lanes,
            pause: self.pause,
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_gristmill-outbox-kill"));
        command.args(settings.to_arguments()).stdin(Stdio::piped());
        Client { child: command.spawn().expect("a client starts"), journal }
    }
}

impl Client {
    /// SIGKILL.
    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.end();
    }
}
