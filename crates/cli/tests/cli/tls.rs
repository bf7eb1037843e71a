//! Which servers the program accepts as the one that its URL names.

use std::path::Path;

use gristmill_testserver::Postgres;

use crate::program::{Home, Ran};

/// A call of the program at a host with `sslmode`, on a machine that trusts one certificate.
fn stats(server: &Postgres, host: &str, sslmode: &str, trusted: &Path) -> Ran {
    let url = server.url().replacen("127.0.0.1", host, 1);
    let home = Home::on(format!("{url}?sslmode={sslmode}"));
    let mut command = home.command(&["stats", "--json"]);
    command.env_remove("SSL_CERT_DIR").env("SSL_CERT_FILE", trusted);
    command.output().expect("the program runs").into()
}

#[test]
fn a_server_is_believed_only_where_an_authority_vouches_for_it_under_its_name() {
    let server = Postgres::builder().encrypted().start();
    Home::on(server.url()).ok(&["migrate"]);
    let authority = server.authority_file();
    let other = authority.with_file_name("server.pem");
    for sslmode in ["require", "prefer", "disable"] {
        let anyone = stats(&server, "127.0.0.1", sslmode, &other);
        assert_eq!(anyone.code, 0, "{sslmode}: {}", anyone.stderr);
    }
    for sslmode in ["verify-full", "verify-ca"] {
        let vouched = stats(&server, "localhost", sslmode, &authority);
        assert_eq!(vouched.code, 0, "{sslmode}: {}", vouched.stderr);
        for (host, trusted, why) in [
            ("localhost", &other, "UnknownIssuer"),
            ("127.0.0.1", &authority, "not valid for name \"127.0.0.1\""),
        ] {
            let refused = stats(&server, host, sslmode, trusted);
            assert_eq!(refused.code, 5, "{host}: {}", refused.stderr);
            for said in ["the server's certificate does not hold", why, "hint: ", "SSL_CERT_FILE"] {
                assert!(refused.stderr.contains(said), "{said}: {}", refused.stderr);
            }
        }
    }
}
