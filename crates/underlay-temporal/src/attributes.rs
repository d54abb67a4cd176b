use std::collections::HashMap;
use std::time::Duration;

use temporalio_client::Client as SdkClient;
use temporalio_client::grpc::{OperatorService, WorkflowService};
use temporalio_client::tonic::Code;
use temporalio_common::protos::temporal::api::common::v1::{Memo, Payload, SearchAttributes};
use temporalio_common::protos::temporal::api::enums::v1::IndexedValueType;
use temporalio_common::protos::temporal::api::operatorservice::v1::{
    AddSearchAttributesRequest, ListSearchAttributesRequest,
};
use temporalio_common::protos::temporal::api::workflowservice::v1::CountWorkflowExecutionsRequest;
use underlay_core::ports::{Clock as _, Job, SystemClock};

use crate::client::call;
use crate::job::to_payload;

const KIND: &str = "UnderlayKind";
/// What a line says of its kind and of its name.
const LINE: &str = "line";

/// How often a server is asked whether it knows the attributes by now, and how long.
const KNOWN_LOOK: Duration = Duration::from_millis(100);
const KNOWN_MAX: Duration = Duration::from_secs(15);

/// What people search jobs by. All are keywords.
pub(crate) const NAMES: [&str; 6] =
    ["UnderlayTenant", KIND, "UnderlayReceiver", "UnderlayName", "UnderlayKey", "UnderlayCorrelation"];

/// Registers the search attributes, where the namespace has them not and this process may. Says whether they are there.
pub(crate) async fn register(client: &SdkClient, namespace: &str) -> bool {
    let (mut client, namespace) = (client.clone(), namespace.to_owned());
    let listed = client
        .list_search_attributes(call(ListSearchAttributesRequest { namespace: namespace.clone() }))
        .await;
    let known = listed.map(|listed| listed.into_inner().custom_attributes).unwrap_or_default();
    let missing: Vec<_> = NAMES.into_iter().filter(|name| !known.contains_key(*name)).collect();
    if missing.is_empty() {
        return true;
    }
    let keyword = IndexedValueType::Keyword as i32;
    let search_attributes = missing.iter().map(|&name| (name.to_owned(), keyword)).collect();
    let asked = AddSearchAttributesRequest { search_attributes, namespace: namespace.clone() };
    match client.add_search_attributes(call(asked)).await {
        Ok(_) => are_known(client, namespace).await,
        Err(status) => {
            let names: String = missing.iter().map(|name| format!(" --name {name} --type Keyword")).collect();
            tracing::warn!(
                reason = status.message(),
                command = format!("temporal operator search-attribute create --namespace {namespace}{names}"),
                "Temporal has not all search attributes of jobs, so people find jobs by their memo alone; the command \
                 registers them"
            );
            false
        }
    }
}

/// Waits until the server takes search attributes that were just registered: it learns of them a while after it has
/// answered. Says whether it does.
async fn are_known(mut client: SdkClient, namespace: String) -> bool {
    let query = NAMES.map(|name| format!("{name} = ''")).join(" OR ");
    let asked = CountWorkflowExecutionsRequest { namespace, query };
    let knows = async {
        // Any other trouble says nothing about them.
        while client
            .count_workflow_executions(call(asked.clone()))
            .await
            .is_err_and(|status| status.code() == Code::InvalidArgument)
        {
            SystemClock.sleep(KNOWN_LOOK).await;
        }
    };
    tokio::time::timeout(KNOWN_MAX, knows).await.is_ok()
}

/// What a job is found by.
fn values(job: &Job) -> HashMap<String, Payload> {
    let correlation = job.correlation_id.map(|id| id.to_string());
    let values: [Option<&str>; NAMES.len()] = [
        Some(job.tenant.as_str()),
        Some(job.kind()),
        Some(&job.receiver),
        Some(&job.name),
        Some(&job.key),
        correlation.as_deref(),
    ];
    let given = NAMES.into_iter().zip(values).filter_map(|(name, value)| Some((name, value?)));
    given.map(|(name, value)| (name.to_owned(), to_payload(&value))).collect()
}

/// What the line of a job is found by.
pub(crate) fn line_found_by(job: &Job, has_attributes: bool) -> (Option<SearchAttributes>, Option<Memo>) {
    let mut values = values(&Job { correlation_id: None, name: LINE.to_owned(), ..job.clone() });
    values.insert(KIND.to_owned(), to_payload(&LINE));
    given(values, has_attributes)
}

/// What a job is found by: search attributes where the namespace has them, else a memo with the same names.
pub(crate) fn found_by(job: &Job, has_attributes: bool) -> (Option<SearchAttributes>, Option<Memo>) {
    given(values(job), has_attributes)
}

fn given(
    mut values: HashMap<String, Payload>,
    has_attributes: bool,
) -> (Option<SearchAttributes>, Option<Memo>) {
    if has_attributes {
        for field in values.values_mut() {
            field.metadata.insert("type".to_owned(), b"Keyword".to_vec());
        }
        return (Some(SearchAttributes { indexed_fields: values }), None);
    }
    (None, Some(Memo { fields: values }))
}
