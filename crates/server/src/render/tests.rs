use cronlet_object::api::ConfigMap;
use http_body_util::BodyExt as _;

use super::*;

fn object(name: &str, payload: &str, revision: u64) -> Arc<Object> {
    let mut object = ConfigMap::default();
    object.metadata.name = Some(name.into());
    object.metadata.namespace = Some("ns".into());
    object.metadata.annotations = Some([("a".to_owned(), "{\"resourceVersion\":\"0\",".to_owned())].into());
    object.data = Some([("k".to_owned(), payload.to_owned())].into());
    Arc::new(Draft::of(&object).seal(revision))
}

fn renderer(form: Form, query: &str) -> Renderer {
    let now = "2026-11-23T02:00:00Z".parse().unwrap();
    Renderer::new(Kind::ConfigMap, form, &Query::parse(query), now).unwrap()
}

async fn body(response: Response) -> Value {
    serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

const FORMS: [Form; 3] = [Form::Plain, Form::Metadata(MetaVersion::V1), Form::Table(MetaVersion::V1)];

#[tokio::test]
async fn lists_of_any_length_are_whole() {
    for form in FORMS {
        for count in [0, 1, 2, 500] {
            let objects = (0..count).map(|i| object(&format!("c{i}"), &"x".repeat(1000), 3)).collect();
            let list = body(renderer(form, "").list(&ListMeta::at(9), objects)).await;
            assert_eq!(list["metadata"], json!({"resourceVersion": "9"}));
            let rows = if matches!(form, Form::Table(_)) { "rows" } else { "items" };
            assert_eq!(list[rows].as_array().unwrap().len(), count, "{form:?}");
        }
    }
}

#[tokio::test]
async fn list_metadata_tell_of_further_pages() {
    let meta = ListMeta { revision: 9, continue_token: Some("t".into()), remaining: Some(5) };
    let list = body(renderer(Form::Plain, "").list(&meta, Vec::new())).await;
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("ConfigMapList"), &json!("v1")));
    assert_eq!(list["metadata"], json!({"resourceVersion": "9", "continue": "t", "remainingItemCount": 5}));
}

#[tokio::test]
async fn items_of_a_list_do_not_say_what_they_are() {
    let list = body(renderer(Form::Plain, "").list(&ListMeta::at(9), vec![object("c", "v", 3)])).await;
    let item = &list["items"][0];
    assert_eq!((item.get("kind"), item.get("apiVersion")), (None, None));
    assert_eq!(item["data"]["k"], "v");
}

#[tokio::test]
async fn rows_hold_as_much_of_the_object_as_was_asked_for() {
    for (query, expected) in [
        ("", json!("PartialObjectMetadata")),
        ("includeObject=Object", json!("ConfigMap")),
        ("includeObject=None", Value::Null),
    ] {
        let renderer = renderer(Form::Table(MetaVersion::V1Beta1), query);
        let table = body(renderer.answer(StatusCode::OK, &object("c", "v", 3))).await;
        assert_eq!(table["apiVersion"], "meta.k8s.io/v1beta1");
        assert_eq!(table["rows"][0]["cells"][0], "c");
        assert_eq!(table["rows"][0]["object"]["kind"], expected, "{query}");
        assert_eq!(table["columnDefinitions"][0]["name"], "Name");
    }
}

#[tokio::test]
async fn a_created_object_that_was_not_stored_has_no_revision() {
    for form in FORMS {
        let mut stored = object("c", "v", 3).decode::<ConfigMap>();
        stored.metadata.resource_version = None;
        let answer = renderer(form, "").answer(StatusCode::CREATED, &Draft::of(&stored).unsealed());
        let answer = body(answer).await;
        let metadata = if matches!(form, Form::Table(_)) {
            &answer["rows"][0]["object"]["metadata"]
        } else {
            &answer["metadata"]
        };
        assert_eq!(metadata.get("resourceVersion"), None, "{form:?}");
        assert_eq!(metadata["annotations"]["a"], "{\"resourceVersion\":\"0\",");
    }
}

#[test]
fn bookmarks_carry_the_revision_and_the_end_of_the_initial_events() {
    for form in FORMS {
        let mut text = String::new();
        renderer(form, "").bookmark(&mut text, 12, true);
        let object: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(object["metadata"]["resourceVersion"], "12", "{form:?}");
        let annotated = if matches!(form, Form::Table(_)) { &object["rows"][0]["object"] } else { &object };
        assert_eq!(annotated["metadata"]["annotations"][INITIAL_EVENTS_END], "true");
    }
}

#[test]
fn every_kind_has_a_bookmark() {
    for &kind in Kind::ALL {
        let renderer = Renderer { kind, ..renderer(Form::Plain, "") };
        let mut text = String::new();
        renderer.bookmark(&mut text, 12, false);
        let object: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(object["kind"], kind.descriptor().kind);
        assert_eq!(object["metadata"].get("annotations"), None);
    }
}
