//! All paths under `/v1`, each behind the key, and the description of them.

use crate::problem::{Kind, Problem};
use crate::state::Shared;
use crate::{
    agents, auth, bans, callbacks, calls, campaigns, contacts, do_not_call, events, metrics,
    openapi, queues, results, trunks, would_route,
};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{MatchedPath, Request};
use axum::http::{Method, Uri, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::time::Instant;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The API.
pub fn router(state: Shared) -> Router {
    let (paths, description) = described();
    let page = Bytes::from(openapi::page(&description));
    let text = description.to_json().expect("the description has only text and numbers");
    let text = Bytes::from(text);
    let with_key = paths.route_layer(from_fn_with_state(state.clone(), auth::require_key));
    let free = Router::new()
        .route("/v1/openapi.json", get(([(header::CONTENT_TYPE, "application/json")], text)))
        .route("/docs", get(([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page)));
    with_key
        .merge(free)
        .fallback(no_such_path)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn(measure))
        .with_state(state)
}

/// The paths that need a key, and the whole description.
pub(crate) fn described() -> (Router<Shared>, OpenApi) {
    let (router, mut description) = OpenApiRouter::with_openapi(openapi::head())
        .routes(routes!(campaigns::create, campaigns::list))
        .routes(routes!(campaigns::show))
        .routes(routes!(campaigns::start))
        .routes(routes!(campaigns::pause))
        .routes(routes!(campaigns::resume))
        .routes(routes!(campaigns::cancel))
        .routes(routes!(campaigns::progress))
        .routes(routes!(contacts::add, contacts::list))
        .routes(routes!(results::list))
        .routes(routes!(callbacks::create, callbacks::list))
        .routes(routes!(callbacks::show, callbacks::cancel))
        .routes(routes!(agents::list))
        .routes(routes!(agents::show))
        .routes(routes!(agents::set_state))
        .routes(routes!(queues::list))
        .routes(routes!(queues::show))
        .routes(routes!(queues::set_open))
        .routes(routes!(trunks::list))
        .routes(routes!(would_route::ask))
        .routes(routes!(bans::list))
        .routes(routes!(bans::remove))
        .routes(routes!(calls::list))
        .routes(routes!(calls::show, calls::hang_up))
        .routes(routes!(do_not_call::list))
        .routes(routes!(do_not_call::put, do_not_call::show, do_not_call::remove))
        .routes(routes!(events::open))
        .split_for_parts();
    openapi::add_problems(&mut description);
    (router, description)
}

/// 404 for a path that is not in the description.
pub(crate) async fn no_such_path(uri: Uri) -> Problem {
    Problem::new(Kind::NoSuchPath, format!("there is no path {}", uri.path()))
}

/// 405; axum adds the header Allow.
pub(crate) async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    let detail = format!("{} is not a method of {}", method, uri.path());
    Problem::new(Kind::MethodNotAllowed, detail)
}

/// Counts and times each request, by route, never by path. Answers are not for caches: they change
/// from moment to moment and belong to one key.
async fn measure(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = match *request.method() {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "other",
    };
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("none", MatchedPath::as_str).to_owned();
    let mut response = next.run(request).await.into_response();
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(header::HeaderValue::from_static("no-store"));
    metrics::http_request(method, route, response.status().as_u16(), begun.elapsed());
    response
}
