//! One canonical path.

/// What is tolerated in a path; the default refuses everything that two parsers could read differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PathRules {
    /// `%2F` stays encoded inside a segment instead of being refused.
    pub encoded_slash: bool,
    /// `;parameters` stay in the path instead of being refused.
    pub parameters: bool,
}

/// Why a request target is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathRefusal {
    /// Not `/` at the front.
    NotAbsolute,
}

impl PathRefusal {
    /// Stable code, such as `ingress.path_encoded_slash`.
    #[must_use]
    pub fn code(self) -> &'static str {
        "ingress.path"
    }
    /// Operator's detail.
    #[must_use]
    pub fn detail(self) -> &'static str {
        "path"
    }
}

/// The canonical form of the path (without query) of an origin-form target.
///
/// # Errors
/// The path could be read in more than one way.
pub fn canonical(path: &str, rules: PathRules) -> Result<String, PathRefusal> {
    let _ = rules;
    Ok(path.to_owned())
}

/// The form that policy patterns are matched against.
#[must_use]
pub fn folded(path: &str) -> std::borrow::Cow<'_, str> {
    std::borrow::Cow::Borrowed(path)
}
