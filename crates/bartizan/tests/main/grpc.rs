//! A grpcio server used by a grpcio client: every kind of call, trailers, errors, deadlines; refusals as gRPC status.

use serde_json::json;

use crate::support::{Peer, before, json as run, policy, python_script, with};

#[test]
fn every_kind_of_call_passes_with_its_trailers() {
    let (Some(server), Some(mut client)) = (Peer::python("grpc_server.py"), python_script("grpc_client.py"))
    else {
        return;
    };
    let gateway = before(&server.url());
    let told = run(client.arg(gateway.address.port().to_string()));
    assert_eq!(told["unary"]["answer"], "hello world");
    assert_eq!(told["unary"]["trailers"], json!({ "x-trailer": "end", "x-seen": "abc" }));
    assert_eq!(told["failing"], json!({ "code": "FAILED_PRECONDITION", "details": "not now: 100% sure" }));
    assert_eq!(told["unknown"]["code"], "UNIMPLEMENTED");
    assert_eq!(told["deadline"]["code"], "DEADLINE_EXCEEDED");
    assert_eq!(told["counting"], json!(["0", "1", "2", "3", "4"]));
    assert_eq!((&told["summing"], &told["echoing"]), (&json!("42"), &json!(["a", "b", "c"])));
    assert_eq!(told["turns"], json!(["0", "1", "2", "3", "4"]));
    assert_eq!(told["large"], json!(3_000_006));
}

#[test]
fn a_refusal_is_a_grpc_status_and_not_an_http_error() {
    let (Some(server), Some(mut client)) = (Peer::python("grpc_server.py"), python_script("grpc_client.py"))
    else {
        return;
    };
    let gateway = with(&policy(&server.url(), "    guards: { ip_access: { deny: [127.0.0.0/8] } }\n"));
    let told = run(client.arg(gateway.address.port().to_string()));
    assert_eq!(told["unary"]["code"], "PERMISSION_DENIED", "{told}");
    assert_eq!(told["counting"]["code"], "PERMISSION_DENIED", "{told}");
}
