//! Which objects of a kind a list, a watch or a collection deletion is about.

use cronlet_object::{
    ApiError, Kind, Object, kinds,
    selector::{FieldSelector, Selector},
};

/// A namespace and selectors; all must fit.
#[derive(Clone, Debug)]
pub struct Filter {
    kind: Kind,
    namespace: Option<String>,
    labels: Selector,
    fields: FieldSelector,
}

impl Filter {
    /// Reads the selectors of a request.
    ///
    /// # Errors
    /// 400 for a selector that cannot be read or names a field that cannot be selected by.
    pub fn new(
        kind: Kind,
        namespace: Option<String>,
        label_selector: &str,
        field_selector: &str,
    ) -> Result<Self, ApiError> {
        let refuse = |error: &dyn std::error::Error| ApiError::bad_request(error.to_string());
        let labels = Selector::parse(label_selector).map_err(|error| refuse(&error))?;
        let fields = FieldSelector::parse(field_selector).map_err(|error| refuse(&error))?;
        for term in fields.terms() {
            kinds::check_field_label(kind, &term.field)?;
        }
        Ok(Filter { kind, namespace, labels, fields })
    }

    /// The kind of the objects.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The namespace of the objects; none for all, and for kinds without one.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Whether only the namespace decides.
    pub fn selects_all(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    /// The name that an object must have to fit, if there is one.
    pub fn name(&self) -> Option<&str> {
        self.fields.exact_value("metadata.name")
    }

    /// Whether an object of this kind fits.
    pub fn matches(&self, object: &Object) -> bool {
        self.namespace.as_deref().is_none_or(|namespace| object.namespace() == namespace)
            && self.labels.matches(|key| object.meta().labels.get(key))
            && (self.fields.is_everything()
                || self.fields.matches(|field| kinds::field_label(object, field).unwrap_or_default()))
    }
}
