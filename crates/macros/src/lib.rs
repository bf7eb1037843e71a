//! `#[derive(Job)]` for Gristmill. Users reach it as `gristmill::Job`.

mod attribute;
mod expand;

use proc_macro::TokenStream;

/// Makes a type a job: the data contract that producers and workers share.
///
/// ```text
/// #[derive(Serialize, Deserialize, Job)]
/// #[job(kind = "email.welcome", queue = "mail", max_attempts = 8, timeout = "30s", output = String)]
/// struct Welcome { user_id: i64 }
/// ```
///
/// | option | value | default |
/// |---|---|---|
/// | `kind` | the stable name that selects the handler: 1 to 64 of `A-Z a-z 0-9 . _ : / -` | none, it must be given |
/// | `queue` | a name under the same rule | `"default"` |
/// | `max_attempts` | 1 to 65535, the first run included | 20 |
/// | `timeout` | how long one attempt may take: `"500ms"`, `"30s"`, `"5m"`, `"2h"`, `"1d"` | the worker's |
/// | `priority` | −10 (first) to 10 (last) | 0 |
/// | `output` | the type a completed job returns | `()` |
/// | `retry` | an expression that yields a `RetryPolicy` | 1 s, 2 s, 4 s … at most 6 h, ± 10 % |
/// | `retention` | an expression that yields a `Retention` | completed 24 h, cancelled 7 d, discarded 30 d |
/// | `crate` | where `Job` and `JobOptions` are found, as a path in quotes | `"::gristmill"` |
///
/// Everything that can be checked is checked when the program is compiled.
#[proc_macro_derive(Job, attributes(job))]
pub fn derive_job(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    expand::job(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}
