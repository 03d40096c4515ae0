//! What sends requests: ordered header sets and TLS settings of browsers, apps, SDKs and tools.
//!
//! A device is a family (whose headers, order and TLS settings go together) and a version, so that a fleet has hundreds of
//! fingerprints. The settings are those that the named software sends over HTTP/1.1, written down by hand; they are data
//! for telling devices apart, not proof of being one.

use std::borrow::Cow;

use crate::draw::Draw;

/// What kind of software a device runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A browser with the bank's web page.
    Browser,
    /// The bank's app on a phone.
    App,
    /// A program of a customer or partner.
    Sdk,
    /// A command-line tool or script.
    Tool,
}

/// The TLS settings that a device offers, by their numbers in the TLS registries of IANA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Versions, the best first: `0x0304` is TLS 1.3.
    pub versions: &'static [u16],
    /// Protocols of ALPN, the best first.
    pub alpn: &'static [&'static str],
    /// Cipher suites in the order of the client hello.
    pub ciphers: &'static [u16],
    /// Groups in the order of the client hello.
    pub groups: &'static [u16],
}

/// A device: what a server can tell clients apart by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Family and version, such as `chrome-windows-137`.
    pub name: String,
    /// What kind of software it is.
    pub form: Form,
    /// Fields in the order in which it sends them. One without a value is sent where a request has it; `Host` and
    /// `Content-Length` are known without.
    pub headers: Vec<(Cow<'static, str>, Option<Cow<'static, str>>)>,
    /// Its TLS settings.
    pub tls: Tls,
}

const BOTH: &[u16] = &[0x0304, 0x0303];
const WEB: &[&str] = &["h2", "http/1.1"];
const PLAIN: &[&str] = &["http/1.1"];

const CHROME: Tls = Tls {
    versions: BOTH,
    alpn: WEB,
    ciphers: &[
        0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c,
        0x009d, 0x002f, 0x0035,
    ],
    groups: &[0x11ec, 0x001d, 0x0017, 0x0018],
};
const FIREFOX: Tls = Tls {
    versions: BOTH,
    alpn: WEB,
    ciphers: &[
        0x1301, 0x1303, 0x1302, 0xc02b, 0xc02f, 0xcca9, 0xcca8, 0xc02c, 0xc030, 0xc00a, 0xc009, 0xc013,
        0xc014, 0x009c, 0x009d, 0x002f, 0x0035,
    ],
    groups: &[0x11ec, 0x001d, 0x0017, 0x0018, 0x0019],
};
const APPLE: Tls = Tls {
    versions: BOTH,
    alpn: WEB,
    ciphers: &[
        0x1302, 0x1303, 0x1301, 0xc02c, 0xc02b, 0xcca9, 0xc030, 0xc02f, 0xcca8, 0xc00a, 0xc009, 0xc014,
        0xc013, 0x009d, 0x009c, 0x0035, 0x002f,
    ],
    groups: &[0x11ec, 0x001d, 0x0017, 0x0018, 0x0019],
};
const OKHTTP: Tls = Tls {
    versions: BOTH,
    alpn: WEB,
    ciphers: &[
        0x1301, 0x1302, 0x1303, 0xc02b, 0xc02c, 0xcca9, 0xc02f, 0xc030, 0xcca8, 0xc013, 0xc014, 0x009c,
        0x009d, 0x002f, 0x0035,
    ],
    groups: &[0x001d, 0x0017, 0x0018],
};
const GO: Tls = Tls {
    versions: BOTH,
    alpn: WEB,
    ciphers: &[
        0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc009, 0xc013, 0xc00a, 0xc014, 0x1301, 0x1302,
        0x1303,
    ],
    groups: &[0x11ec, 0x001d, 0x0017, 0x0018, 0x0019],
};
const OPENSSL: Tls = Tls {
    versions: BOTH,
    alpn: PLAIN,
    ciphers: &[
        0x1302, 0x1303, 0x1301, 0xc02c, 0xc030, 0x009f, 0xcca9, 0xcca8, 0xccaa, 0xc02b, 0xc02f, 0x009e,
        0xc024, 0xc028, 0x006b, 0xc023, 0xc027, 0x0067, 0xc00a, 0xc014, 0x0039, 0xc009, 0xc013, 0x0033,
        0x009d, 0x009c, 0x003d, 0x003c, 0x0035, 0x002f,
    ],
    groups: &[0x001d, 0x0017, 0x001e, 0x0019, 0x0018],
};
const OLD_OPENSSL: Tls = Tls {
    versions: &[0x0303],
    alpn: &[],
    ciphers: &[
        0xc02c, 0xc030, 0x009f, 0xc02b, 0xc02f, 0x009e, 0xc024, 0xc028, 0x006b, 0xc00a, 0xc014, 0x0039,
        0x009d, 0x009c, 0x0035, 0x002f,
    ],
    groups: &[0x0017, 0x0018, 0x0019],
};

const LANGUAGES: [&str; 6] = [
    "de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7",
    "en-GB,en;q=0.9",
    "fr-FR,fr;q=0.9,en;q=0.8",
    "en-US,en;q=0.9",
    "it-IT,it;q=0.9,en;q=0.8",
    "pl-PL,pl;q=0.9,en;q=0.8",
];

type Fields = Vec<(Cow<'static, str>, Option<Cow<'static, str>>)>;

impl Device {
    /// A device as people have it: mostly phones and browsers, now and then a program.
    pub(crate) fn of_person(draw: &mut Draw) -> Device {
        match draw.below(100) {
            0..=27 => chrome(draw, false),
            28..=41 => chrome(draw, true),
            42..=51 => firefox(draw),
            52..=65 => safari(draw),
            66..=80 => ios_app(draw),
            81..=95 => android_app(draw),
            96..=97 => axios(draw),
            _ => go(draw),
        }
    }

    /// A device as attackers have it: tools, and browsers that may not be what they say.
    pub(crate) fn of_attacker(draw: &mut Draw) -> Device {
        match draw.below(100) {
            0..=24 => requests(draw),
            25..=39 => curl(draw),
            40..=54 => go(draw),
            55..=64 => axios(draw),
            // The headers of a browser over the TLS settings of a script.
            65..=84 => Device { tls: OPENSSL, form: Form::Tool, ..chrome(draw, false) },
            85..=92 => Device { tls: OLD_OPENSSL, ..requests(draw) },
            _ => firefox(draw),
        }
    }
}

fn sent(fields: &[(&'static str, &'static str)]) -> Fields {
    fields.iter().map(|&(name, value)| (name.into(), (!value.is_empty()).then(|| value.into()))).collect()
}

/// Gives the field of this name a value of its own.
fn with(mut fields: Fields, name: &str, value: impl Into<Cow<'static, str>>) -> Fields {
    if let Some(field) = fields.iter_mut().find(|(field, _)| field == name) {
        field.1 = Some(value.into());
    }
    fields
}

fn chrome(draw: &mut Draw, phone: bool) -> Device {
    let version = draw.between(128, 142);
    let (name, platform, system) = if phone {
        ("chrome-android", "\"Android\"", "Linux; Android 10; K")
    } else {
        match draw.below(20) {
            0..=12 => ("chrome-windows", "\"Windows\"", "Windows NT 10.0; Win64; x64"),
            13..=18 => ("chrome-mac", "\"macOS\"", "Macintosh; Intel Mac OS X 10_15_7"),
            _ => ("chrome-linux", "\"Linux\"", "X11; Linux x86_64"),
        }
    };
    let mobile = if phone { " Mobile" } else { "" };
    let agent = format!(
        "Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0{mobile} Safari/537.36"
    );
    let brands =
        format!("\"Chromium\";v=\"{version}\", \"Google Chrome\";v=\"{version}\", \"Not.A/Brand\";v=\"99\"");
    let fields = sent(&[
        ("Host", ""),
        ("Connection", "keep-alive"),
        ("Content-Length", ""),
        ("sec-ch-ua-platform", platform),
        ("Authorization", ""),
        ("User-Agent", ""),
        ("sec-ch-ua", ""),
        ("Content-Type", ""),
        ("sec-ch-ua-mobile", if phone { "?1" } else { "?0" }),
        ("Accept", "application/json, text/plain, */*"),
        ("Origin", ""),
        ("Sec-Fetch-Site", "same-origin"),
        ("Sec-Fetch-Mode", "cors"),
        ("Sec-Fetch-Dest", "empty"),
        ("Referer", ""),
        ("Accept-Encoding", "gzip, deflate, br, zstd"),
        ("Accept-Language", ""),
        ("Cookie", ""),
    ]);
    let fields = with(with(fields, "User-Agent", agent), "sec-ch-ua", brands);
    let headers = with(fields, "Accept-Language", draw.one(&LANGUAGES));
    Device { name: format!("{name}-{version}"), form: Form::Browser, headers, tls: CHROME }
}

fn firefox(draw: &mut Draw) -> Device {
    let version = draw.between(128, 144);
    let system = draw.one(&[
        "Windows NT 10.0; Win64; x64",
        "X11; Ubuntu; Linux x86_64",
        "Macintosh; Intel Mac OS X 10.15",
    ]);
    let agent = format!("Mozilla/5.0 ({system}; rv:{version}.0) Gecko/20100101 Firefox/{version}.0");
    let fields = sent(&[
        ("Host", ""),
        ("User-Agent", ""),
        ("Accept", "application/json, text/plain, */*"),
        ("Accept-Language", ""),
        ("Accept-Encoding", "gzip, deflate, br, zstd"),
        ("Content-Type", ""),
        ("Content-Length", ""),
        ("Authorization", ""),
        ("Origin", ""),
        ("Connection", "keep-alive"),
        ("Referer", ""),
        ("Cookie", ""),
        ("Sec-Fetch-Dest", "empty"),
        ("Sec-Fetch-Mode", "cors"),
        ("Sec-Fetch-Site", "same-origin"),
        ("Priority", "u=0"),
    ]);
    let headers = with(with(fields, "User-Agent", agent), "Accept-Language", draw.one(&LANGUAGES));
    Device { name: format!("firefox-{version}"), form: Form::Browser, headers, tls: FIREFOX }
}

fn safari(draw: &mut Draw) -> Device {
    let (major, minor) = draw.one(&[(17, 4), (17, 5), (17, 6), (18, 0), (18, 1), (18, 3), (18, 5), (18, 6)]);
    let phone = draw.percent(65);
    let system = if phone {
        format!("iPhone; CPU iPhone OS {major}_{minor} like Mac OS X")
    } else {
        "Macintosh; Intel Mac OS X 10_15_7".to_owned()
    };
    let mobile = if phone { " Mobile/15E148" } else { "" };
    let agent = format!(
        "Mozilla/5.0 ({system}) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{major}.{minor}{mobile} Safari/605.1.15"
    );
    let fields = sent(&[
        ("Host", ""),
        ("Content-Type", ""),
        ("Origin", ""),
        ("Accept", "application/json, text/plain, */*"),
        ("Authorization", ""),
        ("Sec-Fetch-Site", "same-origin"),
        ("Sec-Fetch-Mode", "cors"),
        ("Sec-Fetch-Dest", "empty"),
        ("User-Agent", ""),
        ("Referer", ""),
        ("Content-Length", ""),
        ("Accept-Language", ""),
        ("Accept-Encoding", "gzip, deflate, br"),
        ("Connection", "keep-alive"),
        ("Cookie", ""),
    ]);
    let headers = with(with(fields, "User-Agent", agent), "Accept-Language", draw.one(&LANGUAGES));
    let name = format!("safari-{}-{major}.{minor}", if phone { "iphone" } else { "mac" });
    Device { name, form: Form::Browser, headers, tls: APPLE }
}

fn ios_app(draw: &mut Draw) -> Device {
    let (build, system) = (draw.between(201, 240), draw.one(&["23.6.0", "24.0.0", "24.3.0", "24.6.0"]));
    let fields = sent(&[
        ("Host", ""),
        ("Accept", "application/json"),
        ("Content-Type", ""),
        ("Authorization", ""),
        ("X-App-Build", ""),
        ("Connection", "keep-alive"),
        ("Accept-Language", ""),
        ("User-Agent", ""),
        ("Accept-Encoding", "gzip, deflate, br"),
        ("Content-Length", ""),
    ]);
    let fields = with(fields, "User-Agent", format!("Bank/{build} CFNetwork/1498.700.2 Darwin/{system}"));
    let fields = with(fields, "X-App-Build", build.to_string());
    let headers = with(fields, "Accept-Language", draw.one(&LANGUAGES));
    Device { name: format!("app-ios-{build}-{system}"), form: Form::App, headers, tls: APPLE }
}

fn android_app(draw: &mut Draw) -> Device {
    let (build, okhttp) = (draw.between(201, 240), draw.one(&["4.11.0", "4.12.0", "5.0.0", "5.1.0"]));
    let fields = sent(&[
        ("Accept", "application/json"),
        ("X-App-Build", ""),
        ("Authorization", ""),
        ("Content-Type", ""),
        ("Content-Length", ""),
        ("Host", ""),
        ("Connection", "Keep-Alive"),
        ("Accept-Encoding", "gzip"),
        ("User-Agent", ""),
    ]);
    let fields = with(fields, "User-Agent", format!("okhttp/{okhttp}"));
    let headers = with(fields, "X-App-Build", build.to_string());
    Device { name: format!("app-android-{build}-{okhttp}"), form: Form::App, headers, tls: OKHTTP }
}

fn axios(draw: &mut Draw) -> Device {
    let minor = draw.between(2, 12);
    let fields = sent(&[
        ("Accept", "application/json, text/plain, */*"),
        ("Content-Type", ""),
        ("Authorization", ""),
        ("User-Agent", ""),
        ("Content-Length", ""),
        ("Accept-Encoding", "gzip, compress, deflate, br"),
        ("Host", ""),
        ("Connection", "keep-alive"),
    ]);
    let headers = with(fields, "User-Agent", format!("axios/1.{minor}.0"));
    Device { name: format!("axios-1.{minor}"), form: Form::Sdk, headers, tls: OPENSSL }
}

fn go(draw: &mut Draw) -> Device {
    let minor = draw.between(1, 30);
    let fields = sent(&[
        ("Host", ""),
        ("User-Agent", ""),
        ("Content-Length", ""),
        ("Authorization", ""),
        ("Content-Type", ""),
        ("Accept-Encoding", "gzip"),
    ]);
    let headers = with(fields, "User-Agent", format!("bank-sdk-go/2.{minor} Go-http-client/1.1"));
    Device { name: format!("sdk-go-2.{minor}"), form: Form::Sdk, headers, tls: GO }
}

fn requests(draw: &mut Draw) -> Device {
    let minor = draw.between(25, 32);
    let patch = draw.between(0, 3);
    let fields = sent(&[
        ("Host", ""),
        ("User-Agent", ""),
        ("Accept-Encoding", "gzip, deflate"),
        ("Accept", "*/*"),
        ("Connection", "keep-alive"),
        ("Authorization", ""),
        ("Content-Length", ""),
        ("Content-Type", ""),
    ]);
    let headers = with(fields, "User-Agent", format!("python-requests/2.{minor}.{patch}"));
    Device { name: format!("requests-2.{minor}.{patch}"), form: Form::Tool, headers, tls: OPENSSL }
}

fn curl(draw: &mut Draw) -> Device {
    let minor = draw.between(1, 16);
    let fields = sent(&[
        ("Host", ""),
        ("User-Agent", ""),
        ("Accept", "*/*"),
        ("Authorization", ""),
        ("Content-Type", ""),
        ("Content-Length", ""),
    ]);
    let headers = with(fields, "User-Agent", format!("curl/8.{minor}.0"));
    Device { name: format!("curl-8.{minor}"), form: Form::Tool, headers, tls: OPENSSL }
}
