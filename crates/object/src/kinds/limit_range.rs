//! LimitRanges: bounds and defaults for what pods and claims of a namespace ask for. What they do is in
//! [`crate::policy`].

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::LimitRangeItem, apimachinery::pkg::api::resource::Quantity as QuantityText,
};

use super::Rules;
use crate::{
    FieldErrors, Path,
    api::LimitRange,
    quantity::{Format, Quantity},
    table::{self, Column, Row},
    validate::{
        names::{NameRule, qualified_name_errors, report},
        resources::parse,
    },
};

/// Amounts by the names of resources.
pub(crate) type Amounts = BTreeMap<String, QuantityText>;

pub(crate) const CONTAINER: &str = "Container";
pub(crate) const POD: &str = "Pod";
pub(crate) const CLAIM: &str = "PersistentVolumeClaim";
const STORAGE: &str = "storage";

impl Rules for LimitRange {
    const NAME: NameRule = NameRule::Subdomain;
    /// Upstream has no table of its own for them.
    const COLUMNS: &[Column] = &[table::NAME, Column::text("Created At").declared("date")];

    fn set_defaults(&mut self) {
        for item in self.spec.iter_mut().flat_map(|spec| spec.limits.iter_mut()) {
            if item.type_ == CONTAINER {
                complete(item);
            }
        }
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let items = self.spec.iter().flat_map(|spec| spec.limits.iter());
        let mut seen = BTreeSet::new();
        for (i, item) in items.enumerate() {
            let at = Path::root("spec").child("limits").index(i);
            report(qualified_name_errors(&item.type_), &item.type_, || at.child("type"), errors);
            if !seen.insert(item.type_.as_str()) {
                errors.duplicate(&at.child("type"), &item.type_);
            }
            validate_item(item, &at, errors);
        }
    }

    fn validate_update(&self, _old: &Self, errors: &mut FieldErrors) {
        self.validate(errors);
    }

    fn row(&self, _now: Timestamp) -> Row {
        Row::of([table::name(&self.metadata), table::created(&self.metadata)])
    }
}

/// Defaults of containers that are not given follow from the others, in upstream's order.
fn complete(item: &mut LimitRangeItem) {
    let default = item.default.get_or_insert_default();
    fill(default, item.max.as_ref());
    let request = item.default_request.get_or_insert_default();
    fill(request, item.default.as_ref());
    fill(request, item.min.as_ref());
}

fn fill(amounts: &mut Amounts, from: Option<&Amounts>) {
    for (name, amount) in from.into_iter().flatten() {
        amounts.entry(name.clone()).or_insert_with(|| amount.clone());
    }
}

fn validate_item(item: &LimitRangeItem, at: &Path, errors: &mut FieldErrors) {
    let given = |amounts: &Option<Amounts>| amounts.as_ref().is_some_and(|amounts| !amounts.is_empty());
    if item.type_ == POD {
        for (name, amounts) in [("default", &item.default), ("defaultRequest", &item.default_request)] {
            if given(amounts) {
                errors.forbidden(&at.child(name), "may not be specified when `type` is 'Pod'");
            }
        }
    }
    if item.type_ == CLAIM {
        let has = |amounts: &Option<Amounts>| amounts.as_ref().is_some_and(|all| all.contains_key(STORAGE));
        if !has(&item.min) && !has(&item.max) {
            let detail = "either minimum or maximum storage value is required, but neither was provided";
            errors.required(&at.child("limits"), detail);
        }
    }
    let lists = [&item.min, &item.max, &item.default, &item.default_request, &item.max_limit_request_ratio];
    let names: BTreeSet<&String> =
        lists.iter().flat_map(|list| list.iter().flat_map(BTreeMap::keys)).collect();
    for name in names {
        validate_amounts(item, name, at, errors);
    }
}

/// What a resource may be between, and what it is by default, must be in order.
fn validate_amounts(item: &LimitRangeItem, name: &str, at: &Path, errors: &mut FieldErrors) {
    let of = |amounts: &Option<Amounts>| amounts.as_ref().and_then(|all| all.get(name)).and_then(parse);
    let (min, max) = (of(&item.min), of(&item.max));
    let (default, request) = (of(&item.default), of(&item.default_request));
    type Named<'a> = (&'a str, Option<Quantity>);
    let mut above = |(field, shown): Named<'_>, low: Named<'_>, high: Named<'_>| {
        if let (Some(shown), (low_words, Some(low)), (high_words, Some(high))) = (shown, low, high)
            && low > high
        {
            let detail = format!("{low_words} value {low} is greater than {high_words} value {high}");
            errors.invalid(&at.child(field).key(name), shown.to_string(), detail);
        }
    };
    above(("min", min), ("min", min), ("max", max));
    let own = ("defaultRequest", request);
    above(own, ("min", min), ("default request", request));
    above(own, ("default request", request), ("max", max));
    above(own, ("default request", request), ("default limit", default));
    above(("default", default), ("min", min), ("default", default));
    above(("default", default), ("default", default), ("max", max));
    let one = Quantity::from_units(1, Format::DecimalSi);
    if let Some(ratio) = of(&item.max_limit_request_ratio).filter(|ratio| *ratio < one) {
        let detail = format!("ratio {ratio} is less than 1");
        errors.invalid(&at.child("maxLimitRequestRatio").key(name), ratio.to_string(), detail);
    }
}
