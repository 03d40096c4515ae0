//! Persistence behind the traits of the model.
