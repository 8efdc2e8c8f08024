//! `trunkline serve`: runs until SIGTERM or SIGINT, then drains.

use super::{Where, failed, print_faults, runtime};
use crate::documents::Documents;
use crate::run::{LoopFailed, Running, Setup, StartError};
use crate::secrets::Secrets;
use crate::telemetry;
use sip::endpoint::config::Listener;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

pub(super) fn run(place: &Where) -> ExitCode {
    let _last_lines = match telemetry::start_logs() {
        Ok(last_lines) => last_lines,
        Err(error) => return failed("no thread for the log", &error),
    };
    let config = match place.read() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let documents = match Documents::read(&config) {
        Ok(documents) => documents,
        Err(faults) => {
            print_faults(&faults);
            return ExitCode::FAILURE;
        }
    };
    let secrets = match Secrets::read(&config.data) {
        Ok(secrets) => secrets,
        Err(error) => return failed("the secrets cannot be read", &error),
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failed("no runtime", &error),
    };
    let drain = config.drain;
    let outcome = runtime.block_on(async {
        let running = Running::start(Setup { config, documents, secrets }).await?;
        println!(
            "trunkline: {}API http://{}/v1, metrics http://{}/metrics",
            listeners(&running.listeners),
            running.api,
            running.operations
        );
        Ok::<_, StartError>(serve(running, drain).await)
    });
    runtime.shutdown_timeout(Duration::from_secs(2));
    match outcome {
        Ok(Ok(())) => ExitCode::SUCCESS,
        // Whoever watches over the program is to start it again.
        Ok(Err(error)) => failed("stopped", &error),
        Err(error) => failed("cannot start", &error),
    }
}

/// Each address with its transports: `SIP 192.0.2.1:5060 (UDP, TCP), `.
fn listeners(all: &[Listener]) -> String {
    let mut text = String::new();
    for (at, listener) in all.iter().enumerate() {
        let is_first = at == 0 || all[at - 1].local != listener.local;
        if is_first {
            let same = all[at..].iter().take_while(|it| it.local == listener.local);
            let words: Vec<_> = same.map(|it| it.transport.via_name()).collect();
            text += &format!("SIP {} ({}), ", listener.local, words.join(", "));
        }
    }
    text
}

/// Until a signal; then no new calls, the present ones may end; a second signal ends them.
async fn serve(mut running: Running, drain: Duration) -> Result<(), LoopFailed> {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return running.finished().await;
    };
    let mut hang_up = signal(SignalKind::hangup()).ok();
    loop {
        let reload = async {
            match &mut hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = reload => running.reload_certificates(),
            ended = running.finished() => return ended,
        }
    }
    tracing::info!(drain_s = drain.as_secs(), "draining: no new calls, present ones may end");
    running.drain();
    tokio::select! {
        ended = running.finished() => return ended,
        () = tokio::time::sleep(drain) => tracing::warn!("calls in progress are ended"),
        _ = terminate.recv() => (),
        _ = interrupt.recv() => (),
    }
    running.stop();
    running.finished().await
}
