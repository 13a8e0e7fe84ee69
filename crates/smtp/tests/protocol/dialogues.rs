//! The dialogue in each mode, byte for byte.
