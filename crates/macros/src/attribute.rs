//! Reads and checks `#[job(…)]`. The rules of names, durations and priorities are core's.

use gristmill_core::{Name, Priority, did_you_mean, parse_duration};
use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{DeriveInput, Error, Expr, LitInt, LitStr, Path, Type};

/// Every option, in the order in which messages name them.
const OPTIONS: [&str; 9] =
    ["kind", "queue", "max_attempts", "timeout", "priority", "output", "retry", "retention", "crate"];

const MISSING_KIND: &str = "missing `#[job(kind = \"...\")]`: the kind is stored with every job and must stay stable \
     when the type is renamed or moved, so it is never derived from the type's name";

/// What the attribute says, checked.
pub(crate) struct Attribute {
    pub(crate) kind: LitStr,
    pub(crate) output: Type,
    /// The crate that has `Job` and `JobOptions`.
    pub(crate) found_in: Path,
    /// Calls of the methods of `JobOptions`.
    pub(crate) options: Vec<TokenStream>,
}

#[derive(Default)]
struct Reader {
    seen: Vec<String>,
    kind: Option<LitStr>,
    output: Option<Type>,
    found_in: Option<Path>,
    options: Vec<TokenStream>,
}

impl Attribute {
    /// Reads the attributes of a type; all faults are reported at once.
    pub(crate) fn parse(input: &DeriveInput) -> syn::Result<Self> {
        let mut reader = Reader::default();
        let mut faults: Option<Error> = None;
        let mut report = |fault: Error| match &mut faults {
            Some(faults) => faults.combine(fault),
            None => faults = Some(fault),
        };
        for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("job")) {
            // A faulty value is reported and reading goes on; a broken syntax ends it.
            let read = attribute.parse_nested_meta(|option| reader.option(&option, &mut report));
            read.unwrap_or_else(&mut report);
        }
        if !reader.seen.iter().any(|name| name == "kind") {
            report(Error::new(input.ident.span(), MISSING_KIND));
        }
        match (reader.kind, faults) {
            (Some(kind), None) => Ok(Self {
                kind,
                output: reader.output.unwrap_or_else(|| syn::parse_quote!(())),
                found_in: reader.found_in.unwrap_or_else(|| syn::parse_quote!(::gristmill)),
                options: reader.options,
            }),
            (_, Some(faults)) => Err(faults),
            (None, None) => Err(Error::new(input.ident.span(), MISSING_KIND)),
        }
    }
}

impl Reader {
    fn option(&mut self, option: &ParseNestedMeta<'_>, report: &mut impl FnMut(Error)) -> syn::Result<()> {
        let name = option.path.get_ident().map(ToString::to_string).unwrap_or_default();
        if !OPTIONS.contains(&name.as_str()) {
            return Err(unknown(option, &name));
        }
        if self.seen.contains(&name) {
            report(option.error(format!("`{name}` is given twice")));
        }
        self.seen.push(name.clone());
        let value = option.value()?;
        let checked = match name.as_str() {
            "kind" => checked_name(value.parse()?).map(|kind| self.kind = Some(kind)),
            "queue" => checked_name(value.parse()?).map(|queue| self.options.push(quote!(.queue(#queue)))),
            "max_attempts" => max_attempts(&value.parse()?).map(|call| self.options.push(call)),
            "timeout" => timeout(&value.parse()?).map(|call| self.options.push(call)),
            "priority" => priority(&value.parse()?).map(|call| self.options.push(call)),
            "output" => value.parse().map(|output| self.output = Some(output)),
            "retry" => value.parse::<Expr>().map(|policy| self.options.push(quote!(.retry(#policy)))),
            "retention" => value.parse::<Expr>().map(|kept| self.options.push(quote!(.retention(#kept)))),
            _ => value.parse::<LitStr>()?.parse().map(|path| self.found_in = Some(path)),
        };
        checked.unwrap_or_else(report);
        Ok(())
    }
}

fn unknown(option: &ParseNestedMeta<'_>, name: &str) -> Error {
    let meant =
        did_you_mean(name, OPTIONS).map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
    let known = OPTIONS.join(", ");
    Error::new(option.path.span(), format!("unknown job option `{name}`{meant}; the options are {known}"))
}

fn checked_name(name: LitStr) -> syn::Result<LitStr> {
    match Name::new(name.value()) {
        Ok(_) => Ok(name),
        Err(fault) => Err(Error::new(name.span(), fault)),
    }
}

fn max_attempts(number: &LitInt) -> syn::Result<TokenStream> {
    match number.base10_parse::<u16>() {
        Ok(0) => Err(Error::new(number.span(), "max_attempts is 0; the smallest is 1, the first run")),
        Ok(attempts) => Ok(quote!(.max_attempts(#attempts))),
        Err(_) => Err(Error::new(number.span(), "max_attempts is a number from 1 to 65535")),
    }
}

fn timeout(text: &LitStr) -> syn::Result<TokenStream> {
    let timeout = parse_duration(&text.value()).map_err(|fault| Error::new(text.span(), fault))?;
    if timeout.is_zero() {
        return Err(Error::new(text.span(), "timeout is 0; the smallest is \"1ms\""));
    }
    let millis = u64::try_from(timeout.as_millis()).map_err(|fault| Error::new(Span::call_site(), fault))?;
    Ok(quote!(.timeout(::core::time::Duration::from_millis(#millis))))
}

fn priority(number: &LitInt) -> syn::Result<TokenStream> {
    let fault = |fault: &dyn std::fmt::Display| Error::new(number.span(), fault);
    let value = number.base10_parse::<i64>().map_err(|error| fault(&error))?;
    Priority::new(value).map_err(|error| fault(&error))?;
    Ok(quote!(.priority(#value)))
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    fn faults(input: &DeriveInput) -> Vec<String> {
        let error = Attribute::parse(input).err().expect("it is not valid");
        error.into_iter().map(|fault| fault.to_string()).collect()
    }

    #[test]
    fn every_option_is_read() {
        let input: DeriveInput = parse_quote! {
            #[job(kind = "a.b", queue = "mail", max_attempts = 3, timeout = "1m30s", priority = -10, output = Vec<u8>)]
            #[job(retry = policy(1), retention = Retention::all(DAY), crate = "a::b")]
            struct J;
        };
        let Attribute { kind, output, found_in, options } = Attribute::parse(&input).expect("it is valid");
        assert_eq!(kind.value(), "a.b");
        assert_eq!(quote!(#output #found_in).to_string(), quote!(Vec<u8> a::b).to_string());
        let expected = quote!(
            .queue("mail").max_attempts(3u16).timeout(::core::time::Duration::from_millis(90000u64))
            .priority(-10i64).retry(policy(1)).retention(Retention::all(DAY))
        );
        assert_eq!(quote!(#(#options)*).to_string(), expected.to_string());
    }

    #[test]
    fn every_fault_is_reported_at_once() {
        let input: DeriveInput = parse_quote! {
            #[job(kind = "a b", queue = "", max_attempts = 0, timeout = "0s", priority = 11)]
            struct J;
        };
        let said = faults(&input);
        for (fault, part) in
            said.iter().zip(["`a b`", "it is empty", "smallest is 1", "\"1ms\"", "out of range"])
        {
            assert!(fault.contains(part), "{part} is missing in {fault}");
        }
        assert_eq!(said.len(), 5, "{said:?}");
    }

    #[test]
    fn unknown_and_doubled_options_and_a_missing_kind_are_refused() {
        let cases: [(DeriveInput, &str); 5] = [
            (
                parse_quote!(
                    #[job(kind = "k", queu = "q")]
                    struct J;
                ),
                "did you mean `queue`",
            ),
            (
                parse_quote!(
                    #[job(kind = "k", colour = 1)]
                    struct J;
                ),
                "the options are kind, queue",
            ),
            (
                parse_quote!(
                    #[job(kind = "k", kind = "l")]
                    struct J;
                ),
                "`kind` is given twice",
            ),
            (
                parse_quote!(
                    #[job(kind = "k", max_attempts = 70_000)]
                    struct J;
                ),
                "from 1 to 65535",
            ),
            (
                parse_quote!(
                    struct J;
                ),
                "missing `#[job(kind",
            ),
        ];
        for (input, part) in cases {
            let said = faults(&input);
            assert!(said.iter().any(|fault| fault.contains(part)), "{part} is missing in {said:?}");
        }
    }
}
