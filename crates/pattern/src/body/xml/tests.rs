//! Documents that are right, everything that is refused at its place, limits, and what a reader of text sees.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use proptest::prelude::*;

use super::*;

fn refuse(text: &str, limits: &XmlLimits) -> (XmlProblem, usize) {
    let error = Xml::parse(text.as_bytes(), limits, &mut XmlBuffer::new()).expect_err(text);
    (error.problem, error.offset)
}

fn string(bytes: impl AsRef<[u8]>) -> String {
    String::from_utf8(bytes.as_ref().to_vec()).unwrap()
}

#[test]
fn a_document_is_read_with_every_place() {
    let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- c --><s:order xmlns:s='urn:s' id=\"a&amp;&#x41;\tb\">\n  \
                <item n='1'>x &lt; &#233;<![CDATA[<y>&amp;]]>z</item><?pi do it?><empty/></s:order>\n";
    let mut buffer = XmlBuffer::new();
    let xml = Xml::parse(text.as_bytes(), &XmlLimits::default(), &mut buffer).unwrap();
    let root = xml.root().unwrap();
    assert_eq!((string(root.name()), string(root.local_name())), ("s:order".into(), "order".into()));
    assert_eq!(&text[root.span()], &text[text.find("<s:order").unwrap()..text.trim_end().len()]);
    let attributes: Vec<_> =
        xml.attributes().map(|node| (string(node.name()), string(node.text()))).collect();
    assert_eq!(
        attributes,
        [("xmlns:s".into(), "urn:s".into()), ("id".into(), "a&A b".into()), ("n".into(), "1".into())]
    );
    let id = root.attributes().nth(1).unwrap();
    assert_eq!(&text[id.span()], "id=\"a&amp;&#x41;\tb\"");
    assert_eq!(&text[id.text_span()], "a&amp;&#x41;\tb");
    let texts: Vec<_> = xml.texts().map(|node| string(node.text())).collect();
    assert_eq!(texts, ["\n  ", "x < é", "<y>&amp;", "z"]);
    let item = root.children().find(|node| node.local_name() == b"item").unwrap();
    assert_eq!(string(item.text()), "x < é<y>&amp;z");
    assert_eq!(&text[item.text_span()], "x &lt; &#233;<![CDATA[<y>&amp;]]>z");
    let kinds: Vec<_> = root.children().map(XmlNode::kind).collect();
    assert_eq!(kinds, [XmlKind::Text, XmlKind::Element, XmlKind::Instruction, XmlKind::Element]);
    let pi = root.children().nth(2).unwrap();
    assert_eq!((string(pi.name()), string(pi.raw())), ("pi".into(), " do it".into()));
    let mut all = Vec::new();
    xml.text_into(&mut all);
    assert_eq!(string(all), "\n  x < é<y>&amp;z");
    let empty = root.children().last().unwrap();
    assert!(empty.children().next().is_none() && empty.text().is_empty());
}

#[test]
fn names_may_be_of_any_script() {
    for name in ["é", "日本語", "a\u{b7}b", "a\u{301}", "_x-1.y", "x:y"] {
        let text = format!("<{name} {name}='1'/>");
        let mut buffer = XmlBuffer::new();
        let xml = Xml::parse(text.as_bytes(), &XmlLimits::default(), &mut buffer).expect(&text);
        assert_eq!(xml.root().unwrap().name(), name.as_bytes());
    }
}

#[test]
fn line_ends_are_read_as_xml_reads_them() {
    let text = "<a b='1\r\n2\n3\t4\r5'>x\r\ny\rz\n<![CDATA[1\r\n2]]></a>";
    let mut buffer = XmlBuffer::new();
    let xml = Xml::parse(text.as_bytes(), &XmlLimits::default(), &mut buffer).unwrap();
    assert_eq!(string(xml.root().unwrap().text()), "x\ny\nz\n1\n2");
    assert_eq!(string(xml.attributes().next().unwrap().text()), "1 2 3 4 5");
}

#[test]
fn what_is_no_document_is_refused_by_name() {
    use XmlProblem::*;
    let cases = [
        ("", NoRoot, 0),
        ("  <!-- -->", NoRoot, 10),
        ("<a>", UnclosedElement, 3),
        ("<a></b>", EndTag, 3),
        ("<a></a></a>", EndTag, 7),
        ("</a>", EndTag, 0),
        ("<a/><b/>", OutsideRoot, 4),
        ("<a/>x", OutsideRoot, 4),
        ("x<a/>", OutsideRoot, 0),
        ("&amp;<a/>", OutsideRoot, 0),
        ("<![CDATA[]]><a/>", OutsideRoot, 0),
        ("<a>&nbsp;</a>", Entity, 3),
        ("<a>&xxe;</a>", Entity, 3),
        ("<a>&#0;</a>", Entity, 3),
        ("<a>&#xD800;</a>", Entity, 3),
        ("<a>&#x+41;</a>", Entity, 3),
        ("<a>& b</a>", Entity, 3),
        ("<a b='&c;'/>", Entity, 6),
        ("<a b='&amp'/>", Entity, 6),
        ("<a b='<'/>", Attribute, 6),
        ("<a b=c/>", Attribute, 0),
        ("<a b/>", Attribute, 0),
        ("<a b='1'c='2'/>", Attribute, 8),
        ("<a b='1' b='2'/>", DuplicateAttribute, 9),
        ("<a 1='1'/>", Name, 3),
        ("< a/>", Name, 0),
        ("<1/>", Name, 0),
        ("<\u{85}/>", Name, 0),
        ("<a \u{d7}='1'/>", Name, 3),
        ("<a>]]></a>", Markup, 3),
        ("<a><!-- -- --></a>", Markup, 8),
        ("<a", Markup, 0),
        ("<a><![CDATA[x</a>", Markup, 3),
        ("<a>\u{0}</a>", InvalidCharacter, 3),
        ("<a>\u{ffff}</a>", InvalidCharacter, 3),
        ("<a>\u{1b}</a>", InvalidCharacter, 3),
        (" <?xml version='1.0'?><a/>", Declaration, 1),
        ("<?xml version='1.1'?><a/>", Version, 0),
        ("<?xml encoding='utf-8'?><a/>", Declaration, 0),
        ("<?xml encoding='utf-8' version='1.0'?><a/>", Declaration, 0),
        ("<?xml version='1.0' standalone='maybe'?><a/>", Declaration, 0),
        ("<?xml version='1.0' x='y'?><a/>", Declaration, 0),
        ("<?xml version='1.0' encoding=' '?><a/>", Declaration, 0),
        ("<a><?xml version='1.0'?></a>", Declaration, 3),
        ("<!DOCTYPE a><a/>", Dtd, 0),
        ("<!doctype a><a/>", Dtd, 0),
        ("<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>", Dtd, 0),
        ("<a><!DOCTYPE b></a>", Dtd, 3),
    ];
    for (text, problem, offset) in cases {
        assert_eq!(refuse(text, &XmlLimits::default()), (problem, offset), "{text:?}");
        assert!(!problem.is_limit());
    }
    let error = Xml::parse(b"<a>\xff</a>", &XmlLimits::default(), &mut XmlBuffer::new()).unwrap_err();
    assert_eq!(error, XmlError { offset: 3, problem: InvalidUtf8 });
}

#[test]
fn a_bomb_of_entities_ends_before_it_begins() {
    let mut bomb = "<!DOCTYPE lolz [<!ENTITY lol \"lol\">".to_owned();
    for level in 1..30 {
        bomb += &format!("<!ENTITY lol{level} \"{}\">", format!("&lol{};", level - 1).repeat(10));
    }
    bomb += "]><lolz>&lol29;</lolz>";
    let mut buffer = XmlBuffer::new();
    let error = Xml::parse(bomb.as_bytes(), &XmlLimits::default(), &mut buffer).unwrap_err();
    assert_eq!(error, XmlError { offset: 0, problem: XmlProblem::Dtd });
    assert!(buffer.xml(bomb.as_bytes()).is_empty());
}

#[test]
fn each_limit_is_exact() {
    use XmlProblem::*;
    let limits = XmlLimits { depth: 2, nodes: 5, attributes: 2 };
    for fine in ["<a><b/></a>", "<a>1<b/>2<b/></a>", "<a b='' c=''/>"] {
        Xml::parse(fine.as_bytes(), &limits, &mut XmlBuffer::new()).expect(fine);
    }
    for (text, problem, offset) in [
        ("<a><b><c/></b></a>", TooDeep, 6),
        ("<a>1<b/>2<b/>3</a>", TooManyNodes, 13),
        ("<a b='' c='' d=''/>", TooManyAttributes, 13),
    ] {
        assert_eq!(refuse(text, &limits), (problem, offset));
        assert!(problem.is_limit());
    }
    let deep = "<a>".repeat(100_000);
    assert_eq!(refuse(&deep, &XmlLimits::default()), (TooDeep, 256 * 3));
    let limits = XmlLimits { depth: 200_000, nodes: 200_000, ..limits };
    let deep = deep + &"</a>".repeat(100_000);
    let mut buffer = XmlBuffer::new();
    let xml = Xml::parse(deep.as_bytes(), &limits, &mut buffer).unwrap();
    assert_eq!((xml.len(), xml.root().unwrap().next_index()), (100_000, 100_000));
}

#[test]
fn what_came_before_an_error_can_be_looked_at() {
    let text = b"<a x='1'><b>evil</b>\x00</a>";
    let mut buffer = XmlBuffer::new();
    Xml::parse(text, &XmlLimits::default(), &mut buffer).unwrap_err();
    let xml = buffer.xml(text);
    assert_eq!(string(xml.root().unwrap().text()), "evil");
    assert_eq!(xml.attributes().count(), 1);
}

#[test]
fn the_declared_encoding_is_found() {
    let cases: [(&[u8], Option<&[u8]>); 5] = [
        (b"<?xml version='1.0' encoding='iso-8859-1'?><a/>", Some(b"iso-8859-1")),
        (b"<?xml version='1.0' encoding = \"UTF-8\" ?><a/>", Some(b"UTF-8")),
        (b"<?xml version='1.0'?><a encoding='x'/>", None),
        (b"<a encoding='x'/>", None),
        (b"<?xml encoding='x", None),
    ];
    for (text, encoding) in cases {
        assert_eq!(declared_encoding(text), encoding);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Any text that is escaped comes back from elements and attributes.
    #[test]
    fn what_is_written_comes_back(texts in prop::collection::vec("[a-z<>&'\"é€ ]{0,12}", 1..8)) {
        let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        let body: String = texts.iter().map(|text| format!("<i v=\"{0}\">{0}</i>", escape(text))).collect();
        let body = format!("<all>{body}</all>");
        let mut buffer = XmlBuffer::new();
        let xml = Xml::parse(body.as_bytes(), &XmlLimits::default(), &mut buffer).unwrap();
        let values: Vec<_> = xml.attributes().map(|node| string(node.text())).collect();
        prop_assert_eq!(&values, &texts);
        let inner: Vec<_> = xml.root().unwrap().children().map(|node| string(node.text())).collect();
        prop_assert_eq!(&inner, &texts);
    }

    /// Pieces in any order end, with spans inside the text and numbers that only go forward.
    #[test]
    fn any_pieces_end(pieces in prop::collection::vec(prop::sample::select(vec![
        "<a>", "</a>", "<b/>", "<a ", "c='1'", " d=\"&lt;\"", ">", "/>", "text", "&amp;", "&", ";", "<!--", "-->", "<![CDATA[",
        "]]>", "<?p", "?>", "<!DOCTYPE a>", "\u{0}", "é", "<", "\"",
    ]), 0..16)) {
        let text = pieces.concat();
        let mut buffer = XmlBuffer::new();
        if let Err(error) = Xml::parse(text.as_bytes(), &XmlLimits::default(), &mut buffer) {
            prop_assert!(error.offset <= text.len());
        }
        for node in buffer.xml(text.as_bytes()).nodes() {
            prop_assert!(node.next_index() > node.index());
            prop_assert!(node.span().end <= text.len() && node.text_span().start <= node.text_span().end);
            prop_assert!(std::str::from_utf8(node.raw()).is_ok());
            let _ = node.text();
        }
    }
}
