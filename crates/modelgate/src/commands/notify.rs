//! Telling a webhook what a command did.

use modelgate_config::NotifyEvent;
use modelgate_pipeline::notify::{self, Notice};
use modelgate_pipeline::{Project, Surroundings};

use crate::environment;
use crate::printer::Printer;

/// Sends the notice where the project wants it, and asks the service for another look where production changed; what goes
/// wrong is a warning.
pub(crate) fn tell(project: &Project, notice: &Notice, around: &Surroundings<'_>, printer: &Printer) {
    send(project, notice, around, printer);
    modelgate_pipeline::told(notice);
}

fn send(project: &Project, notice: &Notice, around: &Surroundings<'_>, printer: &Printer) {
    let moved =
        matches!(notice.event, NotifyEvent::Promoted | NotifyEvent::RolledBack | NotifyEvent::Quarantined);
    if let Some(url) = project.config.serve.reload_url.as_deref().filter(|_| moved) {
        let token = environment::variable("ADMIN_API_TOKEN").map(|token| token.trim().to_owned());
        if let Err(why) = notify::ask_for_reload(url, token.as_deref()) {
            printer.warning(&format!("the prediction service does not follow (`serve.reload_url`): {why}"));
        }
    }
    let config = &project.config.notify;
    if !notify::wanted(config, notice) {
        return;
    }
    let secret = config.secret_env.as_deref().and_then(environment::variable);
    let name = &project.config.project;
    if let Err(why) = notify::send(config, secret.as_deref(), name, notice, &(around.now)(), &around.actor) {
        printer.warning(&format!("the webhook was not told: {why}"));
    }
}
