//! An encrypted server is the one its certificate names.

use gristmill_testserver::Postgres;

#[test]
fn encrypted_server_is_vouched_for_under_its_name_alone() {
    let server = Postgres::builder().encrypted().start();
    let named = server.url().replacen("127.0.0.1", "localhost", 1);
    let options = format!("sslmode=verify-full&sslrootcert={}", server.authority_file().display());
    let is_encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert_eq!(server.try_psql(&format!("{named}?{options}"), is_encrypted).unwrap(), "t");
    assert_eq!(server.try_psql(&format!("{named}?sslmode=disable"), is_encrypted).unwrap(), "f");
    let error = server.try_psql(&format!("{}?{options}", server.url()), is_encrypted).unwrap_err();
    assert!(error.to_string().contains("does not match host name"), "{error}");
}
