//! What a service account may do, and may not.

use kube::api::{Api, ListParams, PostParams};
use serde_json::{Value, from_value, json};
use wasmjob::api::k8s_openapi::api::authentication::v1::{SelfSubjectReview, TokenRequest};
use wasmjob::api::k8s_openapi::api::batch::v1::Job;
use wasmjob::api::k8s_openapi::api::core::v1::{Namespace, Secret, ServiceAccount};
use wasmjob::api::k8s_openapi::api::rbac::v1::{Role, RoleBinding};

use crate::serve::{Serve, job, refusal};

fn object<T: serde::de::DeserializeOwned>(value: Value) -> T {
    from_value(value).unwrap()
}

#[tokio::test]
async fn a_service_account_may_do_what_roles_say_where_they_say_it() {
    let serve = Serve::start();
    let admin = serve.client().await;
    let create = PostParams::default();
    let namespaces: Api<Namespace> = Api::all(admin.clone());
    for name in ["ours", "theirs"] {
        let namespace = object(json!({"metadata": {"name": name}}));
        namespaces.create(&create, &namespace).await.unwrap();
    }
    let accounts: Api<ServiceAccount> = Api::namespaced(admin.clone(), "ours");
    let robot = object(json!({"metadata": {"name": "robot"}}));
    accounts.create(&create, &robot).await.unwrap();
    let wish = object(json!({"spec": {"audiences": [], "expirationSeconds": 600}}));
    let token: TokenRequest = accounts
        .create_token_request("robot", &create, &wish)
        .await
        .unwrap();
    let client = serve
        .client_with_token(&token.status.unwrap().token.unwrap())
        .await;
    let selves: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = selves.create(&create, &SelfSubjectReview::default()).await;
    let user = review.unwrap().status.unwrap().user_info.unwrap();
    assert_eq!(
        user.username.as_deref(),
        Some("system:serviceaccount:ours:robot")
    );

    let ours: Api<Job> = Api::namespaced(client.clone(), "ours");
    let status = refusal(ours.list(&ListParams::default()).await);
    assert_eq!((status.code, status.reason.as_str()), (403, "Forbidden"));
    assert_eq!(
        status.message,
        "jobs.batch is forbidden: User \"system:serviceaccount:ours:robot\" cannot list resource \
         \"jobs\" in API group \"batch\" in the namespace \"ours\""
    );
    let roles: Api<Role> = Api::namespaced(admin.clone(), "ours");
    let role = object(json!({
        "metadata": {"name": "jobs"},
        "rules": [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "list"]}]
    }));
    roles.create(&create, &role).await.unwrap();
    let bindings: Api<RoleBinding> = Api::namespaced(admin, "ours");
    let binding = object(json!({
        "metadata": {"name": "robot"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "jobs"},
        "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": "ours"}]
    }));
    bindings.create(&create, &binding).await.unwrap();

    let made = job("a", "true", json!({"suspend": true}));
    ours.create(&create, &made).await.unwrap();
    assert_eq!(
        ours.list(&ListParams::default()).await.unwrap().items.len(),
        1
    );
    assert_eq!(
        refusal(ours.delete("a", &Default::default()).await).code,
        403
    );
    let theirs: Api<Job> = Api::namespaced(client.clone(), "theirs");
    assert_eq!(refusal(theirs.create(&create, &made).await).code, 403);
    assert_eq!(refusal(theirs.get("a").await).code, 403);
    let everywhere: Api<Job> = Api::all(client.clone());
    let status = refusal(everywhere.list(&ListParams::default()).await);
    assert!(
        status.message.ends_with("at the cluster scope"),
        "{}",
        status.message
    );
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "ours");
    assert_eq!(
        refusal(secrets.list(&ListParams::default()).await).code,
        403
    );
    // It cannot give itself more.
    let roles: Api<Role> = Api::namespaced(client, "ours");
    assert_eq!(refusal(roles.create(&create, &role).await).code, 403);

    let stranger = serve.client_with_token("nobody's").await;
    let jobs: Api<Job> = Api::namespaced(stranger, "ours");
    assert_eq!(refusal(jobs.get("a").await).code, 401);
}
