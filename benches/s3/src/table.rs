//! Starts the servers, runs each client in turn, several rounds of each row, and
//! prints Markdown. A cell is the median; a dash means that a client cannot do it.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::Result;
use crate::clients::{Small, Target};
use crate::measure::Cost;
use crate::work::Work;

/// Of the far server.
const ROUND_TRIP_MS: u32 = 50;

const CALLERS: &[&str] =
    &["storagedriver", "storagedriver-queue", "opendal-blocking", "opendal", "hyper"];
const STREAMS: &[&str] = &["storagedriver", "opendal", "hyper"];
const FAR: &[&str] = &["storagedriver", "opendal", "hyper", "hyper-serial"];

/// Where the clients go.
struct Server {
    name: String,
    endpoint: String,
    bucket: String,
    process: Option<Child>,
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // Gone already is as good.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Server {
    fn start(name: &str, bucket: &str, arguments: &[&str]) -> Result<Server> {
        let mut command = Command::new(env::current_exe()?);
        let mut process = command.args(arguments).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let output = process.stdout.take().ok_or("a server without output")?;
        BufReader::new(output).read_line(&mut line)?;
        let endpoint = line.trim().strip_prefix("listening on ").ok_or("a server did not start")?;
        let (name, bucket) = (name.to_string(), bucket.to_string());
        Ok(Server { name, endpoint: endpoint.to_string(), bucket, process: Some(process) })
    }

    /// The same, a round trip away.
    fn far(&self) -> Result<Server> {
        let address =
            self.endpoint.strip_prefix("http://").ok_or("the endpoint must be http://")?;
        let round_trip = ROUND_TRIP_MS.to_string();
        Server::start(&self.name, &self.bucket, &["delay", address, &round_trip])
    }

    fn run(&self, client: &str, signs: bool, work: Work) -> Result<Cost> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["run", client, &work.to_string()]).env("S3_ENDPOINT", &self.endpoint);
        command.env("S3_BUCKET", &self.bucket).env_remove("S3_SIGNS_PAYLOAD");
        if signs {
            command.env("S3_SIGNS_PAYLOAD", "1");
        }
        let output = command.stderr(Stdio::piped()).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_string().into());
        }
        Cost::from_json(&String::from_utf8(output.stdout)?)
    }
}

/// How much of everything.
struct Scale {
    rounds: usize,
    calls: usize,
    pieces: usize,
}

/// A row: what is measured of each client, on which server.
struct Row<'s> {
    server: &'s Server,
    title: String,
    work: Work,
    signs: bool,
    /// What has to be there anew each time, and where it is made.
    before: Option<(&'s Server, Work)>,
}

impl<'s> Row<'s> {
    fn new(server: &'s Server, title: impl Into<String>, work: Work) -> Row<'s> {
        Row { server, title: title.into(), work, signs: false, before: None }
    }

    fn signed(mut self) -> Row<'s> {
        self.signs = true;
        self
    }

    fn print(
        &self,
        scale: &Scale,
        clients: &[&str],
        cell: fn(&[Cost], Work) -> String,
    ) -> Result<()> {
        let mut costs: Vec<Vec<Cost>> = vec![Vec::new(); clients.len()];
        for round in 0..scale.rounds {
            for (client, costs) in clients.iter().zip(&mut costs) {
                if costs.len() < round {
                    continue; // it has failed, and has said why
                }
                if let Some((server, work)) = self.before {
                    server.run("hyper", false, work)?;
                }
                match self.server.run(client, self.signs, self.work) {
                    Ok(cost) => costs.push(cost),
                    Err(error) => eprintln!("{}, {client}: {error}", self.title),
                }
            }
        }
        print!("| {} | {} |", self.title, self.server.name);
        for costs in costs {
            let whole = costs.len() == scale.rounds;
            print!(" {} |", if whole { cell(&costs, self.work) } else { "–".to_string() });
        }
        println!();
        Ok(())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn seconds(costs: &[Cost]) -> String {
    format!("{:.2} s", median(costs.iter().map(|cost| cost.wall.as_secs_f64()).collect()))
}

fn cpu_per_call(costs: &[Cost], work: Work) -> String {
    let Work::Small { count, .. } = work else { return String::new() };
    let micros = costs.iter().map(|cost| cost.cpu.as_secs_f64() * 1e6 / count as f64);
    format!("{:.1} us", median(micros.collect()))
}

fn cpu_per_gib(costs: &[Cost], work: Work) -> String {
    let (Work::Upload(pieces) | Work::Download(pieces)) = work else { return String::new() };
    let gib = pieces as f64 / 1024.0;
    let cpu = median(costs.iter().map(|cost| cost.cpu.as_secs_f64() * 1e3 / gib).collect());
    let rss = median(costs.iter().map(|cost| cost.rss_kib as f64 / 1024.0).collect());
    format!("{cpu:.0} ms, {rss:.0} MiB")
}

fn head(what: &str, clients: &[&str]) {
    println!("\n| {what} | server | {} |", clients.join(" | "));
    println!("|---|---|{}", "---|".repeat(clients.len()));
}

/// Each call, one at a time and eight at once.
fn small_rows<'s>(server: &'s Server, calls: usize) -> Vec<Row<'s>> {
    let mut rows = Vec::new();
    for (call, name) in [(Small::Get, "get"), (Small::Put, "put"), (Small::Stat, "stat")] {
        for (at_once, how) in [(1, "one at a time"), (8, "8 at once")] {
            let work = Work::Small { call, count: calls, at_once };
            rows.push(Row::new(server, format!("{name}, {how}"), work));
            if call == Small::Put {
                rows.push(Row::new(server, format!("{name} signed, {how}"), work).signed());
            }
        }
    }
    rows
}

/// `near` is the server that `far` makes distant.
fn far_rows<'s>(near: &'s Server, far: &'s Server) -> Vec<Row<'s>> {
    let mut delete = Row::new(far, "delete of 2,500 objects", Work::Delete);
    delete.before = Some((near, Work::Fill(2500)));
    let stat = Work::Small { call: Small::Stat, count: 100, at_once: 100 };
    vec![
        Row::new(far, "upload of 100 MiB", Work::Upload(100)),
        Row::new(far, "download of 100 MiB", Work::Download(100)),
        delete,
        Row::new(far, "stat of 100 objects", stat),
    ]
}

pub fn print(quick: bool) -> Result<()> {
    let scale = match quick {
        true => Scale { rounds: 1, calls: 1000, pieces: 128 },
        false => Scale { rounds: 5, calls: 10_000, pieces: 1024 },
    };
    let null = Server::start("null", "bench", &["serve"])?;
    let mut servers = vec![(null, &scale)];
    let real_scale =
        Scale { rounds: scale.rounds, calls: scale.calls / 10, pieces: scale.pieces / 4 };
    if let Ok(target) = Target::from_env(false) {
        let name = env::var("S3_NAME").unwrap_or_else(|_| "real".to_string());
        let Target { endpoint, bucket, .. } = target;
        servers.push((Server { name, endpoint, bucket, process: None }, &real_scale));
    }
    for (server, scale) in &servers {
        server.run("hyper", false, Work::Prepare(scale.pieces))?;
    }
    println!("Client CPU of a call on 4 KiB:");
    head("call", CALLERS);
    for (server, scale) in &servers {
        for row in small_rows(server, scale.calls) {
            row.print(scale, CALLERS, cpu_per_call)?;
        }
    }
    println!("\nClient CPU of a GiB, and the largest resident size:");
    head("stream", STREAMS);
    for (server, scale) in &servers {
        let (up, down) = (Work::Upload(scale.pieces), Work::Download(scale.pieces));
        Row::new(server, "upload", up).print(scale, STREAMS, cpu_per_gib)?;
        Row::new(server, "upload, signed", up).signed().print(scale, STREAMS, cpu_per_gib)?;
        Row::new(server, "download", down).print(scale, STREAMS, cpu_per_gib)?;
    }
    println!("\nTime, with {ROUND_TRIP_MS} ms between:");
    head("work", FAR);
    for (server, scale) in &servers {
        server.run("hyper", false, Work::Prepare(100))?;
        let far = server.far()?;
        for row in far_rows(server, &far) {
            row.print(scale, FAR, |costs, _| seconds(costs))?;
        }
    }
    Ok(())
}
