//! Fills `{{name}}` in the files of this folder; a name without a value is an error.

use anyhow::{Result, bail};

/// Names and their values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Values(Vec<(&'static str, String)>);

impl Values {
    /// Adds a value.
    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.0.push((name, value.to_string()));
        self
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

/// `text` with every `{{name}}` filled.
pub(crate) fn fill(text: &str, values: &Values) -> Result<String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        filled.push_str(&rest[..start]);
        let Some(end) = rest[start..].find("}}") else { bail!("a {{{{ is not closed") };
        let name = &rest[start + 2..start + end];
        match values.get(name) {
            Some(value) => filled.push_str(value),
            None => bail!("there is no value for {{{{{name}}}}}"),
        }
        rest = &rest[start + end + 2..];
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_filled_and_shell_variables_stay() {
        let values = Values::default().with("slot", "A").with("left", 3);
        let filled = fill("{{slot}}: ${left} {{left}}{{slot}}", &values).expect("all are known");
        assert_eq!(filled, "A: ${left} 3A");
    }

    #[test]
    fn a_name_without_a_value_is_named() {
        let error = fill("a {{nothing}} b", &Values::default()).expect_err("it has no value");
        assert!(error.to_string().contains("{{nothing}}"), "{error}");
    }

    #[test]
    fn an_open_brace_is_refused() {
        assert!(fill("a {{slot b", &Values::default().with("slot", "A")).is_err());
    }
}
