//! `${…}` in `dvc.yaml`: what it stands for, by `params.yaml`, `vars`, and the items of `foreach` and `matrix`, as DVC documents
//! it (<https://dvc.org/doc/user-guide/project-structure/dvcyaml-files#templating>).

use std::path::Path;

use super::yaml::{self, Mapping, Yaml};

/// What references stand for.
#[derive(Clone, Debug, Default)]
pub(super) struct Context(Mapping);

impl Context {
    /// Returns what the stages of a `dvc.yaml` in `folder` may refer to.
    pub(super) fn of_file(folder: &Path, yaml: &Yaml) -> Self {
        let mut context = Self::default();
        context.read(folder, "params.yaml");
        context.with_vars(folder, yaml)
    }

    /// Returns the context with the `vars` of a file or a stage: mappings, and files with or without keys. Of a stage, `folder`
    /// is its `wdir`.
    pub(super) fn with_vars(mut self, folder: &Path, of: &Yaml) -> Self {
        for entry in of.get("vars").and_then(Yaml::as_list).unwrap_or_default() {
            match entry {
                Yaml::Text(file) => self.read(folder, file),
                Yaml::Map(values) => merge(&mut self.0, values.clone()),
                _ => {}
            }
        }
        self
    }

    /// Reads `file`, or `file:key,key`; what cannot be read, or is neither YAML nor JSON, stays unknown, and so does what refers
    /// to it.
    fn read(&mut self, folder: &Path, file: &str) {
        let (name, keys) = file.split_once(':').map_or((file, None), |(name, keys)| (name, Some(keys)));
        let path = folder.join(name);
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if !matches!(ending, "yaml" | "yml" | "json") {
            return;
        }
        if let Ok(Yaml::Map(mut values)) = yaml::read(&path) {
            let wanted: Option<Vec<&str>> = keys.map(|keys| keys.split(',').map(str::trim).collect());
            values.retain(|key| wanted.as_ref().is_none_or(|wanted| wanted.contains(&key)));
            merge(&mut self.0, values);
        }
    }

    fn with(&self, name: &str, value: Yaml) -> Self {
        let mut context = self.clone();
        context.0.insert(name.to_owned(), value);
        context
    }

    /// Returns the stages that `foreach` or `matrix` makes, by what stands behind `name@`, each with its own context; `None`
    /// where that cannot be told, or `stage` has neither.
    pub(super) fn items(&self, stage: &Yaml) -> Option<Vec<(String, Self)>> {
        if let Some(matrix) = stage.get("matrix") {
            return self.combinations(&self.value(matrix)?);
        }
        Some(match self.value(stage.get("foreach")?)? {
            Yaml::List(items) => {
                let plain = items.iter().all(Yaml::is_plain);
                let name =
                    |(at, item): (usize, &Yaml)| if plain { item.written() } else { Some(at.to_string()) };
                let names: Option<Vec<String>> = items.iter().enumerate().map(name).collect();
                names?.into_iter().zip(items.iter().map(|item| self.with("item", item.clone()))).collect()
            }
            Yaml::Map(items) => items
                .into_iter()
                .map(|(key, item)| (key.clone(), self.with("item", item).with("key", Yaml::Text(key))))
                .collect(),
            _ => return None,
        })
    }

    /// Returns the stages of a `matrix`, whose names have the values in the order in which its keys are written.
    fn combinations(&self, matrix: &Yaml) -> Option<Vec<(String, Self)>> {
        let mut made: Vec<(Vec<String>, Mapping)> = vec![Default::default()];
        for (key, values) in matrix.as_map()?.iter() {
            let values = values.as_list()?;
            let mut next = Vec::new();
            for (names, item) in &made {
                for (at, value) in values.iter().enumerate() {
                    let name = if value.is_plain() { value.written()? } else { format!("{key}{at}") };
                    let mut item = item.clone();
                    item.insert(key.to_owned(), value.clone());
                    next.push((names.iter().cloned().chain([name]).collect(), item));
                }
            }
            made = next;
        }
        let stage = |(names, item): (Vec<String>, Mapping)| {
            let name = names.join("-");
            let context = self.with("item", Yaml::Map(item)).with("key", Yaml::Text(name.clone()));
            (name, context)
        };
        Some(made.into_iter().map(stage).collect())
    }

    /// Returns what `foreach` or `matrix` goes over: a text that is one reference is what that stands for, of whatever type.
    fn value(&self, value: &Yaml) -> Option<Yaml> {
        match value {
            Yaml::Text(text) => {
                let key = text.strip_prefix("${").and_then(|key| key.strip_suffix('}'));
                match key.filter(|key| !key.contains('}')) {
                    Some(key) => self.at(key).cloned(),
                    None => self.text(text).map(Yaml::Text),
                }
            }
            Yaml::List(items) => {
                items.iter().map(|item| self.value(item)).collect::<Option<_>>().map(Yaml::List)
            }
            Yaml::Map(entries) => {
                let entry = |(key, value): (&str, &Yaml)| Some((self.text(key)?, self.value(value)?));
                entries.iter().map(entry).collect::<Option<_>>().map(Yaml::Map)
            }
            other => Some(other.clone()),
        }
    }

    /// Returns `value` with what its references stand for, and whether all of them are known.
    pub(super) fn resolved(&self, value: &Yaml) -> (Yaml, bool) {
        let mut known = true;
        let resolved = self.resolve(value, &mut known);
        (resolved, known)
    }

    fn resolve(&self, value: &Yaml, known: &mut bool) -> Yaml {
        let mut text = |text: &str| {
            self.text(text).unwrap_or_else(|| {
                *known = false;
                text.to_owned()
            })
        };
        match value {
            Yaml::Text(one) => Yaml::Text(text(one)),
            Yaml::List(items) => Yaml::List(items.iter().map(|item| self.resolve(item, known)).collect()),
            Yaml::Map(entries) => {
                let keys: Vec<String> = entries.iter().map(|(key, _)| text(key)).collect();
                let values: Vec<Yaml> = entries.iter().map(|(_, value)| self.resolve(value, known)).collect();
                Yaml::Map(keys.into_iter().zip(values).collect())
            }
            other => other.clone(),
        }
    }

    /// Returns `text` with what its references stand for; `None` where one is not known, or no plain value.
    fn text(&self, text: &str) -> Option<String> {
        let mut made = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let (before, from) = rest.split_at(at);
            if let Some(before) = before.strip_suffix('\\') {
                made.push_str(before);
                made.push_str("${");
                rest = &from[2..];
                continue;
            }
            made.push_str(before);
            let (key, behind) = from[2..].split_once('}')?;
            made.push_str(&self.at(key)?.written()?);
            rest = behind;
        }
        made.push_str(rest);
        Some(made)
    }

    /// Returns the value at a key such as `train.rates[0]`.
    fn at(&self, key: &str) -> Option<&Yaml> {
        let mut parts = key.trim().split(['.', '[']).map(|part| part.trim_end_matches(']'));
        let first = self.0.get(parts.next()?)?;
        parts.try_fold(first, Yaml::step)
    }
}

/// Adds `values`; mappings of both are joined.
fn merge(into: &mut Mapping, values: Mapping) {
    for (key, value) in values {
        match (into.get_mut(&key), value) {
            (Some(Yaml::Map(before)), Yaml::Map(value)) => merge(before, value),
            (_, value) => into.insert(key, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::yaml::tests::yaml;
    use super::*;

    fn context(values: &str) -> Context {
        let Yaml::Map(values) = yaml(values) else { panic!("a mapping") };
        Context(values)
    }

    #[test]
    fn references_stand_for_what_python_writes() {
        let known = context(
            "{n: 100, lr: 1e-5, big: 2e16, half: 0.5, is: true, on: yes, none: ~, far: .inf, ten: 010, train: {rates: [0.1, 3.0]}, \
             deep: {a: {}}}",
        );
        for (text, made) in [
            ("head -${n} a > b", Some("head -100 a > b")),
            ("--lr ${lr} ${ half } ${big}", Some("--lr 1e-05 0.5 2e+16")),
            ("${train.rates[1]}${is}", Some("3.0true")),
            ("${on} ${none} ${far} ${ten}", Some("yes None inf 10")),
            ("cost \\${n}", Some("cost ${n}")),
            ("${nothing}", None),
            ("${deep.a}", None),
            ("${n", None),
        ] {
            assert_eq!(known.text(text).as_deref(), made, "{text}");
        }
        let (value, all) = known.resolved(&yaml("outs: ['m_${n}.json': {cache: false}, '${who}']"));
        assert_eq!((value, all), (yaml("outs: [m_100.json: {cache: false}, '${who}']"), false));
    }

    #[test]
    fn items_have_the_names_that_dvc_gives() {
        let known = context("{names: [a, c], sizes: [{n: 1}, {n: 2}]}");
        let names = |stage: &str| -> Option<Vec<String>> {
            Some(known.items(&yaml(stage))?.into_iter().map(|(name, _)| name).collect())
        };
        let is = |stage: &str, expected: &[&str]| {
            assert_eq!(
                names(stage),
                Some(expected.iter().map(|name| (*name).to_owned()).collect()),
                "{stage}"
            );
        };
        is("foreach: ${names}", &["a", "c"]);
        is("foreach: ['${names[1]}', 010, on]", &["c", "10", "on"]);
        is("foreach: ${sizes}", &["0", "1"]);
        is("foreach: {x: {n: 3}}", &["x"]);
        is("matrix: {data: [u, v], size: '${sizes}'}", &["u-size0", "u-size1", "v-size0", "v-size1"]);
        // As they are written, not as they are sorted.
        is("matrix: {size: [1, 2], alpha: [x, y]}", &["1-x", "1-y", "2-x", "2-y"]);
        assert_eq!(names("foreach: ${who}"), None);
        let first = |stage: &str| known.items(&yaml(stage)).expect("items").remove(0).1;
        assert_eq!(first("foreach: {x: {n: 3}}").text("${key} ${item.n}").as_deref(), Some("x 3"));
        let of_matrix = first("matrix: {size: [1, 2], alpha: [x, y]}");
        assert_eq!(of_matrix.text("${key} ${item.size}").as_deref(), Some("1-x 1"));
    }

    #[test]
    fn a_file_that_cannot_be_read_leaves_its_references_unknown() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs_err::write(path("params.yaml"), "n: [1\n").expect("written");
        fs_err::write(path("more.yaml"), "limit: .inf\nrate: 0.5\n").expect("written");
        let known = Context::of_file(folder.path(), &yaml("vars: [more.yaml, gone.yaml, own: {a: b}]"));
        assert_eq!(known.text("${n}"), None);
        assert_eq!(known.text("${rate} ${own.a}").as_deref(), Some("0.5 b"));
    }
}
