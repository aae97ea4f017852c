//! Questions that clients ask by creating them: may I, or may somebody, do this; what may I do; who am I.

use axum::response::Response;
use cronlet_object::{
    ApiError, FieldErrors, Path,
    rbac::{self, Action, Asker, ResourceAction},
};
use http::StatusCode;
use k8s_openapi::api::{
    authentication::v1::{
        SelfSubjectReview, SelfSubjectReviewStatus, TokenReview, TokenReviewStatus, UserInfo,
    },
    authorization::v1::{
        LocalSubjectAccessReview, NonResourceAttributes, NonResourceRule, ResourceAttributes, ResourceRule,
        SelfSubjectAccessReview, SelfSubjectRulesReview, SubjectAccessReview, SubjectAccessReviewSpec,
        SubjectAccessReviewStatus, SubjectRulesReviewStatus,
    },
};
use serde::Serialize;

use crate::{api::Shared, authn::User, body::Body, reply, token::ISSUER};

/// A question about who may do what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Review {
    /// `SelfSubjectAccessReview`: may I do this? `kubectl auth can-i`.
    Access,
    /// `SelfSubjectRulesReview`: what may I do? `kubectl auth can-i --list`.
    Rules,
    /// `SelfSubjectReview`: who am I? `kubectl auth whoami`.
    Caller,
    /// `SubjectAccessReview`: may they do this?
    Subject,
    /// `LocalSubjectAccessReview`: may they do this in the namespace?
    LocalSubject(String),
    /// `TokenReview`: whose token is this?
    Token,
}

const AUTHORIZATION: (&str, &str) = ("authorization.k8s.io", "v1");

impl Review {
    /// Every question; the namespace of the one that has one is empty.
    pub fn all() -> [Review; 6] {
        let local = Review::LocalSubject(String::new());
        [Review::Access, Review::Rules, Review::Caller, Review::Subject, local, Review::Token]
    }

    /// The API group and version.
    pub fn group_version(&self) -> (&'static str, &'static str) {
        match self {
            Review::Caller | Review::Token => ("authentication.k8s.io", "v1"),
            _ => AUTHORIZATION,
        }
    }

    /// The kind, as in manifests.
    pub fn kind(&self) -> &'static str {
        match self {
            Review::Access => "SelfSubjectAccessReview",
            Review::Rules => "SelfSubjectRulesReview",
            Review::Caller => "SelfSubjectReview",
            Review::Subject => "SubjectAccessReview",
            Review::LocalSubject(_) => "LocalSubjectAccessReview",
            Review::Token => "TokenReview",
        }
    }

    /// The resource name in request paths.
    pub fn plural(&self) -> &'static str {
        match self {
            Review::Access => "selfsubjectaccessreviews",
            Review::Rules => "selfsubjectrulesreviews",
            Review::Caller => "selfsubjectreviews",
            Review::Subject => "subjectaccessreviews",
            Review::LocalSubject(_) => "localsubjectaccessreviews",
            Review::Token => "tokenreviews",
        }
    }

    /// The singular resource name.
    pub fn singular(&self) -> &'static str {
        self.plural().trim_end_matches('s')
    }

    /// Whether it is asked in a namespace.
    pub fn is_namespaced(&self) -> bool {
        matches!(self, Review::LocalSubject(_))
    }

    /// The question asked at a path; the namespace is empty for those without.
    pub fn from_resource(group: &str, version: &str, plural: &str, namespace: &str) -> Option<Review> {
        let found = Review::all().into_iter().find(|review| {
            (review.group_version(), review.plural()) == ((group, version), plural)
                && review.is_namespaced() != namespace.is_empty()
        })?;
        Some(if found.is_namespaced() { Review::LocalSubject(namespace.to_owned()) } else { found })
    }

    /// Answers the question in a request body: the body itself with its `status` filled in.
    ///
    /// # Errors
    /// If the body is not such a question.
    pub(crate) fn answer(&self, api: &Shared, body: &Body, user: &User) -> Result<Response, ApiError> {
        let (group, version) = self.group_version();
        match self {
            Review::Access => {
                let mut review: SelfSubjectAccessReview = body.decode_other(group, version, self.kind())?;
                let spec = SubjectAccessReviewSpec {
                    resource_attributes: review.spec.resource_attributes.clone(),
                    non_resource_attributes: review.spec.non_resource_attributes.clone(),
                    user: Some(user.name.clone()),
                    ..SubjectAccessReviewSpec::default()
                };
                self.validate(&spec)?;
                review.status = Some(decide(api, user.asker(), &spec));
                created(&review)
            }
            Review::Subject => {
                let mut review: SubjectAccessReview = body.decode_other(group, version, self.kind())?;
                self.validate(&review.spec)?;
                review.status = Some(decide(api, asker(&review.spec), &review.spec));
                created(&review)
            }
            Review::LocalSubject(namespace) => {
                let mut review: LocalSubjectAccessReview = body.decode_other(group, version, self.kind())?;
                self.validate(&review.spec)?;
                let asked =
                    review.spec.resource_attributes.as_ref().and_then(|asked| asked.namespace.as_deref());
                if asked.unwrap_or_default() != namespace {
                    let why = format!("spec.resourceAttributes.namespace must match namespace: {namespace}");
                    return Err(ApiError::bad_request(why));
                }
                review.metadata.namespace.get_or_insert_with(|| namespace.clone());
                review.status = Some(decide(api, asker(&review.spec), &review.spec));
                created(&review)
            }
            Review::Rules => {
                let mut review: SelfSubjectRulesReview = body.decode_other(group, version, self.kind())?;
                let namespace = review.spec.namespace.clone().unwrap_or_default();
                if namespace.is_empty() {
                    return Err(ApiError::bad_request("no namespace on request"));
                }
                review.status = Some(rules(api, user.asker(), &namespace));
                created(&review)
            }
            Review::Token => {
                let mut review: TokenReview = body.decode_other(group, version, self.kind())?;
                if review.spec.token.is_empty() {
                    return Err(ApiError::bad_request("token is required for TokenReview in authentication"));
                }
                review.status = Some(review_token(api, &review));
                created(&review)
            }
            Review::Caller => {
                let mut review: SelfSubjectReview = body.decode_other(group, version, self.kind())?;
                review.status = Some(SelfSubjectReviewStatus { user_info: Some(user.info()) });
                created(&review)
            }
        }
    }

    fn validate(&self, spec: &SubjectAccessReviewSpec) -> Result<(), ApiError> {
        let mut errors = FieldErrors::new();
        let field = |name: &str| Path::root("spec").child(name);
        match (&spec.resource_attributes, &spec.non_resource_attributes) {
            (Some(_), Some(both)) => {
                let detail = "cannot be specified in combination with resourceAttributes";
                errors.invalid(&field("nonResourceAttributes"), both, detail);
            }
            (None, None) => {
                let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
                errors.invalid(&field("resourceAttributes"), (), detail);
            }
            (None, Some(path)) if self.is_namespaced() => {
                errors.invalid(&field("nonResourceAttributes"), path, "disallowed on this kind of request");
            }
            _ => {}
        }
        let groups = spec.groups.as_deref().unwrap_or_default();
        if spec.user.as_deref().unwrap_or_default().is_empty() && groups.is_empty() {
            errors.invalid(&field("user"), "", "at least one of user or group must be specified");
        }
        if errors.is_empty() {
            return Ok(());
        }
        Err(ApiError::invalid_named(AUTHORIZATION.0, self.kind(), "", &errors))
    }
}

impl User {
    /// The user as reviews show them.
    pub(crate) fn info(&self) -> UserInfo {
        let extra = self.extra.iter().map(|(key, value)| (key.clone(), vec![value.clone()]));
        UserInfo {
            username: Some(self.name.clone()),
            uid: (!self.uid.is_empty()).then(|| self.uid.clone()),
            groups: Some(self.groups.clone()),
            extra: (!self.extra.is_empty()).then(|| extra.collect()),
        }
    }
}

fn asker(spec: &SubjectAccessReviewSpec) -> Asker<'_> {
    Asker {
        name: spec.user.as_deref().unwrap_or_default(),
        groups: spec.groups.as_deref().unwrap_or_default(),
    }
}

fn decide(api: &Shared, asker: Asker<'_>, spec: &SubjectAccessReviewSpec) -> SubjectAccessReviewStatus {
    let decision = rbac::decide(&api.store.snapshot(), asker, &asked(spec));
    SubjectAccessReviewStatus {
        allowed: decision.allowed,
        reason: (!decision.reason.is_empty()).then_some(decision.reason),
        ..SubjectAccessReviewStatus::default()
    }
}

fn asked(spec: &SubjectAccessReviewSpec) -> Action<'_> {
    fn text(text: Option<&String>) -> &str {
        text.map(String::as_str).unwrap_or_default()
    }
    match (&spec.resource_attributes, &spec.non_resource_attributes) {
        (Some(ResourceAttributes { group, name, namespace, resource, subresource, verb, .. }), _) => {
            Action::Resource(ResourceAction {
                verb: text(verb.as_ref()),
                group: text(group.as_ref()),
                resource: text(resource.as_ref()),
                subresource: text(subresource.as_ref()),
                name: text(name.as_ref()),
                namespace: text(namespace.as_ref()),
            })
        }
        (None, Some(NonResourceAttributes { path, verb })) => {
            Action::Path { verb: text(verb.as_ref()), path: text(path.as_ref()) }
        }
        (None, None) => Action::Path { verb: "", path: "" },
    }
}

fn review_token(api: &Shared, review: &TokenReview) -> TokenReviewStatus {
    let token = review.spec.token.as_str();
    let wanted: Vec<&str> = review.spec.audiences.iter().flatten().map(String::as_str).collect();
    let wanted = if wanted.is_empty() { vec![ISSUER] } else { wanted };
    let checked = match api.tokens.get() {
        Some(tokens) => tokens.check(token, &wanted, &api.store.snapshot(), api.now()),
        None => Err("this server takes no tokens"),
    };
    match checked {
        Ok((user, audiences)) => TokenReviewStatus {
            authenticated: Some(true),
            user: Some(user.info()),
            audiences: Some(audiences),
            error: None,
        },
        Err(why) => TokenReviewStatus { error: Some(why.to_owned()), ..TokenReviewStatus::default() },
    }
}

fn rules(api: &Shared, asker: Asker<'_>, namespace: &str) -> SubjectRulesReviewStatus {
    let mut status = SubjectRulesReviewStatus::default();
    for rule in rbac::rules_of(&api.store.snapshot(), asker, namespace) {
        if let Some(urls) = rule.non_resource_urls.filter(|urls| !urls.is_empty()) {
            let rule = NonResourceRule { non_resource_urls: Some(urls), verbs: rule.verbs.clone() };
            status.non_resource_rules.push(rule);
        } else {
            status.resource_rules.push(ResourceRule {
                api_groups: rule.api_groups,
                resource_names: rule.resource_names,
                resources: rule.resources,
                verbs: rule.verbs,
            });
        }
    }
    status
}

fn created(review: &impl Serialize) -> Result<Response, ApiError> {
    let value = serde_json::to_string(review)
        .map_err(|error| ApiError::internal(format!("the review cannot be written as JSON: {error}")))?;
    Ok(reply::json_text(StatusCode::CREATED, value))
}
