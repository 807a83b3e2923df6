//! `nnctl status --tenant`: every limit of a tenant in one table, with what is used now and who enforces it.

use nn_proto::v1;
use nn_tensor::Tenant;
use serde::Serialize;

use crate::daemon::{Daemon, within};
use crate::failure::Failure;
use crate::output::{Paint, Report, Table, bytes, facts, micros};

/// Those that were asked for.
#[derive(Debug, Serialize)]
pub(crate) struct Tenants {
    tenants: Vec<TenantView>,
}

#[derive(Debug, Serialize)]
struct TenantView {
    tenant: String,
    /// It has a table in `[tenants]`.
    listed: bool,
    /// Who may act for it; none where whoever may connect does.
    uids: Option<Vec<u32>>,
    /// Names of models that its guests may use; none for all that are for it.
    models: Option<Vec<String>>,
    weight: u32,
    limits: Vec<TenantLimit>,
}

#[derive(Debug, Serialize)]
struct TenantLimit {
    name: String,
    value: Option<u64>,
    used: Option<u64>,
    unit: String,
    /// `daemon` or `host`.
    enforced_by: String,
    /// `[tenants.NAME]` says the value itself.
    own: bool,
}

/// Asks the daemon: of one, or of all that it knows.
pub(crate) async fn run(daemon: &Daemon, tenant: Option<&Tenant>) -> Result<Tenants, Failure> {
    let request = v1::TenantsRequest {
        tenant: tenant.map_or_else(String::new, |tenant| tenant.as_str().to_owned()),
    };
    let mut admin = daemon.admin();
    let answer = within("status --tenant", admin.tenants(request)).await?;
    Ok(answer.into_inner().into())
}

// === impl Tenants ===

impl From<v1::TenantsResponse> for Tenants {
    fn from(answer: v1::TenantsResponse) -> Self {
        Self {
            tenants: answer.tenants.into_iter().map(Into::into).collect(),
        }
    }
}

impl Report for Tenants {
    fn text(&self, paint: Paint) -> String {
        if self.tenants.is_empty() {
            return "no tenant is in [tenants], and none has anything\n".to_owned();
        }
        let all = self.tenants.iter().map(|tenant| tenant.text(paint));
        let all: Vec<String> = all.collect();
        all.join("\n")
    }
}

// === impl TenantView ===

impl From<v1::TenantStatus> for TenantView {
    fn from(answer: v1::TenantStatus) -> Self {
        Self {
            tenant: answer.tenant,
            listed: answer.listed,
            uids: (!answer.anybody).then_some(answer.uids),
            models: (!answer.all_models).then_some(answer.models),
            weight: answer.weight,
            limits: answer.limits.into_iter().map(Into::into).collect(),
        }
    }
}

impl TenantView {
    fn text(&self, paint: Paint) -> String {
        let about = [
            ("tenant", self.tenant.clone()),
            ("listed", if self.listed { "yes" } else { "no" }.to_owned()),
            (
                "uids",
                list(self.uids.as_deref(), "whoever may connect", "nobody"),
            ),
            (
                "models",
                list(self.models.as_deref(), "all that are for it", "none"),
            ),
            ("weight", self.weight.to_string()),
        ];
        let mut table = Table::new(&["LIMIT", "VALUE", "USED", "ENFORCED BY", "SET BY"]);
        for limit in &self.limits {
            let is_daemons = limit.enforced_by == "daemon";
            let value = limit.value.map(|value| shown(value, &limit.unit));
            let used = limit.used.map(|used| shown(used, &limit.unit));
            table.row([
                limit.name.clone(),
                value.unwrap_or_else(|| if is_daemons { "none" } else { "?" }.to_owned()),
                used.unwrap_or_else(|| if is_daemons { "-" } else { "?" }.to_owned()),
                limit.enforced_by.clone(),
                match (is_daemons, limit.own) {
                    (false, _) => "nn-host's file",
                    (true, true) => "[tenants]",
                    (true, false) => "[limits]",
                }
                .to_owned(),
            ]);
        }
        format!("{}\n{}", facts(&about, paint), table.render(paint))
    }
}

fn list<T: ToString>(all: Option<&[T]>, any: &str, none: &str) -> String {
    match all {
        None => any.to_owned(),
        Some([]) => none.to_owned(),
        Some(some) => {
            let some: Vec<String> = some.iter().map(ToString::to_string).collect();
            some.join(", ")
        }
    }
}

fn shown(value: u64, unit: &str) -> String {
    match unit {
        "bytes" => bytes(value),
        "ms" => micros(value.saturating_mul(1000)),
        "per_second" => format!("{value}/s"),
        _ => value.to_string(),
    }
}

impl From<v1::TenantLimitStatus> for TenantLimit {
    fn from(limit: v1::TenantLimitStatus) -> Self {
        Self {
            name: limit.name,
            value: limit.value,
            used: limit.used,
            unit: limit.unit,
            enforced_by: limit.enforced_by,
            own: limit.own,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(name: &str, value: Option<u64>, unit: &str, by: &str) -> v1::TenantLimitStatus {
        v1::TenantLimitStatus {
            name: name.to_owned(),
            value,
            used: value.map(|_| 1),
            unit: unit.to_owned(),
            enforced_by: by.to_owned(),
            own: false,
        }
    }

    fn shop() -> v1::TenantStatus {
        v1::TenantStatus {
            tenant: "shop".to_owned(),
            listed: true,
            uids: vec![1000],
            all_models: true,
            weight: 4,
            limits: vec![
                limit("computes_max", Some(16), "count", "daemon"),
                limit("computes_per_second_max", None, "per_second", "daemon"),
                limit("arena_bytes_max", Some(1 << 30), "bytes", "daemon"),
                limit("memory_max", None, "bytes", "host"),
            ],
            ..v1::TenantStatus::default()
        }
    }

    #[test]
    fn each_limit_is_a_line_with_who_enforces_it() {
        let tenants = Tenants::from(v1::TenantsResponse {
            tenants: vec![shop()],
        });
        let text = tenants.text(Paint::Plain);
        let line = |name: &str| {
            let line = text.lines().find(|line| line.contains(name)).unwrap();
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(line("computes_max"), "computes_max 16 1 daemon [limits]");
        assert_eq!(
            line("computes_per_second"),
            "computes_per_second_max none - daemon [limits]"
        );
        assert_eq!(line("memory_max"), "memory_max ? ? host nn-host's file");
        assert!(line("uids").ends_with("1000"), "{text}");
    }

    #[test]
    fn what_holds_for_anybody_is_null_and_nobody_is_an_empty_list() {
        let anybody = TenantView::from(v1::TenantStatus {
            anybody: true,
            ..shop()
        });
        assert_eq!((&anybody.uids, &anybody.models), (&None, &None));
        let nobody = TenantView::from(v1::TenantStatus {
            uids: Vec::new(),
            ..shop()
        });
        assert_eq!(nobody.uids, Some(Vec::new()));
    }
}
