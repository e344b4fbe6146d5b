//! `modelgate deploy space --stop`: a Space that answers nobody. The Hub knows of no quarantine, so that a Space goes on with
//! what it has where there is nothing to go back to.

use modelgate_deploy::hub::Repository;
use serde_json::json;

use super::{hub, show};
use crate::arguments::deploy::Space;
use crate::exit::Exit;
use crate::printer::Printer;

pub(super) fn execute(arguments: &Space, space: &Repository, printer: &Printer) -> anyhow::Result<Exit> {
    let (hub, _) = hub(arguments)?;
    let is_there = match hub.pause(space) {
        Ok(()) => true,
        Err(error) if error.status() == Some(404) => false,
        Err(error) => return Err(error.into()),
    };
    if hub.is_dry() {
        show(&hub, printer)?;
        return Ok(Exit::Passed);
    }
    if printer.is_json() {
        printer.json(&json!({ "schema_version": 1, "space": space.id(), "stopped": is_there }))?;
    }
    printer.talk(&if is_there {
        format!("{} is stopped; `modelgate deploy space` starts it again", space.id())
    } else {
        format!("{} is not there: there is nothing to stop", space.id())
    });
    Ok(Exit::Passed)
}
