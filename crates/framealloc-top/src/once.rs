//! One frame as text.

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::client::{Client, State};
use crate::model::Model;
use crate::table::{Columns, Sort, rows};
use crate::view::{figures, worst};

/// For a frame to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Prints the first frame that the program shows.
///
/// # Errors
///
/// If there is no program, it sends something else, or no frame ends within ten seconds.
pub(crate) fn print(address: SocketAddr) -> Result<(), String> {
    let start = Instant::now();
    let (mut client, mut model) = (Client::new(address, start), Model::default());
    while model.last.is_none() {
        let now = Instant::now();
        if let Some(State::Gone(why)) = client.poll(now, |message| model.apply(message)) {
            // One that came in time is what was asked for, whatever came after it.
            if model.last.is_none() {
                return Err(why);
            }
        }
        if now - start > PATIENCE {
            return Err(format!("no frame has ended within {} seconds", PATIENCE.as_secs()));
        }
        thread::sleep(Duration::from_millis(5));
    }
    match std::io::stdout().write_all(text(&model).as_bytes()) {
        // Whoever reads it may have seen enough.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(format!("the frame cannot be printed: {error}")),
        _ => Ok(()),
    }
}

/// The same as in the view, with all rows and whole names, and without what takes many frames to draw.
fn text(model: &Model) -> String {
    let rows = rows(model, Sort::Bytes);
    let columns = Columns::of_text(&rows);
    let area = Rect::new(0, 0, columns.width(), 1);
    let mut text = format!("{}\n", model.title);
    for parts in [figures(model), worst(model).into_iter().take(1).collect()] {
        let parts: Vec<_> = parts.into_iter().map(|(part, _)| part).collect();
        text += &format!("{}\n", parts.join("   "));
    }
    let mut push = |draw: &dyn Fn(&mut Buffer)| {
        let mut buffer = Buffer::empty(area);
        draw(&mut buffer);
        let line: String = buffer.content().iter().map(ratatui::buffer::Cell::symbol).collect();
        text += line.trim_end();
        text.push('\n');
    };
    push(&|buffer| columns.head(buffer, area));
    rows.iter().for_each(|row| push(&|buffer| columns.row(buffer, area, row)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::played;

    #[test]
    fn text_has_every_row_whole_and_no_codes() {
        let text = text(&played(320));
        assert!(text.starts_with("a game\nframe 320   59.6 a second"), "{text}");
        assert_eq!(text.lines().count(), 3 + 1 + 11);
        assert!(text.lines().all(|line| line == line.trim_end() && !line.contains(char::is_control)));
        let physics = text.lines().find(|line| line.starts_with("physics")).unwrap();
        assert!(physics.starts_with("physics          1.04 MiB  S  ███████|█░  89 %    1.17 MiB"), "{physics}");
    }
}
