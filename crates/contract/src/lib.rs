//! API contracts: OpenAPI documents to operations.
