use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::meta::ParseNestedMeta;
use syn::parse::Parser;
use syn::{LitStr, Path, parse_quote};

/// The crate that generated code reaches everything through: `underlay-core`, by some path.
pub(crate) struct Root(Path);

impl Default for Root {
    fn default() -> Self {
        Self(parse_quote!(::underlay::core))
    }
}

impl ToTokens for Root {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.0.to_tokens(tokens);
    }
}

impl Root {
    /// Reads the arguments of an attribute that takes no other than `crate = path`.
    pub(crate) fn parse(&mut self, arguments: TokenStream) -> syn::Result<()> {
        let parser = syn::meta::parser(|meta| {
            if self.set(&meta)? { Ok(()) } else { Err(meta.error("only `crate = path` can stand here")) }
        });
        parser.parse2(arguments)
    }

    /// Takes `crate = path`; false where the argument is another one.
    pub(crate) fn set(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<bool> {
        let ours = meta.path.is_ident("crate");
        if ours {
            self.0 = meta.value()?.call(Path::parse_mod_style)?;
        }
        Ok(ours)
    }

    /// The path of something that generated code needs, as the text serde and schemars take.
    pub(crate) fn private(&self, name: &str) -> LitStr {
        let name = syn::Ident::new(name, proc_macro2::Span::call_site());
        let path = quote!(#self::private::#name).to_string().replace(' ', "");
        LitStr::new(&path, proc_macro2::Span::call_site())
    }
}
