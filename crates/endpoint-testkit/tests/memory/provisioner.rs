use std::sync::Arc;

use cdm_models::{ModelDescriptor, Timestamp};
use endpoint_api::{
    Change, Error, ErrorKind, GrantRequest, Grants, ModelPlan, PlanState, ProvisionPlan, ProvisionReceipt,
    ProvisionedModel, Provisioner, Purpose, Result, Right, RoleRights, async_trait,
};

use super::{Fault, Memory, State};

#[async_trait]
impl Provisioner for Memory {
    async fn plan(&self, models: &[&ModelDescriptor]) -> Result<ProvisionPlan> {
        let mut state = self.lock();
        let plan = plan(&state, models, self.fault);
        if self.has(Fault::MakesWhilePlanning) {
            make(&mut state, &plan, self.fault);
        }
        Ok(plan)
    }

    async fn apply(&self, plan: &ProvisionPlan) -> Result<ProvisionReceipt> {
        // Others may be at it.
        tokio::task::yield_now().await;
        let mut state = self.lock();
        let models: Vec<&ModelDescriptor> = plan.models.iter().map(|model| model.descriptor.as_ref()).collect();
        let told = if self.has(Fault::TellsNoState) { self.fault } else { Fault::None };
        let fresh = self::plan(&state, &models, told);
        let asked = match self.fault {
            Fault::AppliesWhatIsRefused => plan.clone().differing(Vec::new()),
            Fault::AppliesWhatItIsTold => fresh.clone(),
            _ => plan.clone(),
        };
        let changed = relational::due(&asked, fresh)? != relational::Due::Nothing || self.has(Fault::AppliesTwice);
        if changed {
            make(&mut state, plan, self.fault);
        }
        let recorded = models.iter().map(|model| state.tables[model.id.as_str()].0.clone()).collect();
        Ok(ProvisionReceipt::new(changed, recorded))
    }

    async fn grants(&self, request: &GrantRequest, models: &[&ModelDescriptor]) -> Result<Grants> {
        self.refuses(self.declares.grants, Fault::ClaimsGrants, "grants")?;
        let owner = request.owner.as_deref().unwrap_or("owner");
        let names = [owner, &request.provisioner, &request.loader, &request.reader];
        let is_twice = |name: &&str| names.iter().filter(|other| *other == name).count() > 1;
        let is_wrong = names.iter().any(|name| name.is_empty() || is_twice(name));
        if is_wrong && !self.has(Fault::GivesANameToTwoRoles) {
            return Err(Error::new(ErrorKind::Config, "say the rights", "a role needs a name of its own"));
        }
        let shown = request.with_plumbing || self.has(Fault::ShowsPlumbingToReaders);
        let reason = if self.has(Fault::GivesNoReason) { "" } else { "there is no other way" };
        let tables = || models.iter().map(|model| model.id.to_string());
        let role = |purpose, name, privileges: &[&'static str]| {
            let right = |table| Right::new(privileges, table, reason);
            tables().map(right).fold(RoleRights::new(purpose, name), RoleRights::may)
        };
        let mut reader = role(Purpose::Reader, request.reader.as_str(), &["read"]);
        for (is_seen, object) in [(shown, "_cdm_plumbing"), (request.with_rejects, "_cdm_reject")] {
            if is_seen {
                reader = reader.may(Right::new(&["read"], object, "it was asked for"));
            }
        }
        let roles = vec![
            role(Purpose::Owner, owner, &["have"]),
            role(Purpose::Provisioner, request.provisioner.as_str(), &["make"]),
            role(Purpose::Loader, request.loader.as_str(), &["read", "write"]),
            reader,
        ];
        Ok(Grants::new(roles, names.join("\n")))
    }
}

fn fields(model: &ModelDescriptor) -> Vec<String> {
    model.fields.iter().map(|field| field.name.clone()).collect()
}

fn plan(state: &State, models: &[&ModelDescriptor], fault: Fault) -> ProvisionPlan {
    let of_model = |model: &&ModelDescriptor| {
        let there = state.tables.get(model.id.as_str());
        let missing: Vec<String> = match there {
            None => vec![model.id.to_string()],
            Some((_, known)) => fields(model).into_iter().filter(|field| !known.contains(field)).collect(),
        };
        let mut changes: Vec<Change> =
            missing.into_iter().map(|object| Change::new("make", object, "it is missing")).collect();
        if fault == Fault::PlansForEver && changes.is_empty() {
            changes.push(Change::new("make", model.id.to_string(), "one never knows"));
        }
        let recorded = there.map(|(recorded, _)| recorded.clone());
        ModelPlan::new(Arc::new((*model).clone()), model.id.to_string(), changes, recorded)
    };
    let told = if fault == Fault::TellsNoState { &[] } else { models };
    let as_it_is = told.iter().fold(PlanState::new(), |as_it_is, model| {
        let known = state.tables.get(model.id.as_str());
        as_it_is.with(model.id.as_str(), known.map(|(record, known)| format!("{} {}", record.version, known.join(" "))))
    });
    ProvisionPlan::new(as_it_is, Vec::new(), models.iter().map(of_model).collect())
}

fn make(state: &mut State, plan: &ProvisionPlan, fault: Fault) {
    let hash = plan.hash();
    for model in &plan.models {
        state.clock += 1;
        let at = Timestamp::from_microsecond(i64::try_from(state.clock).unwrap()).unwrap();
        let recorded = ProvisionedModel::new(model.descriptor.version.clone(), hash.clone(), at);
        let mut known = state.tables.remove(model.descriptor.id.as_str()).map(|(_, known)| known).unwrap_or_default();
        known.extend(fields(&model.descriptor));
        state.tables.insert(model.descriptor.id.to_string(), (recorded, known));
        if fault == Fault::MakesTablesAnew {
            state.rows.clear();
        }
    }
}
