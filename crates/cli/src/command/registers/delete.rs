//! `registers delete`: a repair, so it works on every space.

use clap::Args;
use gristmill::backend::Call;
use gristmill::{Change, Client, ClientBuilder, Committed, Expect, Register};

use super::Which;
use crate::confirm::Confirm;
use crate::failure::{Failure, Result};
use crate::output::{escape, say};
use crate::wire::RegisterShape;

/// Delete a register, unless it changes meanwhile
///
/// For repairs. It works on every space, also on those that belong to Gristmill: what a component has stored
/// there is lost, and the component goes on as if it had never been written.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gristmill registers delete x.rates eu.vat --dry-run\n  \
                        gristmill registers delete x.rates eu.vat --yes")]
pub(super) struct Delete {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    confirm: Confirm,
}

/// What stands in place of the value until the register is pruned.
const NO_VALUE: &str = r#"{"v":1}"#;

impl Delete {
    /// Whether nothing is changed.
    pub(super) const fn only_looks(&self) -> bool {
        self.confirm.dry_run
    }

    pub(super) async fn run(self, client: &Client) -> Result<()> {
        let which = &self.which;
        let register = which.find(client).await?;
        for (name, value) in RegisterShape::new(&which.space, which.key.clone(), &register).facts() {
            say(format_args!("{name:<12}  {}", escape(&value)));
        }
        if self.confirm.dry_run {
            say(format_args!("would delete {which}"));
            return Ok(());
        }
        self.confirm.ask(&format!("delete {which}?"))?;
        // By the clock of the store: a register that was forgotten long ago could be pruned at once, and a
        // repeated call would not find its own stamp.
        let now = client.ping().await?.now;
        let put = Register::new(NO_VALUE).forget_at(now);
        let key = which.key.clone().into_bytes();
        let change = Change::new(which.space.clone(), key, Expect::Stamp(register.stamp), put);
        // The client writes to spaces of users only.
        let committed = client
            .backend()
            .commit(Call::new().within(ClientBuilder::DEFAULT_CALL_DEADLINE), vec![change])
            .await;
        let committed = committed.map_err(|error| {
            let look = format!("gristmill registers show {} '{}'", which.space, which.key);
            Failure::from(error).maybe(format!("it may be deleted all the same; `{look}` shows it"))
        })?;
        verdict(which, committed.into_iter().next())?;
        say(format_args!("deleted {which}"));
        Ok(())
    }
}

/// What the result of the deletion means.
fn verdict(which: &Which, committed: Option<Committed>) -> Result<()> {
    match committed {
        Some(Committed::Done(_) | Committed::Again) => Ok(()),
        Some(Committed::Stale(Some(newer))) => {
            let changed = format!("{which} has changed meanwhile: its stamp is now {}", newer.stamp);
            Err(Failure::refused(changed).hint("it was not deleted; look at it again"))
        }
        Some(Committed::Stale(None)) => {
            Err(Failure::refused(format!("{which} has changed meanwhile: another process has deleted it")))
        }
        Some(Committed::Refused { why }) => Err(Failure::refused(why)),
        Some(Committed::Busy) => Err(Failure::refused(format!("{which} is busy")).hint("try again later")),
        None => Err(Failure::failed("the store returned no result")),
    }
}

#[cfg(test)]
mod tests {
    use gristmill::Name;

    use super::*;

    #[test]
    fn a_register_that_has_changed_meanwhile_is_not_deleted() {
        let which = Which { space: Name::new("x.rates").expect("a name"), key: "eu".parse().expect("a key") };
        let newer = Register::new(NO_VALUE);
        let stamp = newer.stamp;
        let message = |committed| verdict(&which, Some(committed)).expect_err("it is stale").to_string();
        assert_eq!(
            message(Committed::Stale(Some(newer))),
            format!("register `eu` in `x.rates` has changed meanwhile: its stamp is now {stamp}")
        );
        assert!(message(Committed::Stale(None)).ends_with("another process has deleted it"));
        assert!(verdict(&which, Some(Committed::Again)).is_ok());
    }
}
