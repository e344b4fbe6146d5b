//! Makes the ledger of a project long, for `bench/registry`: `grow_ledger PROJECT MODEL EVENTS VERSIONS`.
//!
//! The project has two versions. The first is registered again and again, under its own name and those of other
//! models, approved and promoted; the last fifty versions of MODEL are like the second and stay approved. The rest are
//! moves of aliases.
//! Every event goes through the lifecycle, so the ledger is one that modelgate could have written.

use std::error::Error;
use std::io::Write;
use std::path::Path;

use modelgate_core::ledger::{LedgerEntry, LedgerEvent, RegistryState};
use modelgate_core::lifecycle::{Event, ModelState, decide};
use modelgate_core::{ModelName, VersionNumber};
use modelgate_registry::{Registry, RegistryUri};

/// At most so many models; fewer where there are not enough versions for each.
const MODELS: u32 = 20;
/// What a model needs of versions, so that there are some to promote and some to go back to.
const VERSIONS_EACH: u32 = 70;

struct Writer<W> {
    output: W,
    state: RegistryState,
    head: Option<modelgate_core::ledger::Head>,
    second: i64,
}

impl<W: Write> Writer<W> {
    fn append(&mut self, event: LedgerEvent) -> Result<(), Box<dyn Error>> {
        // One event every ten seconds.
        self.second += 10;
        let time = jiff::Timestamp::from_second(self.second)?.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string();
        let empty = ModelState::default();
        let digests = self.state.models.get(event.model()).unwrap_or(&empty).digests(&event);
        let entry = LedgerEntry::seal(event, digests, time, "bench".to_owned(), self.head)?;
        self.state.apply(&entry)?;
        self.head = Some(entry.head());
        self.output.write_all(entry.to_line()?.as_bytes())?;
        Ok(())
    }

    fn act(
        &mut self,
        model: &ModelName,
        version: VersionNumber,
        event: &Event,
    ) -> Result<(), Box<dyn Error>> {
        let state = self.state.models.get(model).ok_or("no model")?;
        let event = decide(state, model, version, event)?;
        self.append(event)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [project, model, events, versions] = arguments.as_slice() else {
        return Err("expected PROJECT MODEL EVENTS VERSIONS".into());
    };
    let (project, model): (&Path, ModelName) = (Path::new(project), model.parse()?);
    let (events, versions): (u64, u32) = (events.parse()?, versions.parse()?);
    let registry = Registry::open(&RegistryUri::Folder, project)?;
    let first = registry.registration(&model, VersionNumber(1))?;
    let second_package = registry.registration(&model, VersionNumber(2))?;
    let (state, head) = (registry.state().clone(), registry.position().head);
    let mut last = String::new();
    registry.for_each_entry(|entry| {
        entry.time.clone_into(&mut last);
        Ok(())
    })?;
    drop(registry);
    let file = std::fs::OpenOptions::new().append(true).open(project.join(".modelgate/ledger.jsonl"))?;
    let second = last.parse::<jiff::Timestamp>()?.as_second();
    let mut writer = Writer { output: std::io::BufWriter::new(file), state, head, second };
    let mut names = vec![model.clone()];
    let models = (versions / VERSIONS_EACH).clamp(1, MODELS);
    for number in 1..models {
        names.push(format!("bulk-{number:02}").parse()?);
    }
    let each = versions / models;
    for name in &names {
        let kept = if *name == model { each.saturating_sub(50) } else { each };
        for number in 0..each {
            let state = writer.state.models.get(name);
            let version = state.map_or(VersionNumber(1), ModelState::next_version);
            let mut registration = if number < kept { first.clone() } else { second_package.clone() };
            registration.lineage.run_id = format!("bench-{name}-{number}").parse()?;
            let registered = LedgerEvent::Registered {
                model: name.clone(),
                version,
                registration: Box::new(registration),
            };
            writer.append(registered)?;
            writer.act(name, version, &Event::Approve { reason: "bench".to_owned() })?;
            if number < kept {
                let over = writer.state.models.get(name).and_then(ModelState::production);
                writer.act(name, version, &Event::Promote { over, reason: "bench".to_owned() })?;
            }
        }
    }
    let mut turn: u32 = 0;
    while writer.head.is_some_and(|head| head.seq < events) {
        turn = turn.wrapping_add(1);
        let name = names[(turn % models) as usize].clone();
        let version = VersionNumber(turn.wrapping_mul(7919) % each.max(1) + 1);
        let alias = format!("team-{}", turn % 5).parse()?;
        writer.act(&name, version, &Event::SetAlias { alias, reason: String::new() })?;
    }
    writer.output.flush()?;
    Ok(())
}
