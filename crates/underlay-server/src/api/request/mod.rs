//! What a request says: the parts of its path, its parameters, its headers and its body.

pub(crate) mod parameters;
pub(crate) mod path;
pub(crate) mod request_body;
pub(crate) mod request_headers;
