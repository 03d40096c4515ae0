//! Events on their way out: the queue, the audit log, metrics.
