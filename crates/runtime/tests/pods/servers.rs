crate::tests![];
pub fn main_if_requested() {}
