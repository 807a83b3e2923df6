//! What grpc.health.v1 says, of the daemon and of models by any form of their names.

use std::time::Duration;

use nn_proto::health::health_check_response::ServingStatus;
use nn_proto::health::health_client::HealthClient;
use nn_proto::health::{HealthCheckRequest, HealthCheckResponse};
use nn_tests::{Daemon, kill, nnctl, require_backends, until};
use tonic::transport::Channel;

use super::{Files, SOON, load, meant, states};

/// Watches of one user at a time.
const WATCHES_MAX: usize = 64;

async fn health(daemon: &Daemon) -> HealthClient<Channel> {
    HealthClient::new(nn_client::channel(&daemon.socket()).await.unwrap())
}

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

async fn check(
    health: &HealthClient<Channel>,
    service: &str,
) -> Result<ServingStatus, tonic::Code> {
    let answer = health.clone().check(of(service)).await;
    let answer = answer.map(|answer| answer.into_inner().status());
    answer.map_err(|status| status.code())
}

type Watch = tonic::Streaming<HealthCheckResponse>;

async fn watch(health: &HealthClient<Channel>, service: &str) -> Result<Watch, tonic::Status> {
    let watched = health.clone().watch(of(service)).await;
    watched.map(tonic::Response::into_inner)
}

/// The next status that is told.
async fn next(watch: &mut Watch) -> Option<ServingStatus> {
    let told = tokio::time::timeout(SOON, watch.message()).await;
    told.unwrap().unwrap().map(|answer| answer.status())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_daemon_and_every_form_of_a_name_are_known_and_nothing_else() {
    require_backends!();
    let (daemon, files) = (Daemon::start(), Files::new());
    daemon.load("foo", &files.adds(1));
    nnctl(&daemon, &["alias", "foo@1", "stable"]).success();
    let health = health(&daemon).await;
    let serving = Ok(ServingStatus::Serving);
    for service in ["", "nn.v1.Inference", "nn.v1.Models", "nn.v1.Admin"] {
        assert_eq!(check(&health, service).await, serving, "{service:?}");
    }
    for service in ["foo", "foo@1", "foo:stable"] {
        assert_eq!(check(&health, service).await, serving, "{service}");
        let mut watched = watch(&health, service).await.unwrap();
        assert_eq!(next(&mut watched).await, Some(ServingStatus::Serving));
    }
    for service in ["bar", "foo@2", "foo:canary", "nn.v1.Other", "a b", "@"] {
        let known = check(&health, service).await;
        assert_eq!(known, Err(tonic::Code::NotFound), "{service}");
        let mut watched = watch(&health, service).await.unwrap();
        let unknown = Some(ServingStatus::ServiceUnknown);
        assert_eq!(next(&mut watched).await, unknown, "{service}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_follows_a_model_from_its_first_load_to_its_end_and_ends_with_the_daemon() {
    require_backends!();
    let (mut daemon, files) = (Daemon::start(), Files::new());
    let health = health(&daemon).await;
    let mut whole = watch(&health, "").await.unwrap();
    assert_eq!(next(&mut whole).await, Some(ServingStatus::Serving));
    let mut watched = watch(&health, "foo").await.unwrap();
    assert_eq!(
        next(&mut watched).await,
        Some(ServingStatus::ServiceUnknown)
    );
    tokio::task::block_in_place(|| daemon.load("foo", &files.adds(1)));
    assert_eq!(next(&mut watched).await, Some(ServingStatus::Serving));
    // A version that nobody uses and nothing means rests, and says so.
    tokio::task::block_in_place(|| daemon.load("foo", &files.adds(2)));
    until("the first one rests", SOON, || {
        states(&daemon, "foo") == ["absent", "ready"]
    })
    .await;
    assert_eq!(check(&health, "foo@1").await, Ok(ServingStatus::NotServing));
    tokio::task::block_in_place(|| nnctl(&daemon, &["unload", "foo"]).success());
    let mut told = next(&mut watched).await;
    if told == Some(ServingStatus::NotServing) {
        told = next(&mut watched).await;
    }
    assert_eq!(told, Some(ServingStatus::ServiceUnknown));
    tokio::task::block_in_place(|| assert!(daemon.terminate()));
    assert_eq!(next(&mut whole).await, Some(ServingStatus::NotServing));
    assert_eq!(next(&mut whole).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_watch_too_many_of_a_user_is_refused_and_one_that_ends_makes_room() {
    require_backends!();
    let daemon = Daemon::start();
    let health = health(&daemon).await;
    let mut watches = Vec::new();
    for _ in 0..WATCHES_MAX {
        watches.push(watch(&health, "").await.unwrap());
    }
    let refused = watch(&health, "").await.unwrap_err();
    let fault = nn_client::status_to_fault(&refused);
    assert_eq!(fault.code, nn_tensor::Code::Busy);
    assert!(fault.message.contains("this user"), "{fault}");
    watches.pop();
    let mut again = watch(&health, "").await;
    for _ in 0..100 {
        if again.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        again = watch(&health, "").await;
    }
    assert!(again.is_ok(), "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_tenants_have_workers_of_their_own_health_is_that_of_these() {
    require_backends!();
    let daemon = Daemon::builder()
        .with_workers("isolation = \"tenant\"\nwarm_spare = false")
        .with_limits("restart_backoff_ms_max = 60000")
        .start();
    let files = Files::new();
    load(&daemon, "foo", &files.adds(1), &[]).success();
    let health = health(&daemon).await;
    assert_eq!(check(&health, "foo").await, Ok(ServingStatus::Serving));
    assert_eq!(meant(&daemon.client(), "foo").await, Ok(1.0));
    assert_eq!(check(&health, "foo").await, Ok(ServingStatus::Serving));
    // Killed again and again, the tenant's worker is not back at once.
    let mut watched = watch(&health, "foo").await.unwrap();
    assert_eq!(next(&mut watched).await, Some(ServingStatus::Serving));
    tokio::task::block_in_place(|| {
        let end = std::time::Instant::now() + Duration::from_secs(3);
        while std::time::Instant::now() < end {
            daemon.workers().into_iter().for_each(kill);
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    assert_eq!(next(&mut watched).await, Some(ServingStatus::NotServing));
}
