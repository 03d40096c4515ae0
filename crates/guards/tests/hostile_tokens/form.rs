//! Texts that are no compact form, and signatures that are none.

use base64::{Engine, engine::general_purpose::URL_SAFE};
use serde_json::json;

use crate::{Keys, Table, b64, claims, header, input, with};

pub fn forms(table: &mut Table, keys: &Keys) {
    let (good_header, payload) = (header().to_string(), claims().to_string());
    let good = keys.es(&good_header, &payload);
    let parts: Vec<&str> = good.split('.').collect();
    let (head, body, signature) = (parts[0], parts[1], parts[2]);
    for (name, token) in [
        ("two parts", format!("{head}.{body}")),
        ("four parts", format!("{good}.{signature}")),
        ("five parts", format!("{good}.{head}.{body}")),
        (
            "an encrypted token",
            format!("{}.{body}.{body}.{body}.{signature}", b64(r#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#)),
        ),
        ("one part", head.to_owned()),
        ("dots", "..".to_owned()),
        ("a dot", ".".to_owned()),
        ("five dots", ".....".to_owned()),
        ("no header", format!(".{body}.{signature}")),
        ("no payload", format!("{head}..{signature}")),
        ("no signature", format!("{head}.{body}.")),
        ("a dot in front", format!(".{good}")),
        ("a dot behind", format!("{good}.")),
        ("padded header", format!("{}=.{body}.{signature}", head)),
        ("padded signature", format!("{good}==")),
        (
            "header padded as it must be",
            format!("{}.{body}.{signature}", URL_SAFE.encode(format!("{good_header} "))),
        ),
        ("twice", format!("{good}{good}")),
        ("with a blank", format!("{head}. {body}.{signature}")),
        ("with a tab", format!("{head}.\t{body}.{signature}")),
        ("with an escaped blank", format!("{good}%20")),
        ("with a quote", format!("\"{good}\"")),
        ("two, with a comma", format!("{good},{good}")),
        ("the scheme twice", format!("Bearer {good}")),
        (
            "general JSON",
            json!({ "payload": body, "signatures": [{ "protected": head, "signature": signature }] })
                .to_string(),
        ),
        ("flattened JSON", json!({ "payload": body, "protected": head, "signature": signature }).to_string()),
        ("JSON of the compact form", format!("{{\"{head}.{body}.\":\"\",\"signature\":\"{signature}\"}}")),
        ("hexadecimal", good.bytes().map(|b| format!("{b:02x}")).collect()),
        ("in base64 again", b64(&good)),
        ("a cut header", format!("{}.{body}.{signature}", &head[..head.len() - 1])),
        ("a cut payload", format!("{head}.{}.{signature}", &body[..body.len() - 2])),
        ("a longer payload", format!("{head}.{body}AA.{signature}")),
        ("header in UTF-16", {
            let utf16: Vec<u8> = good_header.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let message = format!("{}.{body}", b64(utf16));
            format!("{message}.{}", b64(keys.es_signature(&message)))
        }),
        ("header with bytes that are no text", {
            let message = format!("{}.{body}", b64(b"{\"alg\":\"ES256\",\"kid\":\"ec\",\"x\":\"\xff\"}"));
            format!("{message}.{}", b64(keys.es_signature(&message)))
        }),
        ("detached payload", format!("{head}..{}", b64(keys.es_signature(&format!("{head}.{body}"))))),
        ("unencoded payload", {
            let head = b64(r#"{"alg":"ES256","kid":"ec","b64":false,"crit":["b64"]}"#);
            format!(
                "{head}.{}.{}",
                payload.replace('.', ""),
                b64(keys.es_signature(&format!("{head}.{payload}")))
            )
        }),
        ("the letters of standard base64", good.replace('-', "+").replace('_', "/") + "+"),
    ] {
        table.add(format!("form: {name}"), token);
    }
    // The last letter of 64 bytes has bits that mean nothing: each other letter of the same bytes is another text.
    for (name, part) in [("signature", 2), ("header", 0), ("payload", 1)] {
        let text = parts[part];
        if text.len().is_multiple_of(4) {
            continue;
        }
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let last = text.chars().last().unwrap();
        let at = alphabet.find(last).unwrap();
        let changed = alphabet.chars().nth(at | 1).unwrap();
        let mut altered: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
        altered[part] = format!("{}{changed}", &text[..text.len() - 1]);
        if changed != last {
            table.add(format!("stray bits in the {name}"), altered.join("."));
        }
    }
}

pub fn signatures(table: &mut Table, keys: &Keys) {
    let message = input(&header().to_string(), &claims().to_string());
    let good = keys.es_signature(&message);
    let order = {
        let hex = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
        (0..32).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect::<Vec<u8>>()
    };
    let (r, s) = (good[..32].to_vec(), good[32..].to_vec());
    let (zero, one) = (vec![0; 32], [vec![0; 31], vec![1]].concat());
    let der = |r: &[u8], s: &[u8]| {
        let integer = |n: &[u8]| {
            let sign = if n[0] > 0x7f { vec![0] } else { Vec::new() };
            let number = [sign, n.to_vec()].concat();
            [vec![2, u8::try_from(number.len()).unwrap()], number].concat()
        };
        let both = [integer(r), integer(s)].concat();
        [vec![0x30, u8::try_from(both.len()).unwrap()], both].concat()
    };
    let mut flipped = good.clone();
    flipped[40] ^= 1;
    for (name, signature) in [
        ("r and s zero", [zero.clone(), zero.clone()].concat()),
        ("r zero", [zero.clone(), s.clone()].concat()),
        ("s zero", [r.clone(), zero.clone()].concat()),
        ("r and s one", [one.clone(), one.clone()].concat()),
        ("r the order", [order.clone(), s.clone()].concat()),
        ("s the order", [r.clone(), order.clone()].concat()),
        ("r and s the order", [order.clone(), order.clone()].concat()),
        ("all ones", vec![0xff; 64]),
        ("swapped", [s.clone(), r.clone()].concat()),
        ("DER", der(&r, &s)),
        ("DER of zeros", der(&zero, &zero)),
        ("one byte short", good[..63].to_vec()),
        ("one byte long", [good.clone(), vec![0]].concat()),
        ("a zero in front", [vec![0], good.clone()].concat()),
        ("twice", [good.clone(), good.clone()].concat()),
        (
            "as long as another curve's",
            [zero[..16].to_vec(), r.clone(), zero[..16].to_vec(), s.clone()].concat(),
        ),
        ("half", r.clone()),
        ("one bit wrong", flipped),
        ("of the header alone", keys.es_signature(&b64(header().to_string()))),
        (
            "of another token",
            keys.es_signature(&input(&header().to_string(), &with(claims(), "sub", Some(json!("bob"))))),
        ),
        ("of the decoded text", keys.es_signature(&format!("{}.{}", header(), claims()))),
        ("empty", Vec::new()),
    ] {
        table.add(format!("signature: {name}"), format!("{message}.{}", b64(signature)));
    }
    let rsa = input(&json!({ "alg": "RS256", "kid": "rsa" }).to_string(), &claims().to_string());
    let length = keys.rsa.public_modulus_len();
    for (name, signature) in [
        ("zeros", vec![0; length]),
        ("one", [vec![0; length - 1], vec![1]].concat()),
        ("the modulus", keys.modulus()),
        ("all ones", vec![0xff; length]),
        ("short", vec![1; length - 1]),
        ("long", vec![1; length + 1]),
    ] {
        table.add(format!("RSA signature: {name}"), format!("{rsa}.{}", b64(signature)));
    }
    let ed = input(&json!({ "alg": "EdDSA", "kid": "ed" }).to_string(), &claims().to_string());
    for (name, signature) in
        [("zeros", vec![0; 64]), ("neutral", [vec![1], vec![0; 63]].concat()), ("ones", vec![0xff; 64])]
    {
        table.add(format!("Ed25519 signature: {name}"), format!("{ed}.{}", b64(signature)));
    }
}
