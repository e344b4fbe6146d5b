//! What DVC tracks in the project, for `data pull`, `status` and `dag`.

use modelgate_data::dvc::{DvcOutput, DvcPulled, DvcRepository, DvcStage, stages};
use modelgate_store::DigestIndex;

use crate::error::PipelineError;
use crate::project::Project;

/// Returns the stages of DVC's pipelines, in the order in which they run, each with why it would run again; empty
/// without a repository of DVC.
///
/// # Errors
/// Names the file of DVC that cannot be read.
pub fn dvc_stages(project: &Project) -> Result<Vec<DvcStage>, PipelineError> {
    let Some(repository) = DvcRepository::find(&project.root)? else { return Ok(Vec::new()) };
    let index = DigestIndex::open(&project.state_folder());
    let found = stages(&repository, &index)?;
    // An index that cannot be written only costs reading again.
    let _ = index.save();
    Ok(found)
}

/// Brings what DVC tracks into the project, from DVC's cache or remote; `None` without a repository of DVC.
///
/// # Errors
/// As [`DvcRepository::pull`].
pub fn pull_dvc(
    project: &Project,
    outputs: &[DvcOutput],
    environment: &dyn Fn(&str) -> Option<String>,
    force: bool,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Option<DvcPulled>, PipelineError> {
    let Some(repository) = DvcRepository::find(&project.root)? else { return Ok(None) };
    let index = DigestIndex::open(&project.state_folder());
    let pulled = repository.pull(outputs, environment, &index, force, progress);
    let saved = index.save();
    // Why the pull ended is told first.
    let pulled = pulled?;
    saved?;
    Ok(Some(pulled))
}
