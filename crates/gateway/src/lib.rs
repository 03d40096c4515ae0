//! The data plane: listeners, the pipeline, upstreams.
