use std::fmt;
use std::marker::PhantomData;

use crate::domain::{Comparison, Condition};
use crate::words::{ColumnValue, Value};

/// A [`Condition`] on entities of one type.
pub struct Specification<E> {
    condition: Condition,
    of: PhantomData<fn() -> E>,
}

impl<E> Specification<E> {
    /// What every entity meets.
    #[must_use]
    pub fn all() -> Self {
        Self::of(Condition::default())
    }

    fn of(condition: Condition) -> Self {
        Self { condition, of: PhantomData }
    }

    /// Both are met.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::of(self.condition.and(other.condition))
    }

    /// One of the two is met.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self::of(self.condition.or(other.condition))
    }

    /// It is not met.
    #[must_use]
    #[expect(
        clippy::should_implement_trait,
        reason = "it stands in a row with `and` and `or`, which are no operators"
    )]
    pub fn not(self) -> Self {
        Self::of(self.condition.negated())
    }

    /// The condition.
    #[must_use]
    pub fn condition(&self) -> &Condition {
        &self.condition
    }

    /// The condition.
    #[must_use]
    pub fn into_condition(self) -> Condition {
        self.condition
    }
}

impl<E> Clone for Specification<E> {
    fn clone(&self) -> Self {
        Self::of(self.condition.clone())
    }
}

impl<E> fmt::Debug for Specification<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Specification").field(&self.condition).finish()
    }
}

/// A column of an entity, with the type of its values. `#[underlay::entity]` writes one for each field; of a field
/// that can be empty `V` is the type of what is there.
pub struct EntityColumn<E, V> {
    name: &'static str,
    of: PhantomData<fn() -> (E, V)>,
}

impl<E, V> Clone for EntityColumn<E, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E, V> Copy for EntityColumn<E, V> {}

impl<E, V> fmt::Debug for EntityColumn<E, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EntityColumn").field(&self.name).finish()
    }
}

impl<E, V: ColumnValue> EntityColumn<E, V> {
    /// The column of this name.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, of: PhantomData }
    }

    /// Its name, for filters and orders of a [`Query`](crate::domain::Query).
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// Equal.
    #[must_use]
    pub fn eq(self, value: impl Into<V>) -> Specification<E> {
        self.compare(Comparison::Eq, value)
    }

    /// Not equal, or empty.
    #[must_use]
    pub fn ne(self, value: impl Into<V>) -> Specification<E> {
        self.eq(value).not()
    }

    /// Less than.
    #[must_use]
    pub fn lt(self, value: impl Into<V>) -> Specification<E> {
        self.compare(Comparison::Lt, value)
    }

    /// At most.
    #[must_use]
    pub fn le(self, value: impl Into<V>) -> Specification<E> {
        self.compare(Comparison::Le, value)
    }

    /// More than.
    #[must_use]
    pub fn gt(self, value: impl Into<V>) -> Specification<E> {
        self.compare(Comparison::Gt, value)
    }

    /// At least.
    #[must_use]
    pub fn ge(self, value: impl Into<V>) -> Specification<E> {
        self.compare(Comparison::Ge, value)
    }

    /// Text that starts with this. Of a column that holds no text it is refused.
    #[must_use]
    pub fn starts_with(self, prefix: impl Into<String>) -> Specification<E> {
        Specification::of(Condition::compare(self.name, Comparison::Prefix, Value::Text(prefix.into())))
    }

    /// One of these.
    #[must_use]
    pub fn is_in<T: Into<V>>(self, values: impl IntoIterator<Item = T>) -> Specification<E> {
        let values = values.into_iter().map(|value| value.into().into_value()).collect();
        Specification::of(Condition::In { column: self.name.to_owned(), values })
    }

    /// Empty.
    #[must_use]
    pub fn is_null(self) -> Specification<E> {
        Specification::of(Condition::IsNull { column: self.name.to_owned() })
    }

    fn compare(self, comparison: Comparison, value: impl Into<V>) -> Specification<E> {
        Specification::of(Condition::compare(self.name, comparison, value.into().into_value()))
    }
}
