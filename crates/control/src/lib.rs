//! The control plane: admin API and its jobs.
