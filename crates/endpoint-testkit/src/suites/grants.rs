//! Roles with rights of their own.

use endpoint_api::{Capabilities, ErrorKind, GrantRequest, Grants, Purpose, Result};

use super::{Test, takes_things, test};
use crate::{
    model::model,
    workbench::{Author, Site, Workbench, failure, soon},
};

pub(super) const TESTS: &[Test] = &[
    test!("grants", rights_are_said_before_anything_is_there, grants, "GRT-01"),
    test!("grants", every_role_is_named_and_every_right_is_needed, grants, "GRT-02"),
    test!("grants", a_reader_sees_more_only_when_that_is_asked_for, grants, "GRT-03"),
    test!("grants", a_name_is_one_role, grants, "GRT-04"),
];

fn grants(capabilities: &Capabilities, author: &Author) -> bool {
    takes_things(capabilities, author) && capabilities.sink.is_some_and(|sink| sink.grants)
}

fn request() -> GrantRequest {
    GrantRequest::new("kit_provisioner", "kit_loader", "kit_reader").owner(Some("kit_owner".to_owned()))
}

async fn ask(site: &Site, request: &GrantRequest) -> Result<Grants> {
    let provisioner = site.endpoint.provisioner().expect("it is declared");
    soon(provisioner.grants(request, &[&model()])).await
}

async fn rights_are_said_before_anything_is_there(workbench: Workbench) {
    let site = workbench.site().await;
    let before = ask(&site, &request()).await.expect("neither roles nor tables are there yet");
    let provisioner = site.endpoint.provisioner().expect("it is declared");
    let plan = soon(provisioner.plan(&[&model()])).await.unwrap();
    assert!(!plan.is_empty(), "nothing was made");
    soon(provisioner.apply(&plan)).await.unwrap();
    assert_eq!(ask(&site, &request()).await.unwrap(), before, "the same again");
}

async fn every_role_is_named_and_every_right_is_needed(workbench: Workbench) {
    let site = workbench.site().await;
    let grants = ask(&site, &request()).await.unwrap();
    let named: Vec<(Purpose, &str)> = grants.roles.iter().map(|role| (role.purpose, role.name.as_str())).collect();
    let expected = [
        (Purpose::Owner, "kit_owner"),
        (Purpose::Provisioner, "kit_provisioner"),
        (Purpose::Loader, "kit_loader"),
        (Purpose::Reader, "kit_reader"),
    ];
    assert_eq!(named, expected);
    for role in &grants.roles {
        assert!(grants.script.contains(&role.name), "the script gives {} something", role.name);
        assert!(!role.rights.is_empty(), "{} may do something", role.name);
        for right in &role.rights {
            assert!(!right.privileges.is_empty() && !right.object.is_empty() && !right.reason.is_empty(), "{right:?}");
        }
    }
}

async fn a_reader_sees_more_only_when_that_is_asked_for(workbench: Workbench) {
    let site = workbench.site().await;
    let seen = async |request: GrantRequest| {
        let grants = ask(&site, &request).await.unwrap();
        grants.roles.into_iter().find(|role| role.purpose == Purpose::Reader).map(|role| role.rights).unwrap()
    };
    let least = seen(request()).await;
    assert_ne!(seen(request().with_plumbing(true)).await, least, "the plumbing is seen only when it is asked for");
    assert_ne!(seen(request().with_rejects(true)).await, least, "the rejects are seen only when they are asked for");
}

async fn a_name_is_one_role(workbench: Workbench) {
    let site = workbench.site().await;
    for (loader, why) in
        [("", "no name"), ("kit_owner", "the name of two roles"), ("kit_reader", "the name of two roles")]
    {
        let asked = GrantRequest::new("kit_provisioner", loader, "kit_reader").owner(Some("kit_owner".to_owned()));
        let error = failure(why, ask(&site, &asked).await);
        assert_eq!(error.kind(), ErrorKind::Config, "{why}: {error}");
    }
}
