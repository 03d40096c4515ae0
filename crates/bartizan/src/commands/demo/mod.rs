//! `bartizan demo`: the sample bank, the gateway before it, and people and attackers around both, to watch.

mod cast;
mod kinds;
mod plain;
mod score;
mod stage;
mod summary;
mod terminal;
mod view;
mod words;

use std::{
    io::{IsTerminal as _, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use bartizan_bank::Flaw;
use bartizan_model::{Clock as _, Event, services::EventStore};
use bartizan_store::system::SystemClock;
use bartizan_traffic::{Kind, Outcome, play};
use parking_lot::Mutex;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use self::{
    plain::Plain,
    score::{Score, Sent, Shared},
    stage::{POLICY, Plan, Stage},
    terminal::{Screen, Wish},
    view::{Facts, Look},
    words::for_shell,
};
use crate::{
    EXIT_CONFIG,
    admin_client::{Output, remark, say},
    commands::minutes::Minutes,
};

/// Shows what protection does: a vulnerable bank, people and attackers around it, and the gateway between. On loopback only.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// For how long, such as `5` or `0.5` [default: until Ctrl-C or `q`; 1 where the output is no terminal].
    #[arg(long, value_name = "N")]
    pub minutes: Option<Minutes>,
    /// The same seed makes the same bank, people and attackers.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// People only.
    #[arg(long)]
    pub no_attacks: bool,
    /// Another policy. `${BANK}`, `${LISTEN}`, `${TRAFFIC}`, `${ADMIN}` and `${STATE}` in it are the demo's own places.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Print the demo's own policy, to change and to give to `--policy`, and end.
    #[arg(long, exclusive = true)]
    pub print_policy: bool,
    /// Where the protected bank answers; a loopback address [default: 127.0.0.1:8080, or a free port].
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Keep events, audit log and policy here [default: a temporary directory that is removed at the end].
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Lines instead of the live view.
    #[arg(long)]
    pub plain: bool,
    /// How to tell the outcome; `json` tells nothing before.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// How long it lasts without `--minutes` where nobody watches.
const UNWATCHED: Duration = Duration::from_secs(60);
/// Between two frames of the view, and two looks for news.
const FRAME: Duration = Duration::from_millis(250);
/// Requests on their way from senders to the score.
const OUTCOMES: usize = 1_024;

/// Why there is no demo.
pub struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    /// The policy or an address cannot be used.
    pub fn config(text: &str) -> Self {
        Failure { code: EXIT_CONFIG, text: text.trim_start_matches("error: ").to_owned() }
    }

    /// Anything else.
    pub fn other(text: &str) -> Self {
        Failure { code: 1, text: text.to_owned() }
    }
}

/// Runs `bartizan demo`: 0 when it ended as it should, 78 for a policy or an address that cannot be used.
pub fn run(args: &Args) -> ExitCode {
    if args.print_policy {
        say(POLICY.trim_end());
        return ExitCode::SUCCESS;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return crate::admin_client::fail(&error),
    };
    let ended = runtime.block_on(demo(args));
    runtime.shutdown_timeout(Duration::from_secs(1));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            remark(&format!("error: {}", failure.text));
            ExitCode::from(failure.code)
        }
    }
}

async fn demo(args: &Args) -> Result<(), Failure> {
    let mut ends = Ends::listen()?;
    let clock = Arc::new(SystemClock::default());
    let score: Shared = Arc::new(Mutex::new(Score::new(clock.now())));
    let watched = std::io::stdout().is_terminal() && args.output == Output::Text;
    let plan = Plan {
        seed: args.seed,
        listen: args.listen,
        policy: args.policy.as_deref(),
        state: args.state.as_deref(),
        clock: clock.clone(),
        witness: Arc::new(Witness(Arc::clone(&score))),
    };
    let stage = tokio::select! {
        stage = Stage::put_up(plan) => stage?,
        () = ends.asked() => return Ok(()),
    };
    let began = Instant::now();
    score.lock().began = clock.now();
    let traffic = Traffic::begin(args, &stage, Arc::clone(&score), clock);
    let mut show = Show {
        score,
        facts: facts(args, &stage, watched),
        began,
        stage: &stage,
        json: args.output == Output::Json,
    };
    let screen = if watched && !args.plain { Screen::open().ok() } else { None };
    let shown = match screen {
        Some(screen) => show.view(screen, &mut ends).await,
        None => {
            show.lines(&mut ends).await;
            Ok(())
        }
    };
    show.refresh();
    let Show { score, facts, json, .. } = show;
    // Frozen: what is cut off by the end is nobody's fault.
    let last = score.lock().clone();
    traffic.end().await;
    stage.take_down().await;
    if json {
        say(&summary::json(&last, &facts).to_string());
    } else {
        say(&summary::text(&last, &facts, args.state.is_some()));
    }
    shown.map_err(|error| Failure::other(&format!("the terminal cannot be used: {error}; try `--plain`")))
}

fn facts(args: &Args, stage: &Stage, watched: bool) -> Facts {
    Facts {
        program: for_shell(&std::env::args().next().unwrap_or_else(|| "bartizan".to_owned())),
        open: stage.open,
        bank: stage.bank,
        admin: stage.gateway.admin,
        state: for_shell(&stage.state.display().to_string()),
        policy: for_shell(&stage.policy.display().to_string()),
        generation: 1,
        problem: None,
        elapsed: Duration::ZERO,
        held: false,
        limit: match args.minutes {
            Some(Minutes(limit)) => Some(limit),
            None => (!watched).then_some(UNWATCHED),
        },
        people: cast::PEOPLE as usize,
        cast: if args.no_attacks { Vec::new() } else { Kind::ATTACKS.to_vec() },
        seed: args.seed,
        flaws: Flaw::ALL.len(),
    }
}

/// What ends the demo from outside.
struct Ends([Signal; 3]);

impl Ends {
    fn listen() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|error| Failure::other(&format!("cannot listen for signals: {error}")))
        };
        Ok(Ends([
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
        ]))
    }

    async fn asked(&mut self) {
        let Ends([interrupt, terminate, hangup]) = self;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Counts what the gateway tells.
struct Witness(Shared);

impl EventStore for Witness {
    fn insert(&self, batch: Vec<(Arc<Event>, String)>) -> Result<(), String> {
        let mut score = self.0.lock();
        batch.iter().for_each(|(event, _)| score.seen(event));
        Ok(())
    }
}

/// People and attackers, at it.
struct Traffic {
    playing: JoinHandle<()>,
    counting: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl Traffic {
    fn begin(args: &Args, stage: &Stage, score: Shared, clock: Arc<SystemClock>) -> Self {
        let world = cast::world(args.seed);
        let actors = cast::actors(&world, !args.no_attacks);
        let config = play::Config {
            proxy_protocol: true,
            max_requests: u64::MAX,
            max_time: Duration::from_secs(7 * 24 * 3_600),
            ..play::Config::new(stage.traffic, clock)
        };
        let (sender, mut outcomes) = mpsc::channel::<Outcome>(OUTCOMES);
        let (stop, stopped) = oneshot::channel();
        let playing = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            if let Err(error) = play(config, actors, sender, stopped).await {
                remark(&format!("error: {error}"));
            }
        });
        let counting = tokio::spawn(async move {
            while let Some(outcome) = outcomes.recv().await {
                score.lock().sent(&Sent::from(&outcome));
            }
        });
        Traffic { playing, counting, stop }
    }

    async fn end(self) {
        let _ = self.stop.send(());
        let _ = self.playing.await;
        let _ = self.counting.await;
    }
}

/// What is shown while it runs.
struct Show<'a> {
    score: Shared,
    facts: Facts,
    began: Instant,
    stage: &'a Stage,
    json: bool,
}

impl Show<'_> {
    fn refresh(&mut self) {
        self.facts.elapsed = self.began.elapsed();
        self.facts.generation = self.stage.gateway.gateway.active().snapshot.generation;
        self.facts.problem = self.stage.gateway.reloader.refused();
    }

    fn is_over(&self) -> bool {
        self.facts.limit.is_some_and(|limit| self.began.elapsed() >= limit)
    }

    /// On a terminal: a frame four times a second, and whenever the window or a key asks for one.
    async fn view(&mut self, mut screen: Screen, ends: &mut Ends) -> std::io::Result<()> {
        let look = Look::of_environment();
        let mut frames = tokio::time::interval(FRAME);
        let mut shown = self.score.lock().clone();
        while !self.is_over() {
            if !self.facts.held {
                self.refresh();
                shown = self.score.lock().clone();
            }
            screen.show(|frame| view::draw(frame, &shown, &self.facts, look))?;
            tokio::select! {
                _ = frames.tick(), if !self.facts.held => {}
                () = self.rest() => {}
                () = ends.asked() => return Ok(()),
                wish = screen.wishes.recv() => match wish {
                    Some(Wish::End) | None => return Ok(()),
                    Some(Wish::Hold) => self.facts.held = !self.facts.held,
                    Some(Wish::Redraw) => {}
                },
            }
        }
        Ok(())
    }

    /// Ends when the demo's time is over.
    async fn rest(&self) {
        match self.facts.limit {
            Some(limit) => tokio::time::sleep_until((self.began + limit).into()).await,
            None => std::future::pending().await,
        }
    }

    /// Elsewhere: lines, for as long as somebody reads them.
    async fn lines(&mut self, ends: &mut Ends) {
        let mut plain = Plain::default();
        let mut lines = if self.json { Vec::new() } else { Plain::opening(&self.facts) };
        let mut looks = tokio::time::interval(FRAME);
        while !self.is_over() {
            for line in lines.drain(..) {
                if writeln!(std::io::stdout(), "{line}").is_err() {
                    return;
                }
            }
            tokio::select! {
                _ = looks.tick() => {}
                () = self.rest() => {}
                () = ends.asked() => return,
            }
            self.refresh();
            if !self.json {
                lines = plain.news(&self.score.lock(), &self.facts);
            }
        }
    }
}
