pub(crate) mod depths;
#[cfg(test)]
mod plans;
pub(crate) mod reading;
pub(crate) mod sending;
pub(crate) mod settling;
pub(crate) mod sharing;
pub(crate) mod work_row;
