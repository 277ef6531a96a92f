//! What the documentation of the crate `lambda-extension` shows: an extension that watches invocations and telemetry.

use lambda_extension::{
    service_fn, Error, Extension, LambdaEvent, LambdaTelemetry, LambdaTelemetryRecord, NextEvent, SharedService,
};

async fn on_event(event: LambdaEvent) -> Result<(), Error> {
    match event.next {
        NextEvent::Shutdown(shutdown) => println!("rust shutdown {}", shutdown.shutdown_reason),
        NextEvent::Invoke(invoke) => println!("rust invoke {}", invoke.request_id),
    }
    Ok(())
}

async fn on_telemetry(events: Vec<LambdaTelemetry>) -> Result<(), Error> {
    for event in events {
        match event.record {
            LambdaTelemetryRecord::Function(line) => println!("rust saw {}", line.trim()),
            LambdaTelemetryRecord::PlatformReport { request_id, status, metrics, .. } => {
                println!("rust report {request_id} {status:?} {}", metrics.billed_duration_ms)
            }
            _ => (),
        }
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    Extension::new()
        .with_events_processor(service_fn(on_event))
        .with_telemetry_types(&["platform", "function"])
        .with_telemetry_processor(SharedService::new(service_fn(on_telemetry)))
        .run()
        .await
}
