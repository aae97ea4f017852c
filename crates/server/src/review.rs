//! Questions that a client asks about itself by creating them: may I do this, what may I do, who am I.
//!
//! Whoever is authenticated may do everything on this machine, so only the last answer depends on the caller.

use axum::response::Response;
use cronlet_object::ApiError;
use http::StatusCode;
use k8s_openapi::api::{
    authentication::v1::{SelfSubjectReview, SelfSubjectReviewStatus, UserInfo},
    authorization::v1::{
        NonResourceRule, ResourceRule, SelfSubjectAccessReview, SelfSubjectRulesReview,
        SubjectAccessReviewStatus, SubjectRulesReviewStatus,
    },
};
use serde::Serialize;

use crate::{authn::User, body::Body, reply};

/// A question about the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Review {
    /// `SelfSubjectAccessReview`: may I do this? `kubectl auth can-i`.
    Access,
    /// `SelfSubjectRulesReview`: what may I do? `kubectl auth can-i --list`.
    Rules,
    /// `SelfSubjectReview`: who am I? `kubectl auth whoami`.
    Caller,
}

impl Review {
    /// Every question.
    pub const ALL: &[Review] = &[Review::Access, Review::Rules, Review::Caller];

    /// The API group and version.
    pub fn group_version(self) -> (&'static str, &'static str) {
        match self {
            Review::Access | Review::Rules => ("authorization.k8s.io", "v1"),
            Review::Caller => ("authentication.k8s.io", "v1"),
        }
    }

    /// The kind, as in manifests.
    pub fn kind(self) -> &'static str {
        match self {
            Review::Access => "SelfSubjectAccessReview",
            Review::Rules => "SelfSubjectRulesReview",
            Review::Caller => "SelfSubjectReview",
        }
    }

    /// The resource name in request paths.
    pub fn plural(self) -> &'static str {
        match self {
            Review::Access => "selfsubjectaccessreviews",
            Review::Rules => "selfsubjectrulesreviews",
            Review::Caller => "selfsubjectreviews",
        }
    }

    /// The singular resource name.
    pub fn singular(self) -> &'static str {
        self.plural().trim_end_matches('s')
    }

    /// The question asked at a path.
    pub fn from_resource(group: &str, version: &str, plural: &str) -> Option<Review> {
        let served =
            |review: &&Review| review.group_version() == (group, version) && review.plural() == plural;
        Review::ALL.iter().find(served).copied()
    }

    /// Answers the question in a request body: the body itself with its `status` filled in.
    ///
    /// # Errors
    /// If the body is not such a question.
    pub fn answer(self, body: &Body, user: &User) -> Result<Response, ApiError> {
        let (group, version) = self.group_version();
        match self {
            Review::Access => {
                let mut review: SelfSubjectAccessReview = body.decode_other(group, version, self.kind())?;
                review.status = Some(SubjectAccessReviewStatus { allowed: true, ..Default::default() });
                created(&review)
            }
            Review::Rules => {
                let mut review: SelfSubjectRulesReview = body.decode_other(group, version, self.kind())?;
                review.status = Some(everything());
                created(&review)
            }
            Review::Caller => {
                let mut review: SelfSubjectReview = body.decode_other(group, version, self.kind())?;
                let user_info = UserInfo {
                    username: Some(user.name.clone()),
                    groups: Some(user.groups.clone()),
                    ..UserInfo::default()
                };
                review.status = Some(SelfSubjectReviewStatus { user_info: Some(user_info) });
                created(&review)
            }
        }
    }
}

fn created(review: &impl Serialize) -> Result<Response, ApiError> {
    let value = serde_json::to_string(review)
        .map_err(|error| ApiError::internal(format!("the review cannot be written as JSON: {error}")))?;
    Ok(reply::json_text(StatusCode::CREATED, value))
}

fn everything() -> SubjectRulesReviewStatus {
    let all = || vec!["*".to_owned()];
    SubjectRulesReviewStatus {
        resource_rules: vec![ResourceRule {
            api_groups: Some(all()),
            resources: Some(all()),
            verbs: all(),
            ..ResourceRule::default()
        }],
        non_resource_rules: vec![NonResourceRule { non_resource_urls: Some(all()), verbs: all() }],
        incomplete: false,
        ..SubjectRulesReviewStatus::default()
    }
}
