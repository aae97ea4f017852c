//! Whatever is sent, the answer is a Status or a page that does not exist, and the server goes on.

use http::{Method, header};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    CONFIG_MAPS, CRONJOBS, JOBS, config_map, cron_job,
    harness::{Answer, Server, request},
    job,
};

/// Bodies that are nearly right: a valid one with a piece replaced.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let valid = prop_oneof![
        Just(job("a").to_string()),
        Just(cron_job("a").to_string()),
        Just(config_map("a", "v").to_string()),
        Just("k8s\0\n\x0f\n\x08batch/v1\x12\x03Job\x12\x02\n\0".to_owned()),
        Just(json!([{"op": "add", "path": "/metadata/labels", "value": {}}]).to_string()),
    ];
    let noise = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..12),
        "[\\[\\]{}\":,a-z0-9$/~-]{0,20}".prop_map(String::into_bytes),
    ];
    (valid, noise, any::<prop::sample::Index>(), 0_usize..20).prop_map(|(valid, noise, at, cut)| {
        let mut bytes = valid.into_bytes();
        let at = at.index(bytes.len());
        let end = (at + cut).min(bytes.len());
        bytes.splice(at..end, noise);
        bytes
    })
}

fn paths() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(CONFIG_MAPS.to_owned()),
        Just(format!("{CONFIG_MAPS}/a")),
        Just(JOBS.to_owned()),
        Just(format!("{JOBS}/a")),
        Just(format!("{JOBS}/a/status")),
        Just(CRONJOBS.to_owned()),
        Just("/api/v1/namespaces/default/pods/a/log".to_owned()),
        Just("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews".to_owned()),
        "(/(api|apis|v1|batch|namespaces|default|jobs|openapi|v3|a|%[0-9a-f]{2}|[!$&-.0-9:;=@A-Z_a-z~]{0,4})){1,7}",
    ]
}

fn queries() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("labelSelector"),
        Just("fieldSelector"),
        Just("limit"),
        Just("continue"),
        Just("resourceVersion"),
        Just("resourceVersionMatch"),
        Just("sendInitialEvents"),
        Just("watch"),
        Just("timeoutSeconds"),
        Just("dryRun"),
        Just("fieldValidation"),
        Just("includeObject"),
        Just("tailLines"),
        Just("sinceTime"),
        Just("propagationPolicy"),
        Just("gracePeriodSeconds"),
        Just("hash"),
    ];
    let value = prop_oneof![
        "([a-zA-Z0-9=,.!()+-]|%[0-9a-f]{2}){0,12}",
        "-?[0-9]{1,20}",
        Just("true".to_owned()),
        Just("All".to_owned()),
    ];
    prop::collection::vec((name, value), 0..4).prop_map(|pairs| {
        let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("&")
    })
}

fn check(answer: &Answer, path: &str) {
    let code = answer.code.as_u16();
    if code < 400 || answer.text() == "404 page not found\n" {
        return;
    }
    let status: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    assert_eq!(
        (&status["kind"], &status["code"]),
        (&json!("Status"), &json!(code)),
        "{path}: {}",
        answer.text()
    );
    assert!(status["message"].as_str().is_some_and(|message| !message.is_empty()), "{path}: {status}");
    // 500 is upstream's answer to some patches, never to a defect.
    assert!(
        !status["message"].as_str().unwrap_or_default().contains("the server failed"),
        "{path}: {status}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_request_is_answered(
        method in prop::sample::select(vec!["GET", "POST", "PUT", "PATCH", "DELETE"]),
        path in paths(),
        query in queries(),
        content_type in prop::sample::select(vec![
            "application/json",
            "application/yaml",
            "application/vnd.kubernetes.protobuf",
            "application/merge-patch+json",
            "application/json-patch+json",
            "application/strategic-merge-patch+json",
            "x",
        ]),
        accept in "(application/json|\\*/\\*|;|as=Table|v=v1|g=meta.k8s.io|q=[0-9.x]{0,3}|,| ){0,6}",
        body in bodies(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::start().await;
            server.post(JOBS, &job("a")).await.expect(201);
            server.post(CONFIG_MAPS, &config_map("a", "v")).await.expect(201);
            let uri = format!("{path}?{query}");
            let request = request(Method::from_bytes(method.as_bytes()).unwrap(), &uri)
                .header(header::CONTENT_TYPE, content_type)
                .header(header::ACCEPT, accept);
            let Ok(request) = request.body(body.into()) else { return };
            let response = server.open(request).await;
            // A watch has no end.
            if response.status() != 200 {
                check(&Answer::read(response).await, &uri);
            }
            server.get(JOBS).await.expect(200);
        });
    }
}
