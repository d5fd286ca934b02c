//! The API key of a Workspace, from the Secret that it names.

use k8s_openapi::api::core::v1::Secret;

use crate::{api::SecretKeyRef, core::status::Obstacle, sarvam::ApiKey};

/// Why there is no key.
pub enum Unread {
    /// What is wrong, where, and the way out.
    Hindered(Obstacle, String),
    /// The API server did not answer.
    Unreachable(kube::Error),
}

/// Where a key is, for messages.
#[must_use]
pub fn place(namespace: &str, reference: &SecretKeyRef) -> String {
    format!("Secret {namespace}/{}, key {:?}", reference.name, reference.key)
}

/// The key in what the API server answered for the Secret of `reference`.
pub fn api_key(
    found: Result<Option<Secret>, kube::Error>,
    namespace: &str,
    reference: &SecretKeyRef,
) -> Result<ApiKey, Unread> {
    let place = place(namespace, reference);
    let missing = |what: &str| Err(Unread::Hindered(Obstacle::SecretNotFound, format!("{place}: {what}")));
    let secret = match found {
        Ok(Some(secret)) => secret,
        Ok(None) => return missing("there is no such Secret; create it with the API key in it."),
        Err(kube::Error::Api(status)) if status.code == 403 => {
            return missing("it may not be read; grant `get` on this Secret.");
        }
        Err(error) => return Err(Unread::Unreachable(error)),
    };
    let Some(bytes) = secret.data.as_ref().and_then(|data| data.get(&reference.key)) else {
        return missing("the Secret has no such key; add it, or name another in the Workspace's spec.apiKeySecretRef.");
    };
    ApiKey::new(&bytes.0).map_err(|error| Unread::Hindered(Obstacle::SecretInvalid, format!("{place}: {error}.")))
}
