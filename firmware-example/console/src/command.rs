//! What a line means. Commands begin with a slash, as in the desktop program; everything else begins a story.

use flashlm_core::config::Depth;

pub enum Command<'a> {
    Story(&'a [u8]),
    Stats,
    Temperature(f32),
    Seed(u64),
    Depth(Depth),
    Length(u32),
    Reset,
    Checksum { tokens: u32, seed: u64, prompt: &'a [u8] },
    Help,
    Quit,
}

pub const HELP: &str = "\
Type the beginning of a story. Ctrl-C stops it.
/temp X          temperature, 0 (always the likeliest token) to 10
/seed N          the same seed tells the same story
/depth N         passes of the reasoning loop; 0: the model chooses
/length N        the most tokens a story gets
/stats           ticks a token, passes, flash and RAM
/reset           settings, random numbers and statistics as at the start
/checksum N SEED PROMPT
                 hash of the logits and tokens of a story of N tokens, the same on every target
/quit, Ctrl-D    end
";

impl<'a> Command<'a> {
    /// The meaning of `line`, or what is expected of the command it names.
    pub fn parse(line: &'a [u8]) -> Result<Self, &'static str> {
        let Some(command) = line.strip_prefix(b"/") else { return Ok(Self::Story(line)) };
        let (name, value) = word(command);
        match name {
            b"temp" | b"temperature" => {
                let temperature = decimal(value).filter(|&t| t <= 10.0);
                temperature.map(Self::Temperature).ok_or("/temp: expected a number from 0 to 10, as 0.8")
            }
            b"seed" => whole(value).map(Self::Seed).ok_or("/seed: expected a whole number"),
            b"depth" => match (value.trim_ascii(), whole(value)) {
                (b"auto", _) | (_, Some(0)) => Ok(Self::Depth(Depth::Adaptive)),
                (_, Some(n @ 1..=255)) => Ok(Self::Depth(Depth::Fixed(n as u8))),
                _ => Err("/depth: expected a number of passes, or auto for the model's choice"),
            },
            b"length" | b"tokens" => match whole(value) {
                Some(n @ 1..=1_000_000) => Ok(Self::Length(n as u32)),
                _ => Err("/length: expected a number of tokens from 1 to 1000000"),
            },
            b"checksum" | b"fingerprint" => {
                let (tokens, rest) = word(value);
                let (seed, prompt) = word(rest);
                match (whole(tokens), whole(seed)) {
                    (Some(n @ 1..=1_000_000), Some(seed)) => Ok(Self::Checksum { tokens: n as u32, seed, prompt }),
                    _ => Err("/checksum: expected a number of tokens, a seed and a prompt"),
                }
            }
            b"stats" => Ok(Self::Stats),
            b"reset" => Ok(Self::Reset),
            b"help" => Ok(Self::Help),
            b"quit" => Ok(Self::Quit),
            _ => Err("no such command; /help lists them"),
        }
    }
}

/// The bytes before the first space, and those behind it.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = text.splitn(2, |&b| b == b' ');
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

fn whole(text: &[u8]) -> Option<u64> {
    core::str::from_utf8(text).ok()?.trim().parse().ok()
}

/// A decimal number of at least 0 with up to six digits behind the point.
fn decimal(text: &[u8]) -> Option<f32> {
    let text = core::str::from_utf8(text).ok()?.trim();
    let (integer, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut value = integer.parse::<u16>().ok()? as f32;
    let mut unit = 1.0;
    let mut digits = 0;
    for digit in fraction.bytes() {
        if !digit.is_ascii_digit() || unit > 1e5 {
            return None;
        }
        digits = digits * 10 + u32::from(digit - b'0');
        unit *= 10.0;
    }
    value = (value * unit + digits as f32) / unit;
    Some(value)
}
