//! `flashlm serve`: a server of completions, where the program was built with one.

use std::path::PathBuf;

use anyhow::Result;

use super::args::Serve;

#[cfg(not(feature = "serve"))]
pub fn run(_: Option<PathBuf>, _: Serve) -> Result<()> {
    anyhow::bail!(
        "this flashlm was built without its server: expected one built by \
         cargo build --release -p runtime-desktop --features serve"
    )
}

#[cfg(feature = "serve")]
pub fn run(path: Option<PathBuf>, args: Serve) -> Result<()> {
    use std::thread;

    use anyhow::ensure;

    use crate::model;
    use crate::serve::{self, Limits, Options};

    let Serve { address, allow_remote, depth, .. } = args;
    ensure!(
        allow_remote || address.ip().is_loopback(),
        "--address {address}: expected an address of this machine alone, such as 127.0.0.1:{}, or --allow-remote",
        address.port()
    );
    let own = path.as_deref().and_then(|path| path.file_stem()).map(|stem| stem.to_string_lossy().into_owned());
    let name = args.name.or(own).unwrap_or_else(|| "flashlm".into());
    let cores = || thread::available_parallelism().map_or(1, |n| n.get());
    let limits = Limits {
        threads: args.threads.map_or_else(cores, usize::from),
        streams: args.streams.into(),
        queue: args.queue.into(),
        connections: args.connections.into(),
        prompt: args.max_prompt as usize,
        length: args.max_tokens as usize,
        choices: args.max_choices.into(),
        body: args.max_body as usize,
        receive: args.receive_timeout,
        write: args.write_timeout,
        answer: args.request_timeout,
        grace: args.grace,
    };
    // a key among the arguments is seen by everyone on the machine
    let api_key = args.api_key.or_else(|| std::env::var("FLASHLM_API_KEY").ok()).filter(|key| !key.is_empty());
    serve::run(model::open(path.as_deref())?, Options { address, api_key, name, depth, limits })
}
