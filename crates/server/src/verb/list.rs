//! GET of a collection: a list, whole or in pages.

use std::sync::Arc;

use axum::response::Response;
use cronlet_object::{ApiError, Key, Kind, Object, Snapshot};

use super::check_revision;
use crate::{
    api::Shared,
    filter::Filter,
    negotiate,
    page::Token,
    query::{ListOptions, Match},
    render::{ListMeta, Renderer},
    router::Call,
};

/// Answers with the objects that the selectors select, in the order of `namespace/name`.
///
/// # Errors
/// 400 and 422 for options that are not valid; 410 for a state that is no longer known; 504 for one still to come.
pub(crate) fn list(
    api: &Shared,
    call: &Call,
    kind: Kind,
    namespace: Option<String>,
) -> Result<Response, ApiError> {
    let renderer = Renderer::new(kind, negotiate::form(&call.headers)?, &call.query, api.now())?;
    let options = ListOptions::parse(&call.query)?;
    let filter = Filter::new(kind, namespace, &options.label_selector, &options.field_selector)?;
    let token = options.continue_token.as_deref().map(Token::decode).transpose()?;
    if token.is_some() && options.revision.is_some_and(|revision| revision > 0) {
        let why = "specifying resource version is not allowed when using continue";
        return Err(ApiError::bad_request(why));
    }
    let snapshot = state(api, &options, token.as_ref())?;
    // Informers that want everything at once say that any version will do; upstream's cache ignores the limit then.
    let limit = if options.revision == Some(0) { None } else { options.limit };
    let page = Page::cut(&snapshot, &filter, limit, token.as_ref());
    if page.next.is_some() {
        api.snapshots().keep(&snapshot, api.now());
    }
    // On from another state than the first page's, changes since the first page's revision may be in neither: a watch
    // from that revision finds them.
    let revision = token.map_or(snapshot.revision(), |token| token.revision);
    let continue_token =
        page.next.map(|(namespace, name)| Token { revision, namespace, name }).map(|token| token.encode());
    let meta = ListMeta { revision, continue_token, remaining: page.remaining };
    Ok(renderer.list(&meta, page.objects))
}

/// The state that the list shows.
fn state(api: &Shared, options: &ListOptions, token: Option<&Token>) -> Result<Snapshot, ApiError> {
    let current = api.store.snapshot();
    api.snapshots().forget_old(api.now());
    check_revision(options.revision.max(token.map(|token| token.revision)), current.revision())?;
    let kept = |revision| api.snapshots().get(revision).cloned();
    match (token, options.revision_match, options.revision) {
        // Without the first page's state the next page comes from the current one: what existed all the time is
        // neither skipped nor shown twice.
        (Some(token), _, _) => Ok(kept(token.revision).unwrap_or(current)),
        (None, Some(Match::Exact), Some(revision)) if revision != current.revision() => kept(revision)
            .ok_or_else(|| ApiError::expired("The resourceVersion for the provided list is too old.")),
        _ => Ok(current),
    }
}

/// Objects for one answer, and what follows them.
struct Page {
    objects: Vec<Arc<Object>>,
    /// Namespace and name of the last object, if others follow.
    next: Option<(String, String)>,
    /// How many follow, if that is known without comparing each.
    remaining: Option<usize>,
}

impl Page {
    fn cut(snapshot: &Snapshot, filter: &Filter, limit: Option<usize>, token: Option<&Token>) -> Self {
        let mut selected = select(snapshot, filter, token);
        let Some(limit) = limit else {
            return Page { objects: selected.cloned().collect(), next: None, remaining: None };
        };
        let objects: Vec<Arc<Object>> = selected.by_ref().take(limit).cloned().collect();
        if selected.next().is_none() {
            return Page { objects, next: None, remaining: None };
        }
        let next = objects.last().map(|last| (last.namespace().to_owned(), last.name().to_owned()));
        let remaining = filter.selects_all().then(|| 1 + selected.count());
        Page { objects, next, remaining }
    }
}

/// The objects that a filter selects, in list order; after the token's object, if there is a token.
pub(super) fn select<'a>(
    snapshot: &'a Snapshot,
    filter: &'a Filter,
    token: Option<&Token>,
) -> Box<dyn Iterator<Item = &'a Arc<Object>> + 'a> {
    let kind = filter.kind();
    let after = token.map(|token| Key::new(kind, token.namespace.as_str(), format!("{}\0", token.name)));
    let namespaced = kind.descriptor().namespaced;
    if let (Some(name), true) = (filter.name(), filter.namespace().is_some() || !namespaced) {
        // One object at most, which need not be searched for.
        let key = Key::new(kind, filter.namespace().unwrap_or_default(), name);
        let found = snapshot.get(&key).filter(|object| after.is_none_or(|after| *object.key() >= after));
        return Box::new(found.into_iter().filter(|object| filter.matches(object)));
    }
    let first = Key::new(kind, filter.namespace().unwrap_or_default(), "");
    let start = after.map_or(first.clone(), |after| after.max(first));
    let within = move |object: &&Arc<Object>| {
        filter.namespace().is_none_or(|namespace| object.namespace() == namespace)
    };
    Box::new(snapshot.list_from(start).take_while(within).filter(|object| filter.matches(object)))
}
