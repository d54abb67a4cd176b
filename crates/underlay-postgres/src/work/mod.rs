//! Work on its way into the database and out of it: what commits send, what is settled, and the rows it is read
//! back from.

pub(crate) mod sent;
pub(crate) mod settled;
pub(crate) mod work_row;
