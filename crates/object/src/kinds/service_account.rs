//! ServiceAccounts.

use jiff::Timestamp;

use super::Rules;
use crate::{
    FieldErrors,
    api::{ObjectReference, ServiceAccount},
    table::{self, Column, Row},
    validate::names::NameRule,
};

impl Rules for ServiceAccount {
    const NAME: NameRule = NameRule::Subdomain;
    const UNCONDITIONAL_UPDATE: bool = false;
    const COLUMNS: &[Column] = &[table::NAME, Column::text("Age")];

    fn prepare_create(&mut self) {
        keep_secret_names(self);
    }

    fn prepare_update(&mut self, _old: &Self) {
        keep_secret_names(self);
    }

    fn validate(&self, _errors: &mut FieldErrors) {}

    fn validate_update(&self, _old: &Self, _errors: &mut FieldErrors) {}

    fn row(&self, now: Timestamp) -> Row {
        Row::of([table::name(&self.metadata), table::age_of(&self.metadata, now)])
    }
}

/// Of a reference to a secret only the name has a meaning here.
fn keep_secret_names(account: &mut ServiceAccount) {
    for secret in account.secrets.iter_mut().flatten() {
        *secret = ObjectReference { name: secret.name.take(), ..Default::default() };
    }
}
