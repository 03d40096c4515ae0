//! The settings of a block to tables: files are read, and everything that is wrong with them is told at its line.

use std::sync::Arc;

use bartizan_authz::{
    Actions, Geo, Policies, Rego, RoleTable, Roles,
    cedar::{Options, PolicyText},
};
use bartizan_model::{CompileContext, Diagnostic, Diagnostics, FileReference};

use super::{Access, Config, authzen::Point, config::Security};

/// Bytes of one file of roles or policies at most.
const MAX_TEXT: usize = 4 << 20;

/// Compiles the guard.
pub(super) fn compile(config: Config, context: &CompileContext<'_>) -> Result<Access, Diagnostics> {
    let mut report = Diagnostics::new();
    let actions = Actions::new(context.spec);
    let roles = config.roles.as_ref().and_then(|file| {
        let text = read(file, "roles", context, &mut report)?;
        let compiled = Roles::parse(&text, &file.0).and_then(|roles| RoleTable::compile(&roles, &actions));
        tell(compiled, "roles", &mut report)
    });
    let geo = geo(&config, context, &mut report);
    let written = policies(&config, context, &actions, roles.as_ref(), geo.as_ref(), &mut report);
    for (index, name) in config.require_roles.iter().enumerate() {
        if let Some(table) = &roles
            && table.role(name).is_none()
        {
            report.push(
                Diagnostic::error(format!("require_roles[{index}]"), format!("there is no role `{name}`"))
                    .help("name a role of the roles file, or add it there"),
            );
        }
    }
    for (index, scope) in config.require_scopes.iter().enumerate() {
        // RFC 6749 section 3.3.
        let token = |b: u8| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if scope.is_empty() || !scope.bytes().all(token) {
            report.push(
                Diagnostic::error(format!("require_scopes[{index}]"), format!("`{scope}` is not a scope"))
                    .help("a scope is one word without spaces and quotes; list several"),
            );
        }
    }
    let point = config.authzen.as_ref().and_then(|settings| match Point::compile(settings, context) {
        Ok(point) => Some(point),
        Err((place, problem)) => {
            let (message, help) = problem.split_once("; ").unwrap_or((&problem, "correct it"));
            report.push(Diagnostic::error(format!("authzen.{place}"), message).help(help));
            None
        }
    });
    // By place, so that a decision finds them without a search.
    let security = actions.iter().map(|(_, action)| {
        let found = context.spec.operations.iter().find(|spec| spec.declared && spec.label == action.name);
        found.filter(|_| config.security == Security::Enforce).and_then(|spec| spec.security.clone())
    });
    let security = security.collect();
    let shared = |names: &[String]| names.iter().map(|name| Arc::from(name.as_str())).collect();
    report.or(Access {
        api: Arc::from(context.api),
        require_scopes: shared(&config.require_scopes),
        require_roles: shared(&config.require_roles),
        role_claims: shared(&config.role_claims),
        roles_file: config.roles.as_ref().map(|file| Arc::from(file.0.as_str())),
        max_body: usize::try_from(config.max_body.0).unwrap_or(usize::MAX),
        zone: config.zone.0,
        usage: Arc::clone(&context.services.usage),
        actions,
        security,
        roles,
        policies: written.cedar,
        rego: written.rego,
        geo,
        point,
    })
}

/// The text of a file.
fn read(
    file: &FileReference,
    path: &str,
    context: &CompileContext<'_>,
    report: &mut Diagnostics,
) -> Option<String> {
    let bytes = match context.files.read(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            let (message, help) = error.split_once("; ").unwrap_or((&error, "correct the path"));
            report.push(Diagnostic::error(path, message).help(help));
            return None;
        }
    };
    if bytes.len() > MAX_TEXT {
        let message = format!("`{}` is larger than 4 MiB", file.0);
        report.push(Diagnostic::error(path, message).help("split it"));
        return None;
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Some(text.to_owned()),
        Err(_) => {
            let message = format!("`{}` is not UTF-8 text", file.0);
            report.push(Diagnostic::error(path, message).help("save it as UTF-8"));
            None
        }
    }
}

/// What is wrong in a file has a place there, and belongs to a setting of the block.
fn tell<T>(result: Result<T, Diagnostics>, path: &str, report: &mut Diagnostics) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(diagnostics) => {
            for mut diagnostic in diagnostics.0 {
                path.clone_into(&mut diagnostic.path);
                report.push(diagnostic);
            }
            None
        }
    }
}

/// The policies of a block by their language.
#[derive(Default)]
struct Written {
    cedar: Option<Policies>,
    rego: Option<Rego>,
}

fn policies(
    config: &Config,
    context: &CompileContext<'_>,
    actions: &Actions,
    roles: Option<&RoleTable>,
    geo: Option<&Geo>,
    report: &mut Diagnostics,
) -> Written {
    let mut texts: Vec<(String, String)> = Vec::new();
    let before = report.0.len();
    for (index, file) in config.policies.0.iter().enumerate() {
        let path =
            if config.policies.0.len() == 1 { "policies".to_owned() } else { format!("policies[{index}]") };
        for file in several(file, &path, context, report) {
            texts.extend(read(&file, &path, context, report).map(|text| (file.0, text)));
        }
    }
    if texts.is_empty() || report.0.len() > before {
        return Written::default();
    }
    let files = texts.iter().map(|(file, text)| PolicyText { file, text });
    let (rego, cedar): (Vec<_>, Vec<_>) = files.partition(|file| file.file.ends_with(".rego"));
    let options = Options {
        api: context.api,
        // Roles that could not be read are told already.
        roles: roles.filter(|_| config.roles.is_some()),
        country: geo.is_some_and(Geo::has_country),
        asn: geo.is_some_and(Geo::has_asn),
    };
    let mut written = Written::default();
    if !cedar.is_empty() {
        written.cedar = tell(Policies::load(&cedar, actions, options), "policies", report);
    }
    if !rego.is_empty() {
        written.rego = tell(Rego::load(&rego), "policies", report);
    }
    written
}

/// The files that a reference names: one, or those of a folder whose names fit.
fn several(
    file: &FileReference,
    path: &str,
    context: &CompileContext<'_>,
    report: &mut Diagnostics,
) -> Vec<FileReference> {
    let (folder, name) = file.0.rsplit_once('/').unwrap_or((".", &file.0));
    let Some((before, after)) = name.split_once('*') else { return vec![file.clone()] };
    context.files.note_pattern(file);
    let names = context.files.list(&FileReference(folder.to_owned()));
    let mut names = match names {
        Ok(names) => names,
        Err(error) => {
            let (message, help) = error.split_once("; ").unwrap_or((&error, "correct the path"));
            report.push(Diagnostic::error(path, message).help(help));
            return Vec::new();
        }
    };
    let fits = |name: &String| {
        name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
    };
    names.retain(fits);
    names.sort();
    if names.is_empty() {
        let message = format!("no file in `{folder}` fits `{name}`");
        report.push(Diagnostic::error(path, message).help("name files that are there"));
    }
    let below = |name: String| {
        if folder == "." { FileReference(name) } else { FileReference(format!("{folder}/{name}")) }
    };
    names.into_iter().map(below).collect()
}

/// Adds a database of one kind.
type AddDatabase = fn(Geo, Arc<[u8]>) -> Result<Geo, String>;

fn geo(config: &Config, context: &CompileContext<'_>, report: &mut Diagnostics) -> Option<Geo> {
    let files = config.geo.as_ref()?;
    let mut geo = Geo::default();
    let databases: [(&str, &Option<FileReference>, AddDatabase); 2] =
        [("geo.country", &files.country, Geo::with_country), ("geo.asn", &files.asn, Geo::with_asn)];
    for (path, file, add) in databases {
        let Some(file) = file else { continue };
        match context.files.read(file).and_then(|bytes| add(std::mem::take(&mut geo), bytes)) {
            Ok(with) => geo = with,
            Err(error) => {
                let (message, help) = error.split_once("; ").unwrap_or((&error, "correct the path"));
                report.push(Diagnostic::error(path, format!("`{}`: {message}", file.0)).help(help));
            }
        }
    }
    Some(geo)
}
