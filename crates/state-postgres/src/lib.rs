//! The state in PostgreSQL: one book of runs, claims, limits and grants that several machines share.
