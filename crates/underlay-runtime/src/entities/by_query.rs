use underlay_core::{Entity, Query, Specification};

/// What entities are found by: a [`Query`], or a [`Specification`] where order and limit do not matter.
pub trait ByQuery<E: Entity> {
    /// As a query.
    fn into_query(self) -> Query;
}

impl<E: Entity> ByQuery<E> for Query {
    fn into_query(self) -> Query {
        self
    }
}

impl<E: Entity> ByQuery<E> for &Query {
    fn into_query(self) -> Query {
        self.clone()
    }
}

impl<E: Entity> ByQuery<E> for Specification<E> {
    fn into_query(self) -> Query {
        Query::of(self.into_condition(), &E::schema())
    }
}

impl<E: Entity> ByQuery<E> for &Specification<E> {
    fn into_query(self) -> Query {
        self.clone().into_query()
    }
}
