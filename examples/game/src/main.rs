//! A headless game that shows what frame memory is for.
//!
//! Two thousand bodies collide in Rapier. Every frame, worker threads turn that into the lists a game needs (contacts,
//! ray hits, particles, visibility, render batches), and a render thread reads them while the next frame is filled. The
//! same game is played on four kinds of memory, each in a process of its own; all must read back the same data.

#![expect(unreachable_pub, reason = "a program has no outside: `pub` means the module's face")]

mod cli;
mod crew;
mod fold;
mod game;
mod model;
mod report;
mod scene;
mod soak;
mod tally;
mod variants;

use std::process::ExitCode;

use cli::{Args, Memory};
use framealloc::LiveConfig;
use game::{Outcome, play};
use indicatif::{ProgressBar, ProgressStyle};
use meter::{Player, TURN};
use report::Report;

#[global_allocator]
static HEAP: meter::Counting = meter::Counting;

fn main() -> ExitCode {
    let args = match Args::read(std::env::args()) {
        Ok(args) => args,
        Err((text, 0)) => {
            println!("{text}");
            return ExitCode::SUCCESS;
        }
        Err((line, code)) => {
            eprintln!("{line}");
            return ExitCode::from(code);
        }
    };
    let result = match args.soak {
        Some(frames) => soak::soak(frames, args.settings().seed).map(|soaked| print!("{soaked}")),
        None if args.child => play_here(&args),
        None => play_each(&args),
    };
    result.map_or_else(
        |error| {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

/// The child: one variant, its outcome as JSON on stdout.
fn play_here(args: &Args) -> Result<(), String> {
    let settings = args.settings();
    let outcome = match args.variant {
        Memory::All => return Err("a child plays one variant".to_owned()),
        Memory::Vec => play::<variants::fresh::Fresh>(&settings),
        Memory::Reuse => play::<variants::reuse::Reuse>(&settings),
        Memory::Bumpalo => play::<variants::bump::Bumpalo>(&settings),
        Memory::Framealloc => play_budgeted(args),
    }?;
    serde_json::to_writer(std::io::stdout().lock(), &outcome).map_err(|error| error.to_string())
}

/// framealloc, with the books that were asked for.
fn play_budgeted(args: &Args) -> Result<Outcome, String> {
    use variants::frame::{FrameAlloc, hold_to};

    let settings = args.settings();
    let Some(budget) = args.books.open()? else { return play::<FrameAlloc>(&settings) };
    #[cfg(feature = "tracy")]
    let _client = tracy_client::Client::start();
    let title = format!("The headless game: {} bodies, {} workers", settings.bodies, settings.threads);
    let view = args.books.live.map(|address| budget.serve_live(LiveConfig::new(address).with_title(&title)));
    let _view = view.transpose().map_err(|error| error.to_string())?;
    hold_to(budget.clone());
    let outcome = play::<FrameAlloc>(&settings)?;
    let metrics = budget.metrics();
    if let Some(path) = &args.books.html {
        std::fs::write(path, metrics.recording(title).to_html())
            .map_err(|error| format!("cannot write '{}': {error}", path.display()))?;
    }
    let report = metrics.report().to_string();
    #[cfg(feature = "sample")]
    let report = metrics.sites().map_or(report.clone(), |sites| format!("{report}\n{sites}"));
    Ok(Outcome { budget: Some(report), ..outcome })
}

/// The parent: every variant in a process of its own, in turns, then the report.
fn play_each(args: &Args) -> Result<(), String> {
    let settings = args.settings();
    let variants = args.variant.variants();
    let progress = ProgressBar::new(u64::from(settings.frames.div_ceil(TURN)) * variants.len() as u64);
    let style = ProgressStyle::with_template("{bar:40} {percent} % {msg} {elapsed}").expect("a valid template");
    progress.set_style(style);

    let players: Result<Vec<Player<Memory, Outcome>>, String> =
        variants.into_iter().map(|variant| Player::start(variant, args.of_child(variant))).collect();
    let mut players = players?;
    let mut report = Report::new(settings);
    while report.outcomes() < players.len() {
        for player in &mut players {
            progress.set_message(player.variant.name());
            let outcome = player.turn().map_err(|error| format!("{}: {error}", player.variant.name()))?;
            progress.inc(1);
            if let Some(outcome) = outcome {
                report.add(player.variant, outcome);
            }
        }
    }
    progress.finish_and_clear();

    print!("{report}");
    if let Some(text) = report.budget() {
        println!("\nThe budget of framealloc\n\n{text}");
    }
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&report.summary()).map_err(|error| error.to_string())?;
        std::fs::write(path, text + "\n").map_err(|error| format!("cannot write '{}': {error}", path.display()))?;
    }
    report.check()
}
