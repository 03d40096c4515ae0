//! `bartizan sample`: the sample bank alone, vulnerable or fixed.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use bartizan_bank::{CUSTOMERS, Config, Flaw, Flaws, Staff, credentials, prepare};
use bartizan_store::system::SystemClock;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use crate::admin_client::{fail, say};

/// Runs the sample bank: an API of a bank, for trying protection on. On loopback only.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("build").required(true).args(["vulnerable", "fixed"])))]
pub struct Args {
    /// With every planted flaw of `docs/sample-bank.md`.
    #[arg(long)]
    pub vulnerable: bool,
    /// With none of them: what is found in it is a false finding.
    #[arg(long)]
    pub fixed: bool,
    /// Where it answers; a loopback address.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    pub listen: SocketAddr,
    /// The same seed makes the same people, passwords and things.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// An SQLite file to keep it in; without one, memory.
    #[arg(long, value_name = "FILE")]
    pub database: Option<PathBuf>,
}

/// Runs `bartizan sample` until Ctrl-C or SIGTERM.
pub fn run(args: Args) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match runtime.block_on(sample(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{error:#}")),
    }
}

async fn sample(args: Args) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    anyhow::ensure!(
        args.listen.ip().is_loopback(),
        "the sample bank answers on loopback only: name an address such as `127.0.0.1:3000` with `--listen`"
    );
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("cannot listen on {}: name another address with `--listen`", args.listen))?;
    let address = listener.local_addr()?;
    let flaws = if args.vulnerable { Flaws::all() } else { Flaws::none() };
    let build = if args.vulnerable {
        format!("vulnerable: {} planted flaws, docs/sample-bank.md tells each", Flaw::ALL.len())
    } else {
        "fixed: no planted flaw".to_owned()
    };
    let config = Config {
        flaws,
        seed: args.seed,
        database: args.database,
        issuer: None,
        clock: Arc::new(SystemClock::default()),
    };
    let opened = prepare(listener, config)?;
    let customer = credentials(args.seed, 1);
    say(&format!("sample bank on http://{address} ({build})"));
    say(&format!("  contract   http://{address}/openapi.json"));
    say(&format!("  issuer     http://{address}/.well-known/openid-configuration"));
    say(&format!("  customers  {CUSTOMERS}, such as `{}` with `{}`", customer.username, customer.password));
    for staff in [Staff::Clerk, Staff::Admin] {
        let staff = credentials(args.seed, staff.id());
        let code = staff.totp_base32().unwrap_or_default();
        say(&format!("  staff      `{}` with `{}` and codes of `{code}`", staff.username, staff.password));
    }
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    Ok(opened.serve(shutdown).await?)
}
