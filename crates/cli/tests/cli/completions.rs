use crate::program::Home;

#[test]
fn completions_know_the_commands_of_every_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let script = Home::new().ok(&["completions", shell]).stdout;
        assert!(script.contains("enqueue") && script.contains("skip-invalid"), "{shell}");
    }
}
