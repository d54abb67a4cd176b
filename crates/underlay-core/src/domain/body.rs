//! Reads what is sent as its JSON Schema has it: where an object is wanted, only an object will do.
//!
//! serde takes a list for the fields of a struct, in order. A schema does not say that, and nobody who sends one means it.
//! What serde reads by way of something else, as of an untagged enum or a flattened field, is read as serde does.

use std::fmt;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};

use crate::domain::CommandError;

/// Reads the body of a command or an operation.
///
/// # Errors
/// [`CommandError::Body`] that says what does not fit, and where.
pub fn decode_body<T: DeserializeOwned>(name: &str, body: &str) -> Result<T, CommandError> {
    let mut text = serde_json::Deserializer::from_str(body);
    let read = T::deserialize(Objects(&mut text)).and_then(|read| text.end().map(|()| read));
    read.map_err(|error| CommandError::Body { name: name.to_owned(), reason: error.to_string() })
}

/// What is read, or reads, with every object in it an object.
struct Objects<T>(T);

/// What takes what is read.
struct Reader<V> {
    visitor: V,
    /// Whether a list is what it wants, and not a struct.
    takes_lists: bool,
}

/// The parts of a list, an object or an enum.
struct Parts<A>(A);

fn any<V>(visitor: V) -> Reader<V> {
    Reader { visitor, takes_lists: true }
}

macro_rules! pass_on {
    ($($method:ident($($argument:ident: $kind:ty),*))*) => {
        $(fn $method<V: Visitor<'de>>(self, $($argument: $kind,)* visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method($($argument,)* any(visitor))
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Objects<D> {
    type Error = D::Error;

    pass_on! {
        deserialize_any()
        deserialize_bool()
        deserialize_i8()
        deserialize_i16()
        deserialize_i32()
        deserialize_i64()
        deserialize_i128()
        deserialize_u8()
        deserialize_u16()
        deserialize_u32()
        deserialize_u64()
        deserialize_u128()
        deserialize_f32()
        deserialize_f64()
        deserialize_char()
        deserialize_str()
        deserialize_string()
        deserialize_bytes()
        deserialize_byte_buf()
        deserialize_option()
        deserialize_unit()
        deserialize_unit_struct(name: &'static str)
        deserialize_newtype_struct(name: &'static str)
        deserialize_seq()
        deserialize_tuple(length: usize)
        deserialize_tuple_struct(name: &'static str, length: usize)
        deserialize_map()
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
        deserialize_identifier()
        deserialize_ignored_any()
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_struct(name, fields, Reader { visitor, takes_lists: false })
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Objects<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Objects(deserializer))
    }
}

macro_rules! take {
    ($($method:ident($kind:ty))*) => {
        $(fn $method<E: serde::de::Error>(self, value: $kind) -> Result<V::Value, E> {
            self.visitor.$method(value)
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Reader<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    take! {
        visit_bool(bool)
        visit_i8(i8)
        visit_i16(i16)
        visit_i32(i32)
        visit_i64(i64)
        visit_i128(i128)
        visit_u8(u8)
        visit_u16(u16)
        visit_u32(u32)
        visit_u64(u64)
        visit_u128(u128)
        visit_f32(f32)
        visit_f64(f64)
        visit_char(char)
        visit_str(&str)
        visit_borrowed_str(&'de str)
        visit_string(String)
        visit_bytes(&[u8])
        visit_borrowed_bytes(&'de [u8])
        visit_byte_buf(Vec<u8>)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_some(Objects(deserializer))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_unit()
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_newtype_struct(Objects(deserializer))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, parts: A) -> Result<V::Value, A::Error> {
        match self.takes_lists {
            true => self.visitor.visit_seq(Parts(parts)),
            false => Err(A::Error::invalid_type(Unexpected::Seq, &"an object")),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, parts: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(Parts(parts))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, parts: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_enum(Parts(parts))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Parts<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Objects(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Parts<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(Objects(seed))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Objects(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Parts<A> {
    type Error = A::Error;
    type Variant = Parts<A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let (variant, parts) = self.0.variant_seed(Objects(seed))?;
        Ok((variant, Parts(parts)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Parts<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.0.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.0.newtype_variant_seed(Objects(seed))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.0.tuple_variant(length, any(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.struct_variant(fields, Reader { visitor, takes_lists: false })
    }
}

#[cfg(test)]
mod tests {
    use rust_decimal::Decimal;
    use serde::Deserialize;

    use super::*;
    use crate::words::Json;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Entry {
        amount: Decimal,
        #[serde(default)]
        parts: Vec<Part>,
        pair: Option<(String, u8)>,
        kind: Option<Kind>,
        raw: Option<Json>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Part {
        name: String,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    enum Kind {
        Plain,
        One(Part),
        Named { part: Part },
    }

    fn read(body: &str) -> Result<Entry, String> {
        decode_body("post", body).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_an_object_is_read_and_a_list_of_its_fields_is_not() {
        let whole = r#"{"amount":"10.50","parts":[{"name":"a"}],"pair":["b",1],"kind":{"Named":{"part":{"name":"c"}}},"raw":{"x":[1.50]}}"#;
        let entry = read(whole).unwrap();
        assert_eq!(entry.pair, Some(("b".to_owned(), 1)));
        assert_eq!(entry.kind, Some(Kind::Named { part: Part { name: "c".to_owned() } }));
        assert_eq!(entry.raw.unwrap().as_str(), r#"{"x":[1.50]}"#);
        assert_eq!(read(r#"{"amount":"1","kind":"Plain"}"#).unwrap().kind, Some(Kind::Plain));
        assert!(read(r#"{"amount":"1","kind":{"One":{"name":"a"}}}"#).is_ok());
        for list in [
            r#"["10"]"#,
            r#"["10",[],null,null,null]"#,
            r#"{"amount":"1","parts":[["a"]]}"#,
            r#"{"amount":"1","kind":{"One":["a"]}}"#,
            r#"{"amount":"1","kind":{"Named":[{"name":"a"}]}}"#,
            r#"{"amount":"1","kind":{"Named":{"part":["a"]}}}"#,
        ] {
            let wrong = read(list).unwrap_err();
            assert!(wrong.contains("expected an object"), "{list}: {wrong}");
        }
    }

    #[test]
    fn what_follows_a_body_and_what_is_missing_are_errors_as_before() {
        assert!(read(r#"{"amount":"1"} x"#).unwrap_err().contains("trailing"));
        assert!(read("{}").unwrap_err().contains("missing field `amount`"));
        assert!(read("").unwrap_err().contains("EOF"));
    }
}
