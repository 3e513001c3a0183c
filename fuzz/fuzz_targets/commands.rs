//! Lines typed to `flashlm`: whatever they are, they mean something or are refused by a message, and no setting that is
//! taken is one that generating would refuse.
#![no_main]

#[path = "../../runtime-desktop/src/cli/chat/command.rs"]
#[allow(dead_code, reason = "the program lists and completes commands, too")]
mod command;
#[allow(dead_code, reason = "nothing is shown here")]
#[path = "../../runtime-desktop/src/screen/pace.rs"]
mod pace;
#[allow(dead_code, reason = "the program's flags use the rest of it")]
#[path = "../../runtime-desktop/src/settings.rs"]
mod settings;

/// Where the two find it.
mod screen {
    pub use crate::pace::Pace;
}

use command::Command;
use flashlm_core::{Sampler, SamplerConfig};
use libfuzzer_sys::fuzz_target;
use settings::Settings;

fuzz_target!(|data: &[u8]| {
    let mut settings = Settings::default();
    for line in String::from_utf8_lossy(data).split('\n') {
        match Command::parse(line) {
            Ok(Command::Story(text)) => assert!(text == line && !line.starts_with('/') && !line.trim().is_empty()),
            Ok(Command::Continue(text)) => assert!(line.ends_with(&text) || line.trim().is_empty()),
            Ok(Command::Set(change)) => {
                assert!(line.starts_with('/'));
                change.apply(&mut settings);
            }
            Ok(Command::Load(path) | Command::Save(path) | Command::Learn(path)) => {
                assert!(line.starts_with('/') && !path.as_os_str().is_empty());
            }
            Ok(Command::Retry | Command::Undo | Command::Why) => assert!(line.starts_with('/')),
            Ok(Command::Show | Command::Stats | Command::Reset | Command::Help | Command::Quit) => {
                assert!(line.starts_with('/'));
            }
            Err(message) => assert!(line.starts_with('/') && message.contains('/'), "{message}"),
        }
        let Settings { temperature, top_k, top_p, min_p, repeat: repetition_penalty, seed, length, .. } = settings;
        let config = SamplerConfig { temperature, top_k, top_p, min_p, repetition_penalty, seed };
        assert!(Sampler::new(config).is_ok() && (1..=1_000_000).contains(&length), "{settings}");
    }
});
