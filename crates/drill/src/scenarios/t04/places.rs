//! Where secrets are planted: every place of a request, of an answer, and of what an operator writes.

use crate::secrets::{Shape, Written};

/// One place, with a secret of its own.
pub struct Place {
    /// For people.
    pub name: &'static str,
    /// What the secret looks like.
    pub shape: Shape,
    /// How it is written there.
    pub written: Written,
    /// Where that is.
    pub at: At,
}

/// The part of an exchange that carries a secret. `{s}` stands for it as it is written, `{h}` for the host.
#[derive(Clone, Copy)]
pub enum At {
    /// A line of the request's head, sent to every host.
    Field(&'static str),
    /// The request target, sent to every host.
    Target(&'static str),
    /// Media type and content of a request, sent to every host.
    Content(&'static str, &'static str),
    /// Whole bytes, sent once on a connection of their own: what is refused before it is a request.
    Raw(&'static str),
    /// The same, over TLS.
    Inside(&'static str),
    /// Fields of an HTTP/2 request.
    Http2(&'static str, &'static str),
    /// The name that a TLS client asks for.
    ServerName,
    /// Whole bytes to the admin API; `{h}` is its address.
    Admin(&'static str),
    /// Bytes of an upstream's answer.
    Answer(&'static str),
    /// The debug data of a GOAWAY of an upstream over HTTP/2 (RFC 9113 section 6.8).
    Goaway,
    /// A line of a configuration that is refused.
    Configuration(&'static str),
    /// A line of a configuration that is in force.
    InForce,
    /// An API key of the gateway's own: its secret is made by the gateway.
    ApiKey,
}

const fn place(name: &'static str, shape: Shape, written: Written, at: At) -> Place {
    Place { name, shape, written, at }
}

use At::{Answer, Configuration, Content, Field, Http2, Inside, Raw, Target};
use Shape::{Card, Hex, Jwt, Key, Password, Token, Uuid, Words};
use Written::{Base64, Basic, EveryByte, InJson, InToken, InUrl, Plainly, Twice};

/// A JWT's parts that are as they should be.
const HEADER: &str = "{\"alg\":\"ES256\",\"typ\":\"JWT\",\"kid\":\"1\"}";
const CLAIMS: &str = "{\"iss\":\"https://known.test\",\"aud\":\"known\",\"sub\":\"x\",\"exp\":4102444800}";
const BEARER: At = Field("Authorization: Bearer {s}");

/// The places. A secret each: what is found names where it came from.
pub static PLACES: &[Place] = &[
    place("bearer token", Token, Plainly, Field("Authorization: Bearer {s}")),
    place("JWT", Jwt, Plainly, Field("Authorization: Bearer {s}")),
    place(
        "key id of a JWT",
        Token,
        InToken("{\"alg\":\"ES256\",\"typ\":\"JWT\",\"kid\":\"{s}\"}", CLAIMS),
        BEARER,
    ),
    place("algorithm of a JWT", Token, InToken("{\"alg\":\"{s}\",\"typ\":\"JWT\"}", CLAIMS), BEARER),
    place("type of a JWT", Token, InToken("{\"alg\":\"ES256\",\"typ\":\"{s}\"}", CLAIMS), BEARER),
    place("issuer of a JWT", Token, InToken(HEADER, "{\"iss\":\"https://{s}\",\"sub\":\"x\"}"), BEARER),
    place(
        "subject of a JWT",
        Token,
        InToken(HEADER, "{\"iss\":\"https://known.test\",\"aud\":\"known\",\"sub\":\"{s}\"}"),
        BEARER,
    ),
    place("basic password", Password, Basic, Field("Authorization: Basic {s}")),
    place("digest response", Hex, Plainly, Field("Authorization: Digest username=\"u\", response=\"{s}\"")),
    place("unknown scheme", Key, Plainly, Field("Authorization: ApiKey {s}")),
    place("proxy credential", Token, Basic, Field("Proxy-Authorization: Basic {s}")),
    place("API key field", Key, Plainly, Field("X-API-Key: {s}")),
    place("vendor's key field", Hex, Plainly, Field("Ocp-Apim-Subscription-Key: {s}")),
    place("token field", Token, Plainly, Field("X-Auth-Token: {s}")),
    place("CSRF token", Uuid, Plainly, Field("X-CSRF-Token: {s}")),
    place("session cookie", Token, Plainly, Field("Cookie: session={s}")),
    place("second cookie", Hex, Plainly, Field("Cookie: theme=dark; remember_me=\"{s}\"; lang=en")),
    place("base64 in a cookie", Password, Base64, Field("Cookie: state={s}")),
    place("field of the client's own", Token, Plainly, Field("X-Shop-Thing: {s}")),
    place("name of a field", Hex, Plainly, Field("X-{s}: 1")),
    place("Referer", Token, Plainly, Field("Referer: https://app.test/cb?code={s}&state=1")),
    place("User-Agent", Key, Plainly, Field("User-Agent: shop/1.0 (key {s})")),
    place("Forwarded", Token, Plainly, Field("Forwarded: for=192.0.2.7;secret=\"{s}\"")),
    place("X-Forwarded-For", Token, Plainly, Field("X-Forwarded-For: {s}, 192.0.2.7")),
    place("X-Forwarded-Host", Hex, Plainly, Field("X-Forwarded-Host: {s}.test")),
    place("Origin", Hex, Plainly, Field("Origin: https://{s}.test")),
    place("request id", Token, Plainly, Field("X-Request-Id: {s}")),
    place("trace state", Hex, Plainly, Field("tracestate: shop={s}")),
    place("baggage", Token, Plainly, Field("baggage: userToken={s},tier=gold")),
    place("condition", Token, Plainly, Field("If-None-Match: \"{s}\"")),
    place("signature", Token, Base64, Field("Signature: sig1=:{s}:")),
    place("proof of possession", Jwt, Plainly, Field("DPoP: {s}")),
    place("expectation", Token, Plainly, Field("Expect: {s}")),
    place("method override", Token, Plainly, Field("X-HTTP-Method-Override: {s}")),
    place(
        "WebSocket protocol",
        Token,
        Plainly,
        Field(
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: bearer, {s}",
        ),
    ),
    place("query token", Token, Plainly, Target("/v1/things?token={s}")),
    place("query access_token", Jwt, Plainly, Target("/v1/things?page=2&access_token={s}")),
    place("query api_key", Key, Plainly, Target("/v1/things?api_key={s}&x=1")),
    place("query password", Password, InUrl, Target("/v1/things?user=u&password={s}")),
    place("query sig", Token, Base64, Target("/v1/things?sig={s}")),
    place("query of another name", Words, Plainly, Target("/v1/things?q={s}")),
    place("query without a name", Token, Plainly, Target("/v1/things?{s}")),
    place("query, every byte encoded", Token, EveryByte, Target("/v1/things?t={s}")),
    place("query, encoded twice", Token, Twice, Target("/v1/things?t={s}")),
    place("path segment", Token, Plainly, Target("/v1/reset/{s}")),
    place("path segment of words", Words, Plainly, Target("/v1/invites/{s}")),
    place("path segment in hex", Hex, Plainly, Target("/v1/files/{s}/content")),
    place("path segment, a UUID", Uuid, Plainly, Target("/v1/links/{s}")),
    place("path segment, encoded", Token, EveryByte, Target("/v1/reset/{s}")),
    place("path segment, encoded twice", Token, Twice, Target("/v1/reset/{s}")),
    place("path segment with a card", Card, Plainly, Target("/v1/cards/{s}")),
    place("path parameter", Hex, Plainly, Target("/v1/things;jsessionid={s}")),
    place("name of a file in a path", Token, Plainly, Target("/v1/export/{s}.csv")),
    place(
        "JSON password",
        Password,
        InJson,
        Content("application/json", "{\"user\":\"u\",\"password\":\"{s}\"}"),
    ),
    place("JSON card number", Card, Plainly, Content("application/json", "{\"pan\":\"{s}\"}")),
    place("broken JSON", Token, Plainly, Content("application/json", "{\"token\":\"{s}\"")),
    place(
        "form password",
        Password,
        InUrl,
        Content("application/x-www-form-urlencoded", "username=u&password={s}"),
    ),
    place(
        "multipart part",
        Token,
        Plainly,
        Content(
            "multipart/form-data; boundary=b",
            "--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\n{s}\r\n--b--\r\n",
        ),
    ),
    place(
        "name of an uploaded file",
        Hex,
        Plainly,
        Content(
            "multipart/form-data; boundary=b",
            "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{s}.pem\"\r\n\r\nx\r\n--b--\r\n",
        ),
    ),
    place("media type", Token, Plainly, Content("multipart/form-data; boundary={s}", "x")),
    place(
        "chunk extension",
        Token,
        Plainly,
        Raw(
            "POST /v1/things HTTP/1.1\r\nHost: {h}\r\nTransfer-Encoding: chunked\r\n\r\n1;token={s}\r\nx\r\n0\r\n\r\n",
        ),
    ),
    place(
        "trailer",
        Token,
        Plainly,
        Raw(
            "POST /v1/things HTTP/1.1\r\nHost: {h}\r\nTransfer-Encoding: chunked\r\nTrailer: X-Token\r\n\r\n\
             1\r\nx\r\n0\r\nX-Token: {s}\r\n\r\n",
        ),
    ),
    place(
        "body that ends too early",
        Token,
        Plainly,
        Raw("POST /v1/things HTTP/1.1\r\nHost: {h}\r\nContent-Length: 9999\r\n\r\n{\"token\":\"{s}\""),
    ),
    place(
        "body that is framed twice",
        Token,
        Plainly,
        Raw(
            "POST /v1/things HTTP/1.1\r\nHost: {h}\r\nContent-Length: 44\r\nTransfer-Encoding: chunked\r\n\r\n{s}",
        ),
    ),
    place("request line", Token, Plainly, Raw("GET /v1/things?t={s} HTTP/1.1 {s}\r\nHost: {h}\r\n\r\n")),
    place("line without a colon", Token, Plainly, Raw("GET / HTTP/1.1\r\nHost: {h}\r\n{s}\r\n\r\n")),
    place("field with a NUL", Token, Plainly, Raw("GET / HTTP/1.1\r\nHost: {h}\r\nX-Token: {s}\0\r\n\r\n")),
    place("method", Token, Plainly, Raw("{s} /v1/things HTTP/1.1\r\nHost: {h}\r\n\r\n")),
    place("version", Token, Plainly, Raw("GET / HTTP/{s}\r\nHost: {h}\r\n\r\n")),
    place("second Host", Hex, Plainly, Raw("GET / HTTP/1.1\r\nHost: {h}\r\nHost: {s}.test\r\n\r\n")),
    place("unknown Host", Hex, Plainly, Raw("GET / HTTP/1.1\r\nHost: {s}.test\r\n\r\n")),
    place(
        "user of an absolute target",
        Token,
        Plainly,
        Raw("GET http://u:{s}@{h}/ HTTP/1.1\r\nHost: {h}\r\n\r\n"),
    ),
    place(
        "PROXY header",
        Token,
        Plainly,
        Raw("PROXY TCP4 {s} 127.0.0.1 1 2\r\nGET / HTTP/1.1\r\nHost: {h}\r\n\r\n"),
    ),
    place("no HTTP at all", Token, Plainly, Raw("LOGIN u {s}\n")),
    place("head that never ends", Token, Plainly, Raw("GET / HTTP/1.1\r\nHost: {h}\r\nCookie: s={s}")),
    place("over-long field", Token, Plainly, Raw("GET / HTTP/1.1\r\nHost: {h}\r\nX-Long: {long}\r\n\r\n")),
    place("over-long target", Token, Plainly, Raw("GET /?x={long} HTTP/1.1\r\nHost: {h}\r\n\r\n")),
    place(
        "inside TLS",
        Token,
        Plainly,
        Inside("GET /v1/things?t={s} HTTP/1.1\r\nHost: {h}\r\nCookie: s={s}\r\n\r\n"),
    ),
    place("name for TLS", Hex, Plainly, At::ServerName),
    place("HTTP/2 path", Token, Plainly, Http2("/v1/things?token={s}", "x")),
    place("HTTP/2 credential", Token, Plainly, Http2("/v1/things", "Bearer {s}")),
    place("HTTP/2 path that is none", Token, Plainly, Http2("v1 {s}", "x")),
    place(
        "credential at the admin API",
        Token,
        Plainly,
        At::Admin("GET /v1/status HTTP/1.1\r\nHost: {h}\r\nAuthorization: Bearer {s}\r\n\r\n"),
    ),
    place(
        "path at the admin API",
        Token,
        Plainly,
        At::Admin("GET /v1/{s}?x={s} HTTP/1.1\r\nHost: {h}\r\n\r\n"),
    ),
    place(
        "head at the admin API",
        Token,
        Plainly,
        At::Admin("GET /v1/status HTTP/1.1\r\nHost: {h}\r\n{s}\r\n\r\n"),
    ),
    place(
        "answer's field",
        Token,
        Plainly,
        Answer("HTTP/1.1 200 OK\r\nX-Internal-Token: {s}\r\nContent-Length: 0\r\n\r\n"),
    ),
    place(
        "answer's cookie",
        Token,
        Plainly,
        Answer("HTTP/1.1 200 OK\r\nSet-Cookie: session={s}; Path=/\r\nContent-Length: 0\r\n\r\n"),
    ),
    place(
        "answer's location",
        Token,
        Plainly,
        Answer("HTTP/1.1 302 Found\r\nLocation: /cb?code={s}\r\nContent-Length: 0\r\n\r\n"),
    ),
    place("answer's reason", Token, Plainly, Answer("HTTP/1.1 500 {s}\r\nContent-Length: 0\r\n\r\n")),
    place(
        "answer's body",
        Password,
        InJson,
        Answer("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"password\":\"{s}\"}"),
    ),
    place(
        "answer's trailer",
        Token,
        Plainly,
        Answer(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n1\r\nx\r\n0\r\nX-T: {s}\r\n\r\n",
        ),
    ),
    place(
        "answer that is cut off",
        Token,
        Plainly,
        Answer("HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{s}"),
    ),
    place("answer with a broken head", Token, Plainly, Answer("HTTP/1.1 200 OK\r\nX-Token {s}\r\n\r\n")),
    place(
        "answer with a broken chunk",
        Token,
        Plainly,
        Answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{s}\r\n"),
    ),
    place("answer that is no HTTP", Token, Plainly, Answer("ERROR password {s} is wrong\r\n\r\n")),
    place("farewell of an HTTP/2 upstream", Token, Plainly, At::Goaway),
    place(
        "secret of a refused configuration",
        Token,
        Plainly,
        Configuration(
            "issuers: [{ name: x, issuer: \"https://x.test\", audiences: [a], algorithms: [HS256], secret: {s} }]",
        ),
    ),
    place(
        "URL of a refused configuration",
        Token,
        Plainly,
        Configuration("  - { name: x, hosts: [x.test], upstream: \"http://u:{s}@127.0.0.1:9\" }"),
    ),
    place(
        "value of a key that nobody knows",
        Token,
        Plainly,
        Configuration(
            "  - { name: x, hosts: [x.test], upstream: \"http://127.0.0.1:9\", api_token: \"{s}\" }",
        ),
    ),
    place("URL of a key set in force", Token, Plainly, At::InForce),
    place("API key of the gateway's own", Token, Plainly, At::ApiKey),
];

/// A place's text with the secret in it.
#[must_use]
pub fn fill(text: &str, secret: &str, host: &str) -> String {
    text.replace("{long}", &format!("{secret}.").repeat(4_000)).replace("{s}", secret).replace("{h}", host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_more_than_fifty() {
        assert!(PLACES.len() >= 50, "{}", PLACES.len());
        let mut names: Vec<_> = PLACES.iter().map(|place| place.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PLACES.len(), "each place has a name of its own");
    }
}
