//! What a feed costs: processor time for each event and client, and memory for each client, while they all follow the same.
//!
//! The service is a child of its own, so what is counted is its alone. Its clients are sockets of this process.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use underlay_core::ExpectedVersion;
use underlay_server::{ServeLimits, ServerConfig, serve_within};

use super::account::{Bookings, stream, tenant};
use super::disk::Disk;
use super::figure::{Figure, Sample};
use super::size::mebibytes;
use super::{Scale, log_file};
use crate::Result;

/// Clients, and how many events each is given in a run.
const CLIENTS: &[(usize, u64)] = &[(1, 2_000), (100, 500), (5_000, 50)];
/// More connections than clients.
const CONNECTIONS_MAX: usize = 6_000;
/// What begins an event.
const EVENT: &[u8] = b"\nevent: ";

pub(crate) async fn measure(disk: &Disk, scale: &Scale) -> Result<Vec<Figure>> {
    if fs::read_to_string("/proc/self/status").is_err() {
        eprintln!("  SKIP feed: this system has no /proc/self/status");
        return Ok(Vec::new());
    }
    let mut figures = Vec::new();
    for (clients, events) in CLIENTS {
        let (mut cost, mut memory, mut time, mut alone) = (vec![], vec![], vec![], vec![]);
        for _ in 0..scale.rounds {
            let folder = disk.fresh()?;
            let mut service = Service::start(&folder.path().join("feed.db"))?;
            // Caches fill, and the allocator takes what it takes once.
            service.write(*events)?;
            let before = service.processor_us()?;
            service.write(*events)?;
            let unfollowed = service.processor_us()? - before;
            let resident = service.resident_kib()?;
            let followers = Followers::connect(service.address, *clients).await?;
            memory.push(Sample::of((service.resident_kib()? - resident) / *clients as f64));
            let (before, began) = (service.processor_us()?, Instant::now());
            service.write(*events)?;
            followers.wait(*events).await;
            time.push(Sample::of(began.elapsed().as_secs_f64() * 1e6 / *events as f64));
            let followed = service.processor_us()? - before;
            cost.push(Sample::of((followed - unfollowed).max(0.0) / (*events as f64 * *clients as f64)));
            alone.push(Sample::of(unfollowed / *events as f64));
        }
        let name = |what: &str| format!("feed, {what}, {clients} clients");
        figures.push(Figure::new(name("processor time an event and client"), "µs", cost));
        figures.push(Figure::new(name("memory a client"), "KiB", memory));
        let time = Figure::new(name("an event from its commit to all"), "µs", time);
        figures.push(time.with_baseline("processor time of a commit alone", alone));
    }
    Ok(figures)
}

/// The service, in a process of its own.
struct Service {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Service {
    fn start(path: &Path) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["bench", "--feed-of"])
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = child.stdin.take().ok_or("the child takes no orders")?;
        let mut answers = BufReader::new(child.stdout.take().ok_or("the child gives no answers")?);
        let mut address = String::new();
        answers.read_line(&mut address)?;
        Ok(Self { child, orders, answers, address: address.trim().parse()? })
    }

    /// Has it commit so many events, one by one.
    fn write(&mut self, events: u64) -> Result<()> {
        writeln!(self.orders, "{events}")?;
        let mut done = String::new();
        self.answers.read_line(&mut done)?;
        if done.trim() == "done" { Ok(()) } else { Err("the child that serves has ended".into()) }
    }

    fn resident_kib(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        Ok(mebibytes(&status, "VmRSS:").ok_or("the system does not tell the memory of a process")? * 1024.0)
    }

    /// Processor time it has had.
    fn processor_us(&self) -> Result<f64> {
        let mut nanoseconds = 0.0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // A thread may have ended meanwhile.
            let text = fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
            nanoseconds +=
                text.split(' ').next().and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
        }
        Ok(nanoseconds / 1e3)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Where it has ended already there is nothing to kill.
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

/// Clients that follow, and count what they are given.
struct Followers {
    taken: Arc<AtomicU64>,
    moved: Arc<Notify>,
    clients: u64,
    _tasks: JoinSet<()>,
}

impl Followers {
    /// Connects them, and waits until each has heard where it begins.
    async fn connect(address: SocketAddr, clients: usize) -> Result<Self> {
        let (taken, moved) = (Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
        let mut tasks = JoinSet::new();
        for _ in 0..clients {
            let mut socket = TcpStream::connect(address).await?;
            socket
                .write_all(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
                .await?;
            let mut head = Vec::new();
            while !head.windows(4).any(|four| four == b"\nid:") {
                let mut bytes = [0; 1_024];
                let count = socket.read(&mut bytes).await?;
                if count == 0 {
                    return Err(format!("no feed: {}", String::from_utf8_lossy(&head)).into());
                }
                head.extend_from_slice(&bytes[..count]);
            }
            let (taken, moved) = (taken.clone(), moved.clone());
            tasks.spawn(async move {
                let (mut bytes, mut matched) = ([0; 4 << 10], 0);
                while let Ok(count @ 1..) = socket.read(&mut bytes).await {
                    for byte in &bytes[..count] {
                        matched = if *byte == EVENT[matched] {
                            matched + 1
                        } else {
                            usize::from(*byte == EVENT[0])
                        };
                        if matched == EVENT.len() {
                            matched = 0;
                            taken.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    moved.notify_one();
                }
            });
        }
        Ok(Self { taken, moved, clients: clients as u64, _tasks: tasks })
    }

    /// Waits until each was given so many events.
    async fn wait(&self, events: u64) {
        while self.taken.load(Ordering::Relaxed) < events * self.clients {
            self.moved.notified().await;
        }
    }
}

/// What the child does: serves, and commits as many events as it is told.
pub(crate) async fn serve_own(path: &Path) -> Result<()> {
    let store = log_file::open(path).await?;
    let engine = log_file::engine(log_file::ports(&store))?;
    let mut config = ServerConfig::new("bench").open_to(tenant()?);
    (config.feed_clients_max, config.tenant_feed_clients_max) = (CONNECTIONS_MAX, CONNECTIONS_MAX);
    let router = underlay_server::router(engine, config)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let limits = ServeLimits { connections_max: CONNECTIONS_MAX, ..ServeLimits::default() };
    let serving = tokio::spawn(serve_within(limits, listener, router, std::future::pending()));
    let (bookings, tenant, account) = (Bookings::new()?, tenant()?, stream(1)?);
    let mut written = 0;
    loop {
        let order = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).map(|_| line)
        });
        let order = order.await??;
        let Ok(events) = order.trim().parse::<u64>() else { break };
        for _ in 0..events {
            written += 1;
            let commit = bookings.commit(&account, ExpectedVersion::Any, written, 1);
            store.store.commit(&tenant, commit).await?;
        }
        println!("done");
    }
    serving.abort();
    Ok(())
}
