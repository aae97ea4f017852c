use http::HeaderValue;

use super::*;

fn headers(accept: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if !accept.is_empty() {
        headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
    }
    headers
}

fn form_of(accept: &str) -> Option<Form> {
    form(&headers(accept)).ok()
}

#[test]
fn tables_are_given_in_the_version_that_comes_first() {
    let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,\
                   application/json";
    assert_eq!(form_of(kubectl), Some(Form::Table(MetaVersion::V1)));
    let old = "application/json;g=meta.k8s.io;v=v1beta1;as=Table, application/json";
    assert_eq!(form_of(old), Some(Form::Table(MetaVersion::V1Beta1)));
}

#[test]
fn json_is_the_answer_to_whoever_would_take_it() {
    for accept in [
        "",
        "*/*",
        "application/json, */*;q=0.8",
        "application/vnd.kubernetes.protobuf,application/json",
        "application/vnd.kubernetes.protobuf, */*",
        "application/json;stream=watch",
        "application/json;as=Table;v=v2;g=meta.k8s.io,application/json",
        "application/json;as=Foo;v=v1;g=meta.k8s.io, application/json",
    ] {
        assert_eq!(form_of(accept), Some(Form::Plain), "{accept}");
    }
}

#[test]
fn a_higher_quality_wins_over_the_order() {
    let accept = "application/json;q=0.5, application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    assert_eq!(form_of(accept), Some(Form::Metadata(MetaVersion::V1)));
    assert_eq!(form_of("application/json;q=0, text/plain"), None);
}

#[test]
fn nothing_acceptable_is_refused() {
    let error = form(&headers("application/vnd.kubernetes.protobuf")).unwrap_err();
    assert_eq!((error.code(), error.reason()), (406, "NotAcceptable"));
    assert_eq!(form_of("application/json;as=Table;v=v1;g=other"), None);
}

#[test]
fn aggregated_discovery_is_given_to_whoever_knows_it() {
    let aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                      application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
    assert_eq!(discovery_form(&headers(aggregated)), Ok(DiscoveryForm::V2));
    let beta = aggregated.split_once(',').unwrap().1;
    assert_eq!(discovery_form(&headers(beta)), Ok(DiscoveryForm::V2Beta1));
    assert_eq!(discovery_form(&headers("application/json, */*")), Ok(DiscoveryForm::Legacy));
    assert!(discovery_form(&headers("text/html")).is_err());
}
