//! From the checked attribute to the implementation.

use proc_macro2::TokenStream;
use quote::quote;
use syn::DeriveInput;

use crate::attribute::Attribute;

/// The implementation of `Job`.
pub(crate) fn job(input: &DeriveInput) -> syn::Result<TokenStream> {
    let Attribute { kind, output, found_in, options } = Attribute::parse(input)?;
    let name = &input.ident;
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #generics #found_in::Job for #name #arguments #bounds {
            const KIND: &'static str = #kind;
            type Output = #output;

            fn options() -> #found_in::JobOptions {
                #found_in::JobOptions::new() #(#options)*
            }
        }
    })
}
