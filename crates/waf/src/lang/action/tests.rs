//! Tests of the reading of actions.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests assert")]

use super::*;
use crate::variables::Variable;

#[test]
fn a_rule_of_the_core_rule_set_is_read_whole() {
    let actions = Actions::parse(
        "id:920171, phase:1, block, capture, t:none,t:lowercase,\
         msg:'GET, or \\'HEAD\\' with body', logdata:%{MATCHED_VAR}, tag:'OWASP_CRS', tag:paranoia-level/1,\
         ver:'OWASP_CRS/4', severity:'CRITICAL', multiMatch, skipAfter:END,\
         setvar:'tx.inbound_anomaly_score_pl1=+%{tx.critical_anomaly_score}', setvar:!tx.a, setvar:ip.b, chain",
    )
    .unwrap();
    assert_eq!(actions.id, Some(920_171));
    assert_eq!(actions.msg.unwrap().as_literal().unwrap(), b"GET, or 'HEAD' with body");
    assert_eq!(actions.severity.unwrap().number(), 2);
    assert_eq!(actions.tags.len(), 2);
    assert!(actions.capture && actions.multi_match && actions.chain);
    assert_eq!(actions.skip_after.as_deref(), Some("END"));
    assert!(matches!(
        &actions.effects[0],
        Effect::SetVar { collection: Variable::Tx, change: Change::Add(_), .. }
    ));
    assert!(matches!(&actions.effects[1], Effect::SetVar { change: Change::Remove, .. }));
    assert!(matches!(
        &actions.effects[2],
        Effect::SetVar { collection: Variable::Ip, change: Change::Set(_), .. }
    ));
}

#[test]
fn names_of_variables_may_hold_macros() {
    let actions = Actions::parse("setvar:'TX.header_%{tx.0}=/%{tx.0}/'").unwrap();
    let Effect::SetVar { name, change: Change::Set(value), .. } = &actions.effects[0] else {
        panic!("setvar")
    };
    assert_eq!(name.source(), "header_%{TX.0}");
    assert_eq!(value.source(), "/%{TX.0}/");
}

#[test]
fn controls_are_typed() {
    for (text, control) in [
        ("ctl:ruleEngine=DetectionOnly", Control::RuleEngine(EngineMode::DetectionOnly)),
        ("ctl:requestBodyProcessor=json", Control::RequestBodyProcessor(Processor::Json)),
        ("ctl:forceRequestBodyVariable=On", Control::ForceRequestBodyVariable(true)),
        ("ctl:auditEngine=Off", Control::AuditEngine(AuditMode::Off)),
    ] {
        let actions = Actions::parse(text).unwrap();
        assert_eq!(actions.effects, [Effect::Control(Box::new(control))], "{text}");
    }
    let actions = Actions::parse("ctl:ruleRemoveTargetById=1-9;ARGS:pwd").unwrap();
    assert!(matches!(&actions.effects[0], Effect::Control(control)
        if matches!(&**control, Control::RemoveTarget(Which::Ids(ids), _) if ids.contains(5))));
}

#[test]
fn everything_wrong_is_told_at_its_offset() {
    let faults = Actions::parse("id:x,phase:9,denny,exec:/bin/a,t:nothing,ctl:a=b,setvar:args.x=1,pass:1")
        .unwrap_err();
    let told: Vec<(usize, &str)> =
        faults.iter().map(|fault| (fault.offset, fault.message.as_str())).collect();
    assert_eq!(told.len(), 8, "{told:?}");
    assert_eq!(told[2], (13, "`denny` is no action"));
    assert!(faults[2].help.contains("`deny`"));
    assert_eq!(told[3].1, "action `exec` is refused");
    for broken in ["msg:'a", "msg:'a'b", "id:1,,deny"] {
        assert!(Actions::parse(broken).is_err(), "{broken}");
    }
}
