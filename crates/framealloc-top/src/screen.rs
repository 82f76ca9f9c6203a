//! The terminal: set up, drawn to, asked for keys, and left as it was, whatever ends the program.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::client::{Client, State};
use crate::model::Model;
use crate::view::{Settings, View, draw};

/// From picture to picture: more than 20 a second nobody reads.
const PICTURE: Duration = Duration::from_millis(50);

/// For keys, between looks at the connection.
const KEYS: Duration = Duration::from_millis(15);

/// Without anything new: a countdown moves.
const IDLE: Duration = Duration::from_millis(200);

/// Whether the system has asked for an end.
fn asked_to_end() -> Result<Arc<AtomicBool>, String> {
    let asked = Arc::new(AtomicBool::new(false));
    #[cfg(unix)]
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, asked.clone())
            .map_err(|error| format!("signals cannot be heard: {error}"))?;
    }
    Ok(asked)
}

/// Leaves the terminal as it was.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        // Also on a panic, whose hook has done so before its text was written; twice does no harm.
        ratatui::restore();
    }
}

/// Runs `f` on a terminal that is this program's alone meanwhile.
///
/// # Errors
///
/// If there is no terminal, it cannot be set up, or `f` fails.
fn with_terminal(f: impl FnOnce(&mut DefaultTerminal) -> Result<(), String>) -> Result<(), String> {
    if !std::io::stdout().is_terminal() {
        return Err("the output is not a terminal; `--once` prints one frame as text".into());
    }
    // Before it is set up: what succeeds by half is undone, too.
    let _restored = Restored;
    let mut terminal = ratatui::try_init().map_err(|error| format!("the terminal cannot be used: {error}"))?;
    f(&mut terminal)
}

/// Watches until the user has seen enough.
///
/// # Errors
///
/// If there is no terminal, or it cannot be used.
pub(crate) fn watch(address: SocketAddr) -> Result<(), String> {
    let asked = asked_to_end()?;
    with_terminal(|terminal| watch_on(terminal, address, &asked))
}

fn watch_on(terminal: &mut DefaultTerminal, address: SocketAddr, asked: &AtomicBool) -> Result<(), String> {
    let fail = |error: std::io::Error| format!("the terminal cannot be used: {error}");
    let mut client = Client::new(address, Instant::now());
    let (mut state, mut model) = (State::Connecting, Model::default());
    let mut settings = Settings::default();
    // What is shown while it goes on.
    let mut held: Option<Model> = None;
    let (mut fresh, mut drawn, mut page) = (true, None::<Instant>, 1);
    while !asked.load(Ordering::Relaxed) {
        let now = Instant::now();
        let changed = client.poll(now, |message| {
            fresh = true;
            model.apply(message)
        });
        if let Some(changed) = changed {
            (state, fresh) = (changed, true);
        }
        let age = drawn.map(|drawn| now - drawn);
        if age.is_none_or(|age| age >= if fresh { PICTURE } else { IDLE }) {
            let view = View {
                address: client.address(),
                state: &state,
                retry: client.retry_at().map(|at| at.saturating_duration_since(now)),
                model: held.as_ref().unwrap_or(&model),
            };
            let picture = terminal.draw(|frame| {
                let area = frame.area();
                page = draw(frame.buffer_mut(), area, &view, &mut settings);
            });
            picture.map_err(fail)?;
            (drawn, fresh) = (Some(now), false);
        }
        if !event::poll(KEYS).map_err(fail)? {
            continue;
        }
        match event::read().map_err(fail)? {
            Event::Key(key) if key.kind != KeyEventKind::Release => {
                if !press(key, &mut settings, page) {
                    return Ok(());
                }
                match (settings.paused, &held) {
                    (true, None) => held = Some(model.clone()),
                    (false, Some(_)) => held = None,
                    _ => {}
                }
            }
            _ => {}
        }
        // Keys and new sizes are seen at once.
        drawn = None;
    }
    Ok(())
}

/// Does what a key is for; whether to go on.
fn press(key: KeyEvent, settings: &mut Settings, page: usize) -> bool {
    let scroll = &mut settings.scroll;
    match key.code {
        KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => return false,
        KeyCode::Char('q' | 'Q') => return false,
        KeyCode::Esc if settings.help => settings.help = false,
        KeyCode::Esc => return false,
        KeyCode::Char('?' | 'h') | KeyCode::F(1) => settings.help = !settings.help,
        KeyCode::Char('p' | 'P' | ' ') => settings.paused = !settings.paused,
        KeyCode::Char('s' | 'S') => settings.sort = settings.sort.next(),
        KeyCode::Up | KeyCode::Char('k') => *scroll = scroll.saturating_sub(1),
        KeyCode::Down | KeyCode::Char('j') => *scroll = scroll.saturating_add(1),
        KeyCode::PageUp => *scroll = scroll.saturating_sub(page),
        KeyCode::PageDown => *scroll = scroll.saturating_add(page),
        KeyCode::Home => *scroll = 0,
        KeyCode::End => *scroll = usize::MAX,
        _ => {}
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pressed(settings: &mut Settings, keys: &[KeyCode]) -> bool {
        keys.iter().all(|&code| press(KeyEvent::new(code, KeyModifiers::NONE), settings, 10))
    }

    #[test]
    fn keys_do_what_the_help_says() {
        use KeyCode::{Char, Down, End, Esc, Home, PageDown, PageUp, Up};
        let mut settings = Settings::default();
        assert!(pressed(&mut settings, &[Down, Down, PageDown, Up]) && settings.scroll == 11);
        assert!(pressed(&mut settings, &[PageUp, PageUp, Up]) && settings.scroll == 0);
        assert!(pressed(&mut settings, &[End, Down]) && settings.scroll == usize::MAX);
        assert!(pressed(&mut settings, &[Home, Char('j'), Char('k')]) && settings.scroll == 0);
        assert!(pressed(&mut settings, &[Char('p'), Char('s'), Char('?')]));
        assert!(settings.paused && settings.help && settings.sort == crate::table::Sort::Name);
        assert!(pressed(&mut settings, &[Esc, Char('p')]) && !settings.paused && !settings.help);
        for key in [Char('q'), Esc] {
            assert!(!pressed(&mut settings, &[key]));
        }
        assert!(!press(KeyEvent::new(Char('c'), KeyModifiers::CONTROL), &mut settings, 10));
    }
}

/// On a terminal that the tests make, in a process of its own: this very program, which finds in its environment what it is for.
#[cfg(all(test, target_os = "linux"))]
mod on_a_terminal {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::fd::OwnedFd;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command};
    use std::sync::Mutex;
    use std::thread::{self, JoinHandle};

    use framealloc_budget::Budget;
    use framealloc_core::{AllocConfig, SmartAlloc};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

    use super::*;

    const ROLE: &str = "FRAMEALLOC_TOP_TEST";
    const PANICS: &str = "panics";
    const LONG: Duration = Duration::from_secs(60);

    /// The other process.
    #[test]
    fn role() {
        match std::env::var(ROLE) {
            Err(_) => {}
            Ok(role) if role == PANICS => {
                let _ = with_terminal(|terminal| {
                    terminal.draw(|_| ()).unwrap();
                    panic!("on purpose");
                });
            }
            Ok(address) => {
                let code = crate::run(["framealloc-top".into(), address.into()]);
                assert_eq!(code, std::process::ExitCode::SUCCESS);
            }
        }
    }

    struct Terminal {
        master: OwnedFd,
        slave: File,
        before: Termios,
        child: Child,
        seen: Arc<Mutex<Vec<u8>>>,
        reader: JoinHandle<()>,
    }

    impl Terminal {
        fn run(role: &str) -> Self {
            let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
            grantpt(&master).unwrap();
            unlockpt(&master).unwrap();
            let name = ptsname(&master, Vec::new()).unwrap();
            let slave = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
            tcsetwinsize(&master, Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
            let before = tcgetattr(&slave).unwrap();
            let side = || slave.try_clone().unwrap();
            let child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "screen::on_a_terminal::role", "--nocapture"])
                .env(ROLE, role)
                .stdin(side())
                .stdout(side())
                .stderr(side())
                .spawn()
                .unwrap();
            let seen = Arc::new(Mutex::new(Vec::new()));
            let (mut from, into) = (File::from(master.try_clone().unwrap()), seen.clone());
            let reader = thread::spawn(move || {
                let mut part = [0; 4096];
                while let Ok(read @ 1..) = from.read(&mut part) {
                    into.lock().unwrap().extend_from_slice(&part[..read]);
                }
            });
            Self { master, slave, before, child, seen, reader }
        }

        fn text(&self) -> String {
            String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
        }

        fn wait_for(&self, part: &str) {
            let start = Instant::now();
            while !self.text().contains(part) {
                assert!(start.elapsed() < LONG, "{part} is not in {:?}", self.text());
                thread::sleep(Duration::from_millis(5));
            }
        }

        fn press(&self, key: &[u8]) {
            File::from(self.master.try_clone().unwrap()).write_all(key).unwrap();
        }

        /// The end of it: the exit code, and all that was written.
        fn end(mut self) -> (Option<i32>, String) {
            let start = Instant::now();
            let status = loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    break status;
                }
                assert!(start.elapsed() < LONG, "it goes on: {:?}", self.text());
                thread::sleep(Duration::from_millis(5));
            };
            assert_eq!(status.signal(), None);
            let after = tcgetattr(&self.slave).unwrap();
            assert_eq!(
                (after.input_modes, after.output_modes, after.control_modes, after.local_modes),
                (self.before.input_modes, self.before.output_modes, self.before.control_modes, self.before.local_modes),
                "the terminal's modes are those from before"
            );
            // Without this side of it, the reader finds the end.
            drop(self.slave);
            self.reader.join().unwrap();
            let text = String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned();
            (status.code(), text)
        }
    }

    const ENTER: &str = "\u{1b}[?1049h";
    const LEAVE: &str = "\u{1b}[?1049l";

    fn is_left_as_it_was(text: &str) {
        let (entered, left) = (text.find(ENTER), text.rfind(LEAVE));
        assert!(entered.is_some() && entered < left, "{text:?}");
        let (hidden, shown) = (text.rfind("\u{1b}[?25l"), text.rfind("\u{1b}[?25h"));
        assert!(hidden < shown, "the cursor is shown: {text:?}");
    }

    #[test]
    fn a_game_is_watched_until_a_key_or_a_signal_ends_it() {
        let budget = Budget::new();
        let view = budget.serve_live(std::net::SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let mut alloc = SmartAlloc::new(AllocConfig::default().with_governor(budget.clone()));
        for by_signal in [false, true] {
            let terminal = Terminal::run(&view.address().to_string());
            let start = Instant::now();
            while !terminal.text().contains("physics") {
                assert!(start.elapsed() < LONG, "{:?}", terminal.text());
                alloc.with_tag("physics", |a| a.frame().alloc_slice_fill(5000, 0u8).len());
                alloc.end_frame();
                thread::sleep(Duration::from_millis(5));
            }
            terminal.wait_for("attached");
            terminal.press(b"?");
            terminal.wait_for("PgUp");
            terminal.press(b"?");
            if by_signal {
                let pid = rustix::process::Pid::from_child(&terminal.child);
                rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
            } else {
                terminal.press(b"q");
            }
            let (code, text) = terminal.end();
            assert_eq!(code, Some(0), "{text:?}");
            is_left_as_it_was(&text);
        }
    }

    #[test]
    fn a_panic_is_read_on_a_terminal_that_is_as_it_was() {
        let (code, text) = Terminal::run(PANICS).end();
        assert_eq!(code, Some(101), "{text:?}");
        is_left_as_it_was(&text);
        assert!(text.find(LEAVE) < text.find("on purpose"), "its text is not lost with the screen: {text:?}");
    }
}
