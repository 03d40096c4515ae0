//! The Core Rule Set of a folder, set up as the gateway's guard sets it up, and requests through it.

use std::{fs, path::Path, sync::Arc};

use bartizan_waf::{
    engine::{Context, Inspection, Program, RequestHead, Worker},
    files::{Files, matches},
    lang::Loader,
};

/// Rule files below a folder.
struct Folder(String);

impl Files for Folder {
    fn read(&self, path: &str) -> Result<Arc<[u8]>, String> {
        fs::read(Path::new(&self.0).join(path)).map(Into::into).map_err(|error| error.to_string())
    }

    fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        let folder = Path::new(pattern).parent().unwrap();
        let mut found: Vec<String> = fs::read_dir(Path::new(&self.0).join(folder))
            .map_err(|error| error.to_string())?
            .map(|entry| folder.join(entry.unwrap().file_name()).to_string_lossy().into_owned())
            .filter(|name| matches(pattern.as_bytes(), name.as_bytes()))
            .collect();
        found.sort();
        Ok(found)
    }
}

/// Loads the rules at a paranoia level.
pub fn load(folder: &str, level: u8) -> Arc<Program> {
    let files = Folder(folder.to_owned());
    let mut loader = Loader::new(&files);
    let engine = "SecRuleEngine On\nSecRequestBodyAccess On\nSecRequestBodyLimit 131072\nSecRequestBodyNoFilesLimit 131072\n\
                  SecRequestBodyLimitAction ProcessPartial\nSecResponseBodyAccess Off\n\
                  SecAction \"id:1000001,phase:1,pass,nolog,setvar:'tx.allowed_methods=GET HEAD POST OPTIONS PUT PATCH DELETE QUERY'\"\n";
    let setup = format!(
        "SecAction \"id:1000002,phase:1,pass,nolog,setvar:tx.blocking_paranoia_level={level},setvar:tx.detection_paranoia_level={level}\""
    );
    loader
        .text("engine", engine)
        .include("crs-setup.conf.example")
        .text("setup", &setup)
        .include("rules/*.conf");
    Program::new(loader.finish().unwrap_or_else(|errors| panic!("{errors}")).rules)
}

/// A request in parts.
pub struct Request<'r> {
    pub method: &'r [u8],
    pub target: &'r [u8],
    pub headers: Vec<(&'r [u8], &'r [u8])>,
    pub body: &'r [u8],
}

impl<'r> Request<'r> {
    /// Takes a request of HTTP/1.1 apart.
    pub fn read(raw: &'r [u8]) -> Self {
        let end = raw.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let mut lines = raw[..end].split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let mut line = lines.next().unwrap().split(|byte| *byte == b' ');
        let (method, target) = (line.next().unwrap(), line.next().unwrap());
        let headers = lines
            .map(|line| {
                let colon = line.iter().position(|byte| *byte == b':').expect("a field");
                (&line[..colon], line[colon + 1..].trim_ascii())
            })
            .collect();
        Request { method, target, headers, body: &raw[end + 4..] }
    }

    /// Lets the rules look at it: the whole way of a request through a gateway that does not look at responses.
    pub fn inspect(&self, program: &Arc<Program>, worker: &mut Worker) -> Inspection {
        let address = "192.0.2.1:443".parse().unwrap();
        let head = RequestHead {
            method: self.method,
            target: self.target,
            version: b"HTTP/1.1",
            headers: &self.headers,
            client: address,
            server: address,
            proved: &[],
        };
        let context = Context { unique_id: "a1b2".into(), now: 1_700_000_000_000, collections: None };
        let mut inspection = Inspection::new(Arc::clone(program), context);
        inspection.request_head(&head, worker);
        inspection.request_body(self.body, false, worker);
        inspection.finish(worker);
        inspection
    }
}
