//! A project file that does not say what is predicted: on a terminal it is asked for once.

#![cfg(target_os = "linux")]

use modelgate_testing::TestProject;

use crate::BINARY;
use crate::terminal::on_a_terminal;

#[test]
fn on_a_terminal_target_and_task_are_asked_for_once_and_written() {
    let project = TestProject::new(BINARY);
    let rows: String = (0..60).map(|row| format!("{row},{}\n", ["cat", "dog"][row % 2])).collect();
    project.write("data.csv", format!("a,kind\n{rows}"));
    let config = "# of mine\r\nversion: 1\r\nproject: p\r\npipelines:\r\n  data:   # called as a key\r\n    data:\r\n      source: data.csv\r\n";
    project.write("modelgate.yaml", config);
    // Who goes away without an answer has changed nothing.
    let run = ["run", "--until", "split"];
    let Some((code, screen)) = on_a_terminal(&project, &run, "\u{4}") else { return };
    assert!(code == 64 && screen.contains("nothing is changed"), "{code}: {screen}");
    assert_eq!(project.read("modelgate.yaml"), config);
    let (code, screen) = on_a_terminal(&project, &run, "nothing\nkind\n\n").expect("a terminal");
    assert!(screen.contains("which column is predicted? (a, kind) [kind]"), "{screen}");
    assert!(screen.contains("classification or regression? [classification]"), "{screen}");
    assert!(code == 0 && screen.contains("wrote the answers into modelgate.yaml"), "{code}: {screen}");
    let written = project.read("modelgate.yaml");
    assert!(
        written.starts_with("# of mine\r\n") && written.contains("data:   # called as a key\r\n"),
        "{written}"
    );
    assert!(
        written.contains("    task: classification\r\n") && written.contains("      target: \"kind\"\r\n")
    );
    // Once: from here on nobody is needed.
    let (code, screen) = on_a_terminal(&project, &run, "").expect("a terminal");
    assert!(code == 0 && !screen.contains("which column"), "{screen}");
    project.run(&run).exits(0).says("nothing changed");
}
