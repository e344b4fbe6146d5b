//! `modelgate data validate`.

use std::path::{Path, PathBuf};

use modelgate_data::contract::{self, Contract, ContractReport, Severity};
use modelgate_data::describe::{Depth, describe_as};
use modelgate_data::{Dataset, Mixed, ReadOptions};
use modelgate_pipeline::datasets::{self, Reading};
use modelgate_pipeline::{Project, micros, read_contract, read_options};

use crate::arguments::data::DataValidate;
use crate::commands::data::{Asked, Chosen, chosen, project_for};
use crate::environment::{now, shows_values};
use crate::exit::{Exit, UsageError};
use crate::printer::{Printer, coloured};
use crate::progress::Rows;

pub(crate) fn execute(validate: &DataValidate, folder: &Path, printer: &Printer) -> anyhow::Result<Exit> {
    let asked = Asked {
        data: validate.data.as_deref(),
        pipeline: validate.pipeline.as_deref(),
        contract: validate.contract.as_deref(),
        has_contract: !validate.infer,
    };
    let project = project_for(&asked, folder)?;
    let found = chosen(&asked, project.as_ref(), folder)?;
    let of_pipeline = project.as_ref().filter(|_| found.pipeline.is_some());
    let root = of_pipeline.map_or(folder, |project: &Project| project.root.as_path());
    if let (Some(pipeline), None) = (&found.pipeline, &validate.data) {
        let differs = datasets::warning(pipeline, &found.files, Reading::All);
        differs.iter().for_each(|warning| printer.warning(warning));
    }
    if validate.infer {
        return infer(validate, &found, root, printer);
    }
    let (contract, name) = read(validate, &found, printer)?;
    let (files, now) = (found.files, micros(&now()));
    let report = match &found.pipeline {
        Some(pipeline) => {
            let options = ReadOptions { drop: read_options(pipeline).drop, ..found.options };
            contract::check_for_run(files, &options, &contract, &name, now)
        }
        None => contract::check(files, &found.options, &contract, &name, now),
    }?;
    if let Some(path) = &validate.output {
        let text = modelgate_core::canonical::to_pretty(&report)?;
        modelgate_store::atomic::write(path, text.as_bytes())?;
    }
    if printer.is_json() {
        printer.json(&report)?;
    } else {
        report.notes.iter().for_each(|note| printer.warning(note));
        for line in lines(&report, shows_values()) {
            printer.data(&line)?;
        }
    }
    Ok(if report.passed() { Exit::Passed } else { Exit::Blocked })
}

fn read(
    validate: &DataValidate,
    found: &Chosen<'_>,
    printer: &Printer,
) -> anyhow::Result<(Contract, String)> {
    if let Some(path) = &validate.contract {
        let name = path.display().to_string();
        let text = fs_err::read_to_string(path)?;
        if validate.odcs {
            let (contract, left) = contract::from_odcs(&text, &name).map_err(unusable)?;
            left.iter().for_each(|left| printer.warning(&format!("{name}: {left} is not checked")));
            return Ok((contract, name));
        }
        let contract = contract::parse(&text, &name).map_err(unusable)?;
        return Ok((contract, name));
    }
    if validate.odcs {
        return Err(UsageError("--odcs needs --contract, the file of the open contract".to_owned()).into());
    }
    let Some(pipeline) = &found.pipeline else {
        let message = "--data needs a contract: name a pipeline that has one, or a file with --contract; --infer writes one";
        return Err(UsageError(message.to_owned()).into());
    };
    let contract = read_contract(pipeline)?.ok_or_else(|| {
        UsageError(format!(
            "pipeline `{}` has no `data.contract`; `modelgate data validate --infer` writes a first one",
            pipeline.name
        ))
    })?;
    Ok((contract.0, pipeline.config.data.contract.clone().unwrap_or_default()))
}

/// A contract that cannot be read is wrong configuration.
fn unusable(error: modelgate_data::DataError) -> UsageError {
    UsageError(error.to_string())
}

/// Returns what was found, for people: of each row its place, and with `values` what stands there.
pub(crate) fn lines(report: &ContractReport, values: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for violation in &report.violations {
        let word = match violation.severity {
            Severity::Error => coloured("failed").replace("failed", "error  "),
            Severity::Warning => coloured("inconclusive").replace("inconclusive", "warning"),
        };
        lines.push(format!("{word} {}: {}", violation.id, violation.message));
        for row in &violation.rows {
            let place = row.line.map_or_else(|| format!("row {}", row.row), |line| format!("line {line}"));
            let file = if report.files.len() > 1 { format!("{}, ", row.file) } else { String::new() };
            let shown = row.values.iter().filter(|_| values);
            let shown: Vec<String> = shown.map(|(column, value)| format!("{column} = {value}")).collect();
            let shown = if values { format!(": {}", shown.join(", ")) } else { String::new() };
            lines.push(format!("          {file}{place} (data row {}){shown}", row.row));
        }
        let more = violation.count.saturating_sub(violation.rows.len() as u64);
        if more > 0 && !violation.rows.is_empty() {
            lines.push(format!("          and {more} more"));
        }
    }
    lines.push(report.summary());
    lines
}

fn infer(
    validate: &DataValidate,
    found: &Chosen<'_>,
    root: &Path,
    printer: &Printer,
) -> anyhow::Result<Exit> {
    let (name, path): (String, PathBuf) = match (&validate.contract, &found.pipeline) {
        (Some(path), _) => {
            let name = path
                .file_stem()
                .map_or_else(|| "data".to_owned(), |stem| stem.to_string_lossy().into_owned());
            (name, path.clone())
        }
        (None, Some(pipeline)) => {
            let file = pipeline.config.data.contract.clone();
            let file = file.unwrap_or_else(|| format!("contracts/{}.yaml", pipeline.name));
            (pipeline.name.to_owned(), root.join(file))
        }
        (None, None) => {
            return Err(UsageError(
                "--data needs a pipeline, or --contract: where the contract is written".to_owned(),
            )
            .into());
        }
    };
    if path.exists() && !validate.overwrite {
        let shown = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        let pipeline = found.pipeline.as_ref().filter(|pipeline| pipeline.config.data.contract.is_none());
        let told = pipeline
            .filter(|_| !validate.odcs)
            .map(|pipeline| format!("; {}", to_check(&shown, pipeline.name)));
        let message =
            format!("`{shown}` is there already; --overwrite replaces it{}", told.unwrap_or_default());
        return Err(UsageError(message).into());
    }
    let mut progress = Rows::new(printer, "contract");
    let dataset = Dataset::open(found.files.clone(), &found.options, Mixed::AsText)?;
    let description = describe_as(&dataset, Depth::Values, &mut |done, of| progress.tell(done, of))?;
    drop(progress);
    // The contract would refuse the data that it is made of.
    if let Some(column) = description.columns.iter().find(|column| column.is_beyond_models()) {
        return Err(anyhow::anyhow!(
            "column `{}` has numbers that are infinite or beyond ±3.4e38, which models cannot compute with; mend or remove them \
             first (`modelgate data profile` shows the range)",
            column.name
        ));
    }
    // Nor is a contract made of data that no run takes: numbers with a slip among them would be text from then on.
    if !description.notes.is_empty() {
        let options = ReadOptions { drop: description.left_out.clone(), ..found.options.clone() };
        let _ = Dataset::open(found.files.clone(), &options, Mixed::Refuse)?;
    }
    let target = found
        .pipeline
        .as_ref()
        .filter(|pipeline| pipeline.config.task == modelgate_config::TaskKind::Classification);
    let target = target.map(|pipeline| pipeline.config.data.target.as_str());
    let contract = contract::infer(&description, &found.options.types, &name, target);
    let order = dataset.schema.names();
    let text = if validate.odcs {
        let (text, own) = contract::to_odcs(&contract, &order)?;
        super::contract::tell_own(&own, printer);
        text
    } else {
        let about = "# A first contract, from what the data is like now: loosen ranges, tighten what must hold, add `rules`.\n";
        format!("{about}{}", contract::to_yaml(&contract, &order)?)
    };
    modelgate_store::atomic::write(&path, text.as_bytes())?;
    description.notes.iter().for_each(|note| printer.warning(note));
    let shown = path.strip_prefix(root).unwrap_or(&path).display().to_string();
    if printer.is_json() {
        printer
            .json(&serde_json::json!({ "schema_version": 1, "contract": shown, "columns": order.len() }))?;
        return Ok(Exit::Passed);
    }
    printer.data(&format!("wrote {shown}: {} columns, from {} rows", order.len(), description.rows))?;
    if let Some(pipeline) = found.pipeline.as_ref().filter(|pipeline| pipeline.config.data.contract.is_none())
    {
        // A run reads contracts in our own form.
        let (first, file) = if validate.odcs {
            let own = format!("contracts/{}.yaml", pipeline.name);
            (format!("`modelgate data contract import {shown} --output {own}`, and "), own)
        } else {
            (String::new(), shown)
        };
        let told = to_check(&file, pipeline.name);
        printer.talk(&told.replacen("add ", &format!("{first}add "), 1));
    }
    Ok(Exit::Passed)
}

/// Says how a contract becomes a pipeline's.
fn to_check(file: &str, pipeline: &str) -> String {
    format!(
        "to check it in every run, add `contract: {file}` below `data` of pipeline `{pipeline}` in modelgate.yaml"
    )
}
