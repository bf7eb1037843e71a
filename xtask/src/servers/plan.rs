//! What to do where the server is missing: which command for which situation.

/// The package of the system that holds the server, and the one of the pooler before it.
const SERVER: &str = "postgresql";
const POOLER: &str = "pgbouncer";
/// Files here are read when the package is installed, pg_createcluster(1).
const SETTINGS_FOLDER: &str = "/etc/postgresql-common/createcluster.d";
const SETTINGS_FILE: &str = "gristmill-tests.conf";

/// What is known about the machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    pub(super) found: Found,
    /// The user has named the folder of the programs.
    pub(super) named: bool,
    /// The system installs packages with `apt-get`.
    pub(super) apt: bool,
    pub(super) rights: Rights,
}

/// Which programs are there and run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) server: bool,
    pub(super) pooler: bool,
}

/// What we may do to the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rights {
    Root,
    /// `sudo` asks for no password.
    Sudo,
    User,
}

/// What follows from a situation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Plan {
    /// Nothing is to be done.
    Use,
    Install(Installation),
    /// The user must install it; the text says how.
    Tell(String),
}

/// Commands that install the server, each with its arguments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Installation {
    /// One after the other, until one fails.
    pub(super) commands: Vec<Vec<String>>,
    /// Run in any case.
    pub(super) cleanup: Vec<String>,
}

/// Decides.
pub(super) fn plan(situation: Situation) -> Plan {
    let Situation { found, named, apt, rights } = situation;
    if found.server && found.pooler {
        return Plan::Use;
    }
    if named && !found.server {
        // Installing something else would not be what the user meant.
        return Plan::Tell(
            "let GRISTMILL_POSTGRES_BIN name the folder of `postgres` and `initdb`".to_owned(),
        );
    }
    if !apt {
        let how = "install the PostgreSQL server and PgBouncer with your package manager, or name the folder of the \
                   server's programs in GRISTMILL_POSTGRES_BIN";
        return Plan::Tell(how.to_owned());
    }
    let missing: Vec<&str> = [(SERVER, found.server), (POOLER, found.pooler)]
        .into_iter()
        .filter(|(_, is_there)| !is_there)
        .map(|(package, _)| package)
        .collect();
    match rights {
        Rights::Root => Plan::Install(installation(&[], &missing)),
        Rights::Sudo => Plan::Install(installation(&["sudo", "-n"], &missing)),
        Rights::User => Plan::Tell(format!("sudo apt-get install {}", missing.join(" "))),
    }
}

fn installation(prefix: &[&str], packages: &[&str]) -> Installation {
    let command = |words: &[&str]| prefix.iter().chain(words).map(|word| (*word).to_owned()).collect();
    let file = format!("{SETTINGS_FOLDER}/{SETTINGS_FILE}");
    // Tests start servers of their own; the package would otherwise create one more and start it at each
    // boot.
    let write = format!("echo create_main_cluster = false > {file}");
    // At this run level no service is started by being installed, invoke-rc.d(8).
    let install = "env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y --no-install-recommends";
    let install: Vec<&str> = install.split(' ').chain(packages.iter().copied()).collect();
    Installation {
        commands: vec![
            command(&["apt-get", "update"]),
            command(&["mkdir", "-p", SETTINGS_FOLDER]),
            command(&["sh", "-c", &write]),
            command(&install),
        ],
        cleanup: command(&["rm", "-f", &file]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Found = Found { server: false, pooler: false };
    const BARE: Situation = Situation { found: NOTHING, named: false, apt: true, rights: Rights::Root };

    fn told(situation: Situation) -> String {
        match plan(situation) {
            Plan::Tell(how) => how,
            other => panic!("{other:?}"),
        }
    }

    fn installed(situation: Situation) -> Vec<String> {
        match plan(situation) {
            Plan::Install(installation) => {
                let all = installation.commands.iter().chain([&installation.cleanup]);
                all.map(|words| words.join(" ")).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn server_that_is_there_is_used_whoever_we_are() {
        for rights in [Rights::Root, Rights::Sudo, Rights::User] {
            for named in [false, true] {
                for apt in [false, true] {
                    assert_eq!(
                        plan(Situation { found: Found { server: true, pooler: true }, named, apt, rights }),
                        Plan::Use
                    );
                }
            }
        }
    }

    #[test]
    fn root_installs_without_a_cluster_of_the_system() {
        let commands = installed(BARE);
        assert_eq!(
            commands,
            [
                "apt-get update",
                "mkdir -p /etc/postgresql-common/createcluster.d",
                "sh -c echo create_main_cluster = false > \
                 /etc/postgresql-common/createcluster.d/gristmill-tests.conf",
                "env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y --no-install-recommends postgresql \
                 pgbouncer",
                "rm -f /etc/postgresql-common/createcluster.d/gristmill-tests.conf",
            ]
        );
    }

    #[test]
    fn sudo_without_a_password_is_used_for_each_command() {
        let commands = installed(Situation { rights: Rights::Sudo, ..BARE });
        assert_eq!(commands.len(), 5);
        assert!(commands.iter().all(|command| command.starts_with("sudo -n ")), "{commands:?}");
    }

    #[test]
    fn pooler_alone_is_installed_beside_a_server_that_is_there() {
        for named in [false, true] {
            let commands =
                installed(Situation { found: Found { server: true, pooler: false }, named, ..BARE });
            assert!(commands[3].ends_with("--no-install-recommends pgbouncer"), "{commands:?}");
        }
    }

    #[test]
    fn user_without_rights_is_told_the_command() {
        assert_eq!(
            told(Situation { rights: Rights::User, ..BARE }),
            "sudo apt-get install postgresql pgbouncer"
        );
    }

    #[test]
    fn other_systems_are_told_what_is_missing() {
        assert!(told(Situation { apt: false, ..BARE }).contains("GRISTMILL_POSTGRES_BIN"));
    }

    #[test]
    fn nothing_is_installed_beside_a_folder_that_was_named() {
        assert!(told(Situation { named: true, ..BARE }).contains("GRISTMILL_POSTGRES_BIN"));
    }
}
