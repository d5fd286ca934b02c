//! Writes of a status that are refused where the object is another, or has been written since.

use serde::Serialize;

/// A change of the status of one version of an object.
#[derive(Debug, Serialize)]
pub struct Guarded<'a, S> {
    metadata: Guard<'a>,
    status: S,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Guard<'a> {
    uid: &'a str,
    resource_version: &'a str,
}

impl<'a, S> Guarded<'a, S> {
    /// The change `status` of the object of this `metadata.uid` as it was at this `metadata.resourceVersion`.
    pub fn new((uid, resource_version): (&'a str, &'a str), status: S) -> Self {
        Self { metadata: Guard { uid, resource_version }, status }
    }
}
