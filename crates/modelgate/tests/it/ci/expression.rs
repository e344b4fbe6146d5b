//! Expressions of GitHub Actions, as far as the workflows of `ci init` use them.
//!
//! The form: <https://docs.github.com/actions/reference/workflows-and-actions/expressions>.

use serde_json::Value;

/// Fills `${{ … }}` in a text.
pub(super) fn fill(text: &str, contexts: &Value) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${{") {
        let (inner, behind) = behind.split_once("}}").expect("an expression");
        filled.push_str(before);
        filled.push_str(&shown(&evaluate(inner, contexts, false)));
        rest = behind;
    }
    filled + rest
}

/// Returns whether a job or a step with this condition runs, where something before it may have failed.
pub(super) fn condition(text: Option<&str>, contexts: &Value, failed: bool) -> bool {
    let Some(text) = text else { return !failed };
    let inner = text.trim().strip_prefix("${{").and_then(|text| text.strip_suffix("}}")).unwrap_or(text);
    // Without one of these, nothing runs behind a failure.
    let asks = ["always()", "failure()", "cancelled()", "success()"].iter().any(|name| inner.contains(name));
    (asks || !failed) && truth(&evaluate(inner, contexts, failed))
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is) => *is,
        Value::String(text) => !text.is_empty(),
        Value::Number(number) => number.as_f64() != Some(0.0),
        _ => true,
    }
}

fn evaluate(text: &str, contexts: &Value, failed: bool) -> Value {
    let mut parser = Parser { rest: text.trim(), contexts, failed };
    let value = parser.either();
    assert!(parser.rest.is_empty(), "`{text}`: `{}` is left", parser.rest);
    value
}

struct Parser<'a> {
    rest: &'a str,
    contexts: &'a Value,
    failed: bool,
}

impl Parser<'_> {
    fn takes(&mut self, token: &str) -> bool {
        let found = self.rest.strip_prefix(token);
        if let Some(rest) = found {
            self.rest = rest.trim_start();
        }
        found.is_some()
    }

    fn either(&mut self) -> Value {
        let mut value = self.both();
        while self.takes("||") {
            let other = self.both();
            value = if truth(&value) { value } else { other };
        }
        value
    }

    fn both(&mut self) -> Value {
        let mut value = self.equality();
        while self.takes("&&") {
            let other = self.equality();
            value = if truth(&value) { other } else { value };
        }
        value
    }

    fn equality(&mut self) -> Value {
        let value = self.one();
        if self.takes("==") {
            return Value::Bool(shown(&value) == shown(&self.one()));
        }
        if self.takes("!=") {
            return Value::Bool(shown(&value) != shown(&self.one()));
        }
        value
    }

    fn one(&mut self) -> Value {
        if self.takes("!") {
            return Value::Bool(!truth(&self.one()));
        }
        if self.takes("(") {
            let value = self.either();
            assert!(self.takes(")"), "`)` is missing before `{}`", self.rest);
            return value;
        }
        if let Some(behind) = self.rest.strip_prefix('\'') {
            let (text, rest) = behind.split_once('\'').expect("a quote");
            self.rest = rest.trim_start();
            return text.into();
        }
        let end = self
            .rest
            .find(|letter: char| !(letter.is_ascii_alphanumeric() || "._-".contains(letter)))
            .unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        assert!(!name.is_empty(), "nothing known begins at `{}`", self.rest);
        self.rest = rest.trim_start();
        if self.takes("(") {
            let mut arguments = Vec::new();
            while !self.takes(")") {
                arguments.push(self.either());
                self.takes(",");
            }
            return self.function(name, &arguments);
        }
        let mut value = self.contexts;
        for part in name.split('.') {
            value = &value[part];
        }
        value.clone()
    }

    fn function(&self, name: &str, arguments: &[Value]) -> Value {
        match (name, arguments) {
            ("always", []) => true.into(),
            ("cancelled", []) => false.into(),
            ("failure", []) => self.failed.into(),
            ("success", []) => (!self.failed).into(),
            ("fromJSON", [text]) => serde_json::from_str(text.as_str().expect("a text")).expect("JSON"),
            ("contains", [Value::Array(all), one]) => all.iter().any(|each| shown(each) == shown(one)).into(),
            ("contains", [all, one]) => shown(all).contains(&shown(one)).into(),
            _ => panic!("`{name}` with {arguments:?} is not known"),
        }
    }
}

#[test]
fn conditions_mean_what_they_do_there() {
    let contexts =
        serde_json::json!({ "needs": { "a": { "outputs": { "code": "2" } } }, "inputs": { "x": "" } });
    let holds = |text: &str, failed: bool| condition(Some(text), &contexts, failed);
    assert!(holds("contains(fromJSON('[\"0\", \"2\"]'), needs.a.outputs.code)", false));
    assert!(!holds("contains(fromJSON('[\"0\", \"2\"]'), needs.a.outputs.code)", true));
    assert!(holds("${{ !cancelled() && needs.a.outputs.code == '2' }}", true));
    assert!(!holds("failure() && needs.a.outputs.code == '2'", false));
    assert!(!holds("needs.b.outputs.code == '2'", false));
    assert_eq!(fill("x${{ inputs.x || needs.a.outputs.code }}y", &contexts), "x2y");
    assert!(condition(None, &contexts, false) && !condition(None, &contexts, true));
}
