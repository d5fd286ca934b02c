//! From an HTTP request to a call of the API.

use hyper::Method;

use super::history::CallId;
use super::line::Action;

/// The calls of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// `PUT …/deployments/{id}/status`.
    Status,
    /// `GET …/deployments/{id}`.
    Get,
    /// `GET …/deployments`.
    List,
    /// `POST …/deployments`.
    Create,
    /// `PATCH …/deployments/{id}`.
    Update,
    /// `DELETE …/deployments/{id}`.
    Delete,
    /// In a fault: each of the above. No call has it.
    Any,
}

impl Route {
    /// Whether a fault on this route matches a call on `other`.
    pub(super) fn covers(self, other: Self) -> bool {
        self == Self::Any || self == other
    }
}

/// Where a request points, by method and path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A call of the API.
    Call { route: Route, org: String, workspace: String, line: Option<String> },
    /// A path of the API, but none of its methods.
    MethodNotAllowed,
    /// Nothing that the API has.
    NotFound,
}

/// Reads method and path; `path` starts after the base path.
pub(super) fn target(method: &Method, path: &str) -> Target {
    let segments: Vec<&str> = path.split('/').collect();
    // A path starts with a slash, so the first segment is empty.
    let ["", "v1", "orgs", org, "workspaces", workspace, "deployments", rest @ ..] = &segments[..] else {
        return Target::NotFound;
    };
    if [org, workspace].iter().any(|id| id.is_empty()) || rest.first().is_some_and(|id| id.is_empty()) {
        return Target::NotFound;
    }
    let route = match (rest, method) {
        ([], &Method::GET) => Route::List,
        ([], &Method::POST) => Route::Create,
        ([_], &Method::GET) => Route::Get,
        ([_], &Method::PATCH) => Route::Update,
        ([_], &Method::DELETE) => Route::Delete,
        ([_, "status"], &Method::PUT) => Route::Status,
        ([] | [_] | [_, "status"], _) => return Target::MethodNotAllowed,
        _ => return Target::NotFound,
    };
    Target::Call {
        route,
        org: (*org).to_owned(),
        workspace: (*workspace).to_owned(),
        line: rest.first().map(|&id| id.to_owned()),
    }
}

/// A call that came in. It holds the key as sent, so it can't be printed.
#[derive(Clone)]
pub(super) struct Call {
    pub id: CallId,
    pub route: Route,
    pub org: String,
    pub workspace: String,
    pub line: Option<String>,
    pub query: String,
    pub json: bool,
    pub body: Vec<u8>,
    pub key: Option<String>,
}

impl Call {
    /// What a status call asks for; `None` for another call or a body that says nothing of the kind.
    pub(super) fn action(&self) -> Option<Action> {
        #[derive(serde::Deserialize)]
        struct Body {
            action: Action,
        }
        let body = (self.route == Route::Status).then_some(&self.body)?;
        serde_json::from_slice::<Body>(body).ok().map(|body| body.action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_to_the_letter() {
        let call = |route, line: Option<&str>| Target::Call {
            route,
            org: "o".to_owned(),
            workspace: "w".to_owned(),
            line: line.map(str::to_owned),
        };
        let cases = [
            (Method::GET, "/v1/orgs/o/workspaces/w/deployments", call(Route::List, None)),
            (Method::POST, "/v1/orgs/o/workspaces/w/deployments", call(Route::Create, None)),
            (Method::GET, "/v1/orgs/o/workspaces/w/deployments/d", call(Route::Get, Some("d"))),
            (Method::PATCH, "/v1/orgs/o/workspaces/w/deployments/d", call(Route::Update, Some("d"))),
            (Method::DELETE, "/v1/orgs/o/workspaces/w/deployments/d", call(Route::Delete, Some("d"))),
            (Method::PUT, "/v1/orgs/o/workspaces/w/deployments/d/status", call(Route::Status, Some("d"))),
            (Method::POST, "/v1/orgs/o/workspaces/w/deployments/d/status", Target::MethodNotAllowed),
            (Method::PUT, "/v1/orgs/o/workspaces/w/deployments", Target::MethodNotAllowed),
            (Method::GET, "/v1/orgs/o/workspaces/w/deployments/", Target::NotFound),
            (Method::PUT, "/v1/orgs/o/workspaces/w/deployments//status", Target::NotFound),
            (Method::GET, "/v1/orgs//workspaces/w/deployments", Target::NotFound),
            (Method::PUT, "/v1/orgs/o/workspaces/w/status", Target::NotFound),
            (Method::GET, "/v2/orgs/o/workspaces/w/deployments", Target::NotFound),
            (Method::GET, "", Target::NotFound),
        ];
        for (method, path, expected) in cases {
            assert_eq!(target(&method, path), expected, "{method} {path}");
        }
    }
}
