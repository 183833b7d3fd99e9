//! `$(NAME)` in commands, arguments and variables, as Kubernetes expands it.
//!
//! `$(NAME)` becomes the variable's value, and stays as it is when there is no such variable; `$$` becomes `$`, so that
//! `$$(NAME)` is the text `$(NAME)`; any other `$` stays. (`third_party/forked/golang/expansion` in Kubernetes.)

/// How long one text may become: what Linux takes as one argument or variable (`MAX_ARG_STRLEN`), less its zero byte.
const MAX_TEXT: usize = 128 * 1024 - 1;

/// How long all of a container's arguments and variables may become together.
const MAX_TEXTS: usize = 1024 * 1024;

/// What is expanded would be longer than a program can be given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} comes to more than {MAX_TEXT} bytes, or with all others to more than {MAX_TEXTS}")]
pub struct TooLong {
    /// Which text.
    pub what: String,
}

/// How much may still come of a container's texts.
pub(super) struct Left(usize);

impl Left {
    pub(super) fn all() -> Left {
        Left(MAX_TEXTS)
    }

    /// Takes a text of this length.
    pub(super) fn take(&mut self, length: usize, what: &str) -> Result<(), TooLong> {
        let left = self.0.checked_sub(length).filter(|_| length <= MAX_TEXT);
        self.0 = left.ok_or_else(|| TooLong { what: what.to_owned() })?;
        Ok(())
    }
}

/// Words of a command, each with the values of the variables in it.
pub(super) fn all_expanded<'v>(
    words: &[String],
    what: &str,
    left: &mut Left,
    value: impl Fn(&str) -> Option<&'v str>,
) -> Result<Vec<String>, TooLong> {
    let words = words.iter().map(|word| {
        let word = expanded(word, what, &value)?;
        left.take(word.len(), what)?;
        Ok(word)
    });
    words.collect()
}

/// `text` with the values of the variables in it, at most as long as one text can be. `what` names it in the error.
pub(super) fn expanded<'v>(
    text: &str,
    what: &str,
    value: impl Fn(&str) -> Option<&'v str>,
) -> Result<String, TooLong> {
    let mut whole = String::new();
    let mut rest = text;
    // Where the last name ends: what opens behind it is looked at once, and not to the end of the text each time.
    let closes = text.rfind(')').unwrap_or(0);
    let may_close = |inner: &&str| text.len() - inner.len() <= closes;
    while let Some((before, after)) = rest.split_once('$') {
        whole.push_str(before);
        let name = after.strip_prefix('(').filter(may_close);
        let name = name.and_then(|inner| inner.split_once(')'));
        rest = match name {
            Some((name, behind)) => {
                match value(name) {
                    Some(value) => whole.push_str(value),
                    None => whole.extend(["$(", name, ")"]),
                }
                behind
            }
            None => {
                whole.push('$');
                after.strip_prefix('$').unwrap_or(after)
            }
        };
        if whole.len() > MAX_TEXT {
            break;
        }
    }
    whole.push_str(rest);
    match whole.len() <= MAX_TEXT {
        true => Ok(whole),
        false => Err(TooLong { what: what.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> String {
        let value = |name: &str| match name {
            "A" => Some("one"),
            "B_2" => Some("$(A)"),
            "" => Some("nameless"),
            _ => None,
        };
        expanded(text, "this", value).expect("it is short")
    }

    #[test]
    fn text_is_expanded_as_kubernetes_does_it() {
        for (text, whole) in [
            ("", ""),
            ("no variable", "no variable"),
            ("$(A)", "one"),
            ("-$(A)-$(A)-", "-one-one-"),
            ("$(NONE)", "$(NONE)"),
            ("$(B_2)", "$(A)"),
            ("$$", "$"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$one"),
            ("$$$$(A)", "$$(A)"),
            ("$A $ (A)", "$A $ (A)"),
            ("$(A", "$(A"),
            ("$(A $(A)", "$(A $(A)"),
            ("cost: 5$", "cost: 5$"),
            ("$()", "nameless"),
            ("ü$(A)ü", "üoneü"),
        ] {
            assert_eq!(with(text), whole, "{text}");
        }
    }

    #[test]
    fn no_text_grows_past_what_a_program_can_be_given() {
        let long = "x".repeat(MAX_TEXT);
        let value = |_: &str| Some(long.as_str());
        let expand = |text: &str| expanded(text, "args", value);
        let mut left = Left::all();
        assert_eq!(expand("$(A)").map(|whole| whole.len()), Ok(MAX_TEXT));
        let refused = Err(TooLong { what: "args".to_owned() });
        assert_eq!(expand("$(A)x"), refused);
        assert_eq!(expand(&"$(A)".repeat(10_000)), refused);
        let taken =
            std::iter::repeat_with(|| left.take(MAX_TEXT, "args")).take_while(Result::is_ok);
        assert_eq!(taken.count(), MAX_TEXTS / MAX_TEXT, "all together, too");
        assert_eq!(
            Left::all().take(MAX_TEXT + 1, "args"),
            Err(TooLong { what: "args".to_owned() })
        );
    }
}
