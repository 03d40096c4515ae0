//! Detectors of injection that judge the shape of a text: SQL and cross-site scripting.
