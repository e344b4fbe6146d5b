//! Which files of a repository a pipeline's data are: as the `paths:` of a workflow name them, and as git does.
//!
//! Both from the repository's root, where GitHub compares by plain text: `./` and `..` would match nothing there.

/// Files that a change is looked for in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Watched {
    /// From the repository's root, without `.`, `..` and empty parts.
    path: String,
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    /// The file of just this name, or all files in the folder of this name for git.
    File,
    /// Everything below the folder of this name.
    Below,
    /// What a glob of ours finds.
    Pattern,
}

/// Returns the parts of `path`, written from the project's `folder`, from the repository's root; `None` when it leads out.
fn parts(folder: &str, path: &str) -> Option<Vec<String>> {
    let mut parts: Vec<String> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part.to_owned()),
        }
    }
    Some(parts)
}

fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Returns whether a folder of the repository holds the project's own, or is it: all of that is more than its data.
fn holds(outer: &str, folder: &str) -> bool {
    outer.is_empty()
        || folder == outer
        || folder.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
}

/// Returns what GitHub takes for just this text.
fn escaped(text: &str) -> String {
    let special = |letter: char| "\\*?+[]!".contains(letter);
    text.chars().flat_map(|letter| special(letter).then_some('\\').into_iter().chain([letter])).collect()
}

impl Watched {
    fn new(folder: &str, path: &str, form: Form) -> Option<Self> {
        Some(Self { path: parts(folder, path)?.join("/"), form })
    }

    /// Returns the file `path`, written from the project's `folder`; `None` for one outside of the repository.
    pub fn file(folder: &str, path: &str) -> Option<Self> {
        Self::new(folder, path, Form::File)
    }

    /// Returns the files that the glob `path` finds from the project's `folder`; `None` for some outside of the repository.
    pub fn pattern(folder: &str, path: &str) -> Option<Self> {
        Self::new(folder, path, Form::Pattern)
    }

    /// Returns what is around it: the folder with all that is in it, if that is not the project's own or one around that.
    #[must_use]
    pub fn around(&self, folder: &str) -> Self {
        let folder = if folder == "." { "" } else { folder };
        match self.path.rsplit_once('/') {
            Some((outer, _))
                if !holds(outer, folder) && (self.form == Form::File || !has_wildcard(outer)) =>
            {
                Self { path: outer.to_owned(), form: Form::Below }
            }
            _ => self.clone(),
        }
    }

    /// Returns everything in the folder of this name.
    #[must_use]
    pub fn below(&self) -> Self {
        Self { path: self.path.clone(), form: Form::Below }
    }

    /// Returns the files in which DVC tracks it: its own, or that of a folder that it is in.
    pub fn tracked_by(&self, folder: &str) -> Vec<Self> {
        let folder = if folder == "." { "" } else { folder };
        let mut found = vec![Self { path: format!("{}.dvc", self.path), form: self.form }];
        let mut path = self.path.as_str();
        while let Some((outer, _)) = path.rsplit_once('/') {
            path = outer;
            if holds(outer, folder) {
                break;
            }
            let form =
                if self.form == Form::Pattern && has_wildcard(outer) { Form::Pattern } else { Form::File };
            found.push(Self { path: format!("{outer}.dvc"), form });
        }
        found
    }

    /// Returns whether it lies in the project's folder.
    pub(super) fn is_in(&self, folder: &str) -> bool {
        folder == "." || self.path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    }

    /// Returns it as `paths:` of a workflow takes it. GitHub knows `*` and `**` as we do; `?`, `+`, `[]` and `!` mean something
    /// else there, so that a wildcard for one letter is one for several.
    pub(super) fn for_github(&self) -> String {
        match self.form {
            Form::File => escaped(&self.path),
            Form::Below => format!("{}/**", escaped(&self.path)),
            Form::Pattern => {
                let mut text = String::new();
                let mut rest = self.path.as_str();
                while let Some(letter) = rest.chars().next() {
                    rest = &rest[letter.len_utf8()..];
                    match letter {
                        '*' => text.push('*'),
                        '?' => text.push('*'),
                        // A bracket that stands first is one of the letters.
                        '[' => match rest.char_indices().skip(1).find(|(_, letter)| *letter == ']') {
                            Some((end, _)) => {
                                rest = &rest[end + 1..];
                                text.push('*');
                            }
                            None => text.push_str("\\["),
                        },
                        letter => text.push_str(&escaped(letter.encode_utf8(&mut [0; 4]))),
                    }
                }
                // `**` is for whole folders, and what became of two letters is not that.
                text.split('/').map(one_star).collect::<Vec<_>>().join("/")
            }
        }
    }

    /// Returns it as git takes it, from anywhere in the repository.
    pub(super) fn for_git(&self) -> String {
        match self.form {
            Form::File | Form::Below => format!(":(top,literal){}", self.path),
            Form::Pattern => format!(":(top,glob){}", self.path),
        }
    }
}

/// Returns a part of a path with one `*` for several, unless it is `**` alone.
fn one_star(part: &str) -> String {
    if part == "**" {
        return part.to_owned();
    }
    let mut text = String::new();
    for letter in part.chars() {
        if letter != '*' || !text.ends_with('*') || text.ends_with("\\*") {
            text.push(letter);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &str, path: &str) -> Watched {
        Watched::file(folder, path).expect("in the repository")
    }

    fn pattern(folder: &str, path: &str) -> Watched {
        Watched::pattern(folder, path).expect("in the repository")
    }

    #[test]
    fn a_path_is_told_from_the_root_without_detours() {
        for (written, wanted) in [
            ("d/a.csv", "proj/d/a.csv"),
            ("./d/a.csv", "proj/d/a.csv"),
            ("d//a.csv", "proj/d/a.csv"),
            ("d/../e/./a.csv", "proj/e/a.csv"),
            ("../shared/iris.csv", "shared/iris.csv"),
        ] {
            assert_eq!(file("proj", written).for_github(), wanted);
            assert_eq!(file("proj", written).for_git(), format!(":(top,literal){wanted}"));
        }
        assert_eq!(file(".", "./a.csv").for_github(), "a.csv");
        assert_eq!(Watched::file("proj", "../../iris.csv"), None);
        assert!(file("proj", "a.csv").is_in("proj") && !file("proj", "../a.csv").is_in("proj"));
        assert!(!file("proj", "../project/a.csv").is_in("proj") && file(".", "a.csv").is_in("."));
    }

    #[test]
    fn the_folder_around_data_is_watched_unless_the_project_is_in_it() {
        let around = |folder: &str, written: &str| file(folder, written).around(folder).for_github();
        assert_eq!(around("proj", "./d/a.csv"), "proj/d/**");
        assert_eq!(around("proj", "../shared/a.csv"), "shared/**");
        assert_eq!(
            (around("proj", "a.csv"), around("proj", "../a.csv")),
            ("proj/a.csv".into(), "a.csv".into())
        );
        assert_eq!(around("a/b", "../x.csv"), "a/x.csv");
        assert_eq!(around(".", "data/x.csv"), "data/**");
        assert_eq!(pattern(".", "data/*.csv").around(".").for_github(), "data/**");
        assert_eq!(pattern(".", "data/*/a.csv").around(".").for_github(), "data/*/a.csv");
        assert_eq!(file(".", "raw").below().for_github(), "raw/**");
    }

    #[test]
    fn letters_that_mean_something_else_to_github_are_escaped() {
        assert_eq!(file(".", "a+b [1]?.csv").for_github(), "a\\+b \\[1\\]\\?.csv");
        assert_eq!(file(".", "!a.csv").for_github(), "\\!a.csv");
        assert_eq!(file(".", "a[1].csv").for_git(), ":(top,literal)a[1].csv");
        // Of a glob, one letter is a few there: rather too often than never.
        assert_eq!(pattern(".", "d/**/part-??+[0-9].csv").for_github(), "d/**/part-*\\+*.csv");
        assert_eq!(pattern(".", "d/[!a]x[.csv").for_github(), "d/*x\\[.csv");
        assert_eq!(pattern(".", "d/**/part-?.csv").for_git(), ":(top,glob)d/**/part-?.csv");
    }

    #[test]
    fn what_dvc_tracks_data_in_is_watched_too() {
        let names = |watched: &Watched, folder: &str| -> Vec<String> {
            watched.tracked_by(folder).iter().map(Watched::for_github).collect()
        };
        assert_eq!(names(&file(".", "iris.csv"), "."), ["iris.csv.dvc"]);
        assert_eq!(
            names(&file("p", "data/raw/a.csv"), "p"),
            ["p/data/raw/a.csv.dvc", "p/data/raw.dvc", "p/data.dvc"]
        );
        assert_eq!(names(&pattern(".", "data/*.csv"), "."), ["data/*.csv.dvc", "data.dvc"]);
    }
}
