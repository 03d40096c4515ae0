//! The terminal while the view is on it: entered once, restored however the demo ends.

use std::{
    io::{self, BufWriter, Stdout, Write as _},
    time::Duration,
};

use ratatui::{
    Frame, Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor, event,
        event::{Event, KeyCode, KeyEventKind, KeyModifiers},
        execute, queue,
        terminal::{
            BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
            disable_raw_mode, enable_raw_mode,
        },
    },
};
use tokio::sync::mpsc;

/// What a person at the terminal wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To end it: `q`, Esc or Ctrl-C.
    End,
    /// To hold the view still, or to go on: the space bar.
    Hold,
    /// To see it in the window's new size.
    Redraw,
}

/// Pause between two looks for keys: how long the thread that looks outlives the view.
const LOOK: Duration = Duration::from_millis(100);

/// The terminal, with the view on it.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    /// What the person wants.
    pub wishes: mpsc::Receiver<Wish>,
}

impl Screen {
    /// Takes the terminal over. A panic anywhere restores it before it is told.
    ///
    /// # Errors
    /// The terminal cannot be controlled; it is as it was then.
    pub fn open() -> io::Result<Self> {
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            restore();
            told(info);
        }));
        enable_raw_mode()?;
        let entered = execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)
            .and_then(|()| Terminal::new(CrosstermBackend::new(BufWriter::new(io::stdout()))))
            .and_then(|terminal| Ok(Screen { terminal, wishes: keys()? }));
        if entered.is_err() {
            restore();
        }
        entered
    }

    /// Shows a frame: all of it at once, where the terminal can do that.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn show(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(draw)?;
        queue!(self.terminal.backend_mut(), EndSynchronizedUpdate)?;
        io::Write::flush(self.terminal.backend_mut())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back as it was. What fails here fails because the terminal is gone.
fn restore() {
    let _ = execute!(io::stdout(), EndSynchronizedUpdate, LeaveAlternateScreen, cursor::Show);
    let _ = io::stdout().flush();
    let _ = disable_raw_mode();
}

/// Reads keys on a thread of its own, which ends with the receiver.
fn keys() -> io::Result<mpsc::Receiver<Wish>> {
    let (sender, receiver) = mpsc::channel(8);
    std::thread::Builder::new().name("keys".to_owned()).spawn(move || {
        while !sender.is_closed() {
            let wish = match event::poll(LOOK) {
                Ok(true) => event::read().map(|event| wish(&event)),
                Ok(false) => Ok(None),
                Err(error) => Err(error),
            };
            match wish {
                Ok(Some(wish)) => {
                    // A full channel already has what is wanted.
                    let _ = sender.try_send(wish);
                }
                Ok(None) => {}
                Err(_) => return,
            }
        }
    })?;
    Ok(receiver)
}

fn wish(event: &Event) -> Option<Wish> {
    match event {
        Event::Resize(..) => Some(Wish::Redraw),
        Event::Key(key) if key.kind == KeyEventKind::Press => match key.code {
            KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Wish::End),
            KeyCode::Char('q') | KeyCode::Esc => Some(Wish::End),
            KeyCode::Char(' ') => Some(Wish::Hold),
            _ => None,
        },
        _ => None,
    }
}
