//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ColorChoice, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use flashlm_core::config::Depth;
use flashlm_core::{Kernels, MAX_CHUNK};
use flashlm_host::Seed;

use crate::screen::Pace;
use crate::settings::{self, Settings};

/// Talk to a FlashLM model. With a prompt: its story; with neither that nor a command: a chat.
#[derive(Parser, Debug)]
#[command(name = "flashlm", version, about)]
pub struct Cli {
    /// Text to continue
    #[arg(value_name = "PROMPT", conflicts_with = "prompt")]
    pub begin: Option<String>,
    /// Text to continue, also one that is the name of a command; --prompt=TEXT may begin with a dash
    #[arg(short, long, value_name = "TEXT")]
    pub prompt: Option<String>,
    #[command(flatten)]
    pub telling: Telling,
    /// Model file (.flm), or the name of a model built into this program, by itself the first: see `flashlm models`
    #[arg(short, long, global = true, value_name = "FILE|NAME", value_hint = ValueHint::FilePath)]
    pub model: Option<PathBuf>,
    /// Colours: auto has them on a terminal where NO_COLOR is not set
    #[arg(long, global = true, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Read prompts, write stories (what flashlm does by itself)
    Chat(Chat),
    /// Continue one prompt
    Generate(Generate),
    /// What the reasoning loop did for every word of a prompt and its story: a table, JSON, or a page to look at
    Trace(Trace),
    /// Bits per byte (BPC) of a file of stories separated by <|endoftext|>
    Eval(Eval),
    /// Total bits of each line of a file, for minimal pairs and multiple choice
    Score(Score),
    /// How well the model answers questions that need reasoning, at one depth after another, beside what guessing gives
    Probe(Box<Probe>),
    /// Completions over HTTP, in the form of OpenAI's servers (in programs built with the feature serve)
    Serve(Box<Serve>),
    /// Tokens per second of decoding and prefill per instruction set and depth, and what their products alone take
    Bench(Bench),
    /// Hash of every logit of a story, per instruction set: the same number on every machine
    Fingerprint(Fingerprint),
    /// Which models this program has built in, by the names that --model takes
    Models,
    /// Print what a shell needs to complete this program's commands and flags
    Completions(Completions),
    /// Print the manual page, or write one for every command into a folder
    Man(Man),
}

/// How the next token is chosen.
#[derive(Args, Clone, Copy, Debug)]
pub struct Sampling {
    /// Temperature, 0 to 10; 0 always takes the likeliest token
    #[arg(long, alias = "temp", value_name = "X", default_value_t = Settings::default().temperature)]
    #[arg(value_parser = settings::temperature)]
    pub temperature: f32,
    /// Keep only the N likeliest tokens, 1 to 64; 0 is 64
    #[arg(long, value_name = "N", default_value_t = Settings::default().top_k, value_parser = settings::top_k)]
    pub top_k: u32,
    /// Keep the likeliest tokens that together have this probability, above 0 to 1
    #[arg(long, value_name = "X", default_value_t = Settings::default().top_p, value_parser = settings::top_p)]
    pub top_p: f32,
    /// Drop tokens less likely than this share of the likeliest, 0 to 1
    #[arg(long, value_name = "X", default_value_t = Settings::default().min_p, value_parser = settings::min_p)]
    pub min_p: f32,
    /// Repetition penalty on recent tokens, 0.1 to 10; 1 is none
    #[arg(long, value_name = "X", default_value_t = Settings::default().repeat, value_parser = settings::repeat)]
    pub repeat: f32,
    /// Seed: the same seed gives the same text on every machine; random draws one and shows it
    #[arg(long, value_name = "N|random", default_value_t = Settings::default().seed.into())]
    pub seed: Seed,
    /// Passes of the reasoning loop per token: 1 to the model's most, or auto; by default as trained
    #[arg(long, value_name = "N|auto", value_parser = settings::depth)]
    pub depth: Option<Depth>,
}

/// How a story is told.
#[derive(Args, Clone, Debug)]
pub struct Telling {
    /// The most tokens generated for a prompt; the end of the story stops earlier
    #[arg(short = 'n', long, alias = "length", value_name = "N", default_value_t = Settings::default().length)]
    #[arg(value_parser = settings::length)]
    pub tokens: usize,
    #[command(flatten)]
    pub sampling: Sampling,
    /// End a story before this text; may be given several times
    #[arg(long, value_name = "TEXT", value_parser = settings::stop)]
    pub stop: Vec<String>,
    /// Show at most this many words a minute, 1 to 10000; reading is 238
    #[arg(long, value_name = "N|reading|off", default_value_t)]
    pub pace: Pace,
}

impl Telling {
    pub fn settings(&self) -> Settings {
        let Self { tokens: length, sampling, ref stop, pace } = *self;
        let Sampling { temperature, top_k, top_p, min_p, repeat, seed, depth } = sampling;
        let (seed, stop) = (seed.value, stop.clone());
        Settings { temperature, top_k, top_p, min_p, repeat, seed, depth, length, stop, pace, trace: false }
    }
}

#[derive(Args, Debug)]
pub struct Chat {
    #[command(flatten)]
    pub telling: Telling,
    /// Where the lines you type are remembered [default: flashlm/history in your state directory]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub history: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct Generate {
    /// Text to continue; empty begins a story [default: standard input, where that is no terminal]
    #[arg(short, long, value_name = "TEXT")]
    pub prompt: Option<String>,
    #[command(flatten)]
    pub telling: Telling,
    /// Show for every token what the reasoning loop did: passes, operations, gates, and what it read from the memory
    #[arg(long)]
    pub trace: bool,
    /// Also print the link that has a page made by `pack page` tell the same story, up to 400 tokens of it
    #[arg(long)]
    pub link: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct Trace {
    /// Text to continue; empty begins a story [default: standard input, where that is no terminal]
    #[arg(short, long, value_name = "TEXT")]
    pub prompt: Option<String>,
    #[command(flatten)]
    pub telling: Telling,
    /// What is written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub format: Format,
    /// Where it is written [default: standard output]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub out: Option<PathBuf>,
}

/// How a trace is written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One object: the words and their passes, then every token's
    #[default]
    Json,
    /// A row for every pass of every token
    Csv,
    /// One page: words coloured by their passes, with a table below
    Html,
}

#[derive(Args, Debug)]
pub struct Completions {
    /// The shell
    pub shell: Shell,
}

#[derive(Args, Debug)]
pub struct Man {
    /// Folder to write flashlm.1, flashlm-generate.1 and so on into [default: flashlm.1 on standard output]
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub folder: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct Eval {
    /// File of stories separated by <|endoftext|>
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub data: PathBuf,
    /// Passes of the reasoning loop per token: 1 to the model's most, or auto; by default as trained
    #[arg(long, value_name = "N|auto", value_parser = settings::depth)]
    pub depth: Option<Depth>,
    /// Threads, 1 to 1024 [default: all cores]; the result does not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Also list the N words that the model takes the most passes for, and the N with the fewest, at the depths it
    /// chooses; of words that stand in the file at least 20 times
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub words: Option<u16>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct Score {
    /// One text a line; - reads standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Passes of the reasoning loop per token: 1 to the model's most, or auto; by default as trained
    #[arg(long, value_name = "N|auto", value_parser = settings::depth)]
    pub depth: Option<Depth>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct Probe {
    /// With --task babi: the folder of its text files, qaN_name_test.txt
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
    #[command(flatten)]
    pub options: flashlm_probe::Options,
}

#[derive(Args, Debug)]
pub struct Serve {
    /// Where to listen; port 0 takes one that is free and shows it
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8080")]
    pub address: SocketAddr,
    /// Let the address be one that other machines reach: there is no encryption, and no key without --api-key
    #[arg(long)]
    pub allow_remote: bool,
    /// Serve only who sends Authorization: Bearer KEY [default: the environment's FLASHLM_API_KEY, or everyone]
    #[arg(long, value_name = "KEY")]
    pub api_key: Option<String>,
    /// What requests call the model [default: the file's name without .flm, or flashlm]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Passes of the reasoning loop where a request says none: 1 to the model's most, or auto; by default as trained
    #[arg(long, value_name = "N|auto", value_parser = settings::depth)]
    pub depth: Option<Depth>,
    /// Threads that tell stories, 1 to 1024 [default: all cores]; no text depends on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Stories that each thread tells at a time, 1 to 16
    #[arg(long, value_name = "N", default_value_t = 16)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=MAX_CHUNK as i64))]
    pub streams: u16,
    /// Stories that wait, 0 to 10000; requests for more are refused with status 429
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(0..=10_000))]
    pub queue: u16,
    /// Connections at a time, 1 to 10000; others wait
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub connections: u16,
    /// The longest prompt, tokens, 1 to 1000000
    #[arg(long, value_name = "N", default_value_t = 1024)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_prompt: u32,
    /// The most tokens that a request may ask for, 1 to 1000000
    #[arg(long, value_name = "N", default_value_t = 1024)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_tokens: u32,
    /// The most stories that a request may ask for, all its prompts together, 1 to 128
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=128))]
    pub max_choices: u16,
    /// The longest body of a request, bytes, 1000 to 100000000
    #[arg(long, value_name = "BYTES", default_value_t = 128 << 10)]
    #[arg(value_parser = clap::value_parser!(u32).range(1000..=100_000_000))]
    pub max_body: u32,
    /// For a request's head to arrive, and for its body, seconds, 0.1 to 86400
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = settings::seconds)]
    pub receive_timeout: Duration,
    /// For a client to take what is sent to it before it is dropped, seconds
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = settings::seconds)]
    pub write_timeout: Duration,
    /// For an answer, waiting included, before it is cut off, seconds
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = settings::seconds)]
    pub request_timeout: Duration,
    /// For answers under way when the server is to end, seconds; a second Ctrl-C ends it at once
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = settings::seconds)]
    pub grace: Duration,
}

#[derive(Args, Debug)]
pub struct Bench {
    /// Tokens in one run, 16 to 100000
    #[arg(short = 'n', long, value_name = "N", default_value_t = 256)]
    #[arg(value_parser = clap::value_parser!(u32).range(16..=100_000))]
    pub tokens: u32,
    /// Runs of each measurement; the median is reported, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeats: u32,
    /// Only this instruction set [default: all this processor has]
    #[arg(long, alias = "level", value_name = "NAME", value_parser = settings::level)]
    pub isa: Option<Kernels>,
    /// Only this number of passes of the reasoning loop, or auto [default: all of the model's depths]
    #[arg(long, value_name = "N|auto", value_parser = settings::depth)]
    pub depth: Option<Depth>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct Fingerprint {
    /// Text the story begins with
    #[arg(short, long, default_value = "Once upon a time")]
    pub prompt: String,
    /// Tokens of the story; it goes on over its end
    #[arg(short = 'n', long, alias = "length", value_name = "N", default_value_t = 200)]
    #[arg(value_parser = settings::length)]
    pub tokens: usize,
    /// Seed of the tokens drawn
    #[arg(long, value_name = "N", default_value_t = Settings::default().seed, value_parser = settings::seed)]
    pub seed: u64,
    /// Only this instruction set [default: all this processor has]
    #[arg(long, alias = "level", value_name = "NAME", value_parser = settings::level)]
    pub isa: Option<Kernels>,
}
