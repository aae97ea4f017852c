use http_body_util::BodyExt as _;

use super::*;

async fn body(response: Response) -> Value {
    serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

fn now() -> Timestamp {
    "2026-11-23T02:00:00Z".parse().unwrap()
}

fn document(openapi: &OpenApi, url: &str) -> Response {
    let (_, query) = url.split_once('?').unwrap_or((url, ""));
    openapi.document("batch", "v1", &Query::parse(query), &HeaderMap::new(), now()).unwrap()
}

#[tokio::test]
async fn every_kind_says_that_its_fields_are_validated_here() {
    let openapi = OpenApi::new();
    for &kind in Kind::ALL {
        let d = kind.descriptor();
        let response =
            openapi.document(d.group, d.version, &Query::default(), &HeaderMap::new(), now()).unwrap();
        let document = body(response).await;
        let gvk = group_version_kind(d);
        let paths = document["paths"].as_object().unwrap();
        let mut patches = paths.values().map(|path| &path["patch"]);
        let patch = patches.find(|patch| patch["x-kubernetes-group-version-kind"] == gvk).unwrap();
        let parameters = patch["parameters"].as_array().unwrap();
        assert!(parameters.iter().any(|parameter| parameter["name"] == "fieldValidation"), "{kind}");
        let schemas = document["components"]["schemas"].as_object().unwrap();
        assert!(schemas.values().any(|schema| schema["x-kubernetes-group-version-kind"][0] == gvk), "{kind}");
    }
}

#[tokio::test]
async fn documents_may_be_kept_under_the_url_that_the_index_names() {
    let openapi = OpenApi::new();
    let index = body(openapi.index(&HeaderMap::new())).await;
    let url = index["paths"]["apis/batch/v1"]["serverRelativeURL"].as_str().unwrap().to_owned();
    let kept = document(&openapi, &url);
    assert_eq!(kept.headers()[header::CACHE_CONTROL], "public, immutable");
    assert_eq!(kept.headers()[header::EXPIRES], "Tue, 23 Nov 2027 02:00:00 GMT");

    let moved = document(&openapi, "/openapi/v3/apis/batch/v1?hash=OLD");
    assert_eq!(moved.status(), StatusCode::MOVED_PERMANENTLY);
    assert_eq!(moved.headers()[header::LOCATION], url.as_str());
    assert_eq!(document(&openapi, "").headers()[header::CACHE_CONTROL], "no-cache");
    let none = openapi.document("authorization.k8s.io", "v1", &Query::default(), &HeaderMap::new(), now());
    assert!(none.is_none());
}

#[test]
fn the_v2_document_is_sent_as_protobuf_only() {
    let openapi = OpenApi::new();
    let mut headers = HeaderMap::new();
    assert_eq!(openapi.v2(&headers).unwrap_err().code(), 406);
    headers.insert(header::ACCEPT, HeaderValue::from_static(V2_ACCEPTED));
    assert_eq!(openapi.v2(&headers).unwrap().headers()[header::CONTENT_TYPE], V2_SENT);
}
