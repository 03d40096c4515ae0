//! What guards keep of an exchange from one phase to the next.

use std::{any::Any, fmt};

/// One value for each guard that keeps something. Few do, so it is a list; nothing is allocated before the first.
#[derive(Default)]
pub struct Memory(Vec<(&'static str, Box<dyn Any + Send + Sync>)>);

impl Memory {
    /// Keeps `value` for the guard, in place of what it kept before.
    pub fn keep<T: Any + Send + Sync>(&mut self, guard: &'static str, value: Box<T>) {
        self.0.retain(|(id, _)| *id != guard);
        self.0.push((guard, value));
    }

    /// Gives the guard what it kept, and forgets it; `None` where it kept nothing of this type.
    pub fn take<T: Any + Send + Sync>(&mut self, guard: &'static str) -> Option<Box<T>> {
        let index = self.0.iter().position(|(id, value)| *id == guard && value.is::<T>())?;
        self.0.swap_remove(index).1.downcast().ok()
    }

    /// Shows the guard what it kept.
    #[must_use]
    pub fn get<T: Any + Send + Sync>(&self, guard: &'static str) -> Option<&T> {
        self.0.iter().find(|(id, _)| *id == guard).and_then(|(_, value)| value.downcast_ref())
    }
}

/// Names the guards only: what they keep may hold values of requests.
impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(id, _)| id)).finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;

    #[test]
    fn each_guard_has_one_value_of_its_own() {
        let mut memory = Memory::default();
        memory.keep("a", Box::new(1_u32));
        memory.keep("b", Box::new("secret"));
        memory.keep("a", Box::new(2_u32));
        assert_eq!(memory.get::<u32>("a"), Some(&2));
        assert!(memory.take::<&str>("a").is_none(), "another type");
        assert_eq!(format!("{memory:?}"), "[\"b\", \"a\"]");
        assert_eq!(*memory.take::<u32>("a").unwrap(), 2);
        assert!(memory.take::<u32>("a").is_none());
    }
}
