//! The newest contract as the host sees it.

pub(crate) use crate::engine::contract::latest::types;
