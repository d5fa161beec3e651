//! Calling a macro: `varargs`, `kwargs` and `caller()`.
//!
//! A macro is a template of its own, and the body of a `{% call %}` belongs to the template
//! it stands in, which cannot run while the macro does. So the macro gets a stand-in for `caller()`: asked for something new it
//! notes the arguments and stops; the body is rendered, and the macro starts again and finds
//! the answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minijinja::value::{Kwargs, Object, ObjectRepr};
use minijinja::{Error, ErrorKind, State, Value};

/// The arguments of a call, apart.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    positional: Vec<Value>,
    named: Vec<(String, Value)>,
    /// The body of a `{% call %}`.
    pub(super) caller: Option<Value>,
}

impl Arguments {
    pub(super) fn split(args: &[Value]) -> Result<Self, Error> {
        let (positional, last) = match args.split_last() {
            Some((last, rest)) if last.is_kwargs() => (rest, Some(last)),
            _ => (args, None),
        };
        let mut split = Self {
            positional: positional.to_vec(),
            ..Self::default()
        };
        if let Some(last) = last {
            let named = Kwargs::try_from(last.clone())?;
            for name in named.args() {
                let value: Value = named.peek(name)?;
                match name {
                    "caller" => split.caller = Some(value),
                    name => split.named.push((name.to_owned(), value)),
                }
            }
        }
        Ok(split)
    }

    /// Takes away what a macro with the parameters `names` has no place for: its `varargs`
    /// and `kwargs`.
    pub(super) fn take_extra(&mut self, names: &[String]) -> Extra {
        let at = names.len().min(self.positional.len());
        let positional = self.positional.split_off(at);
        let named = std::mem::take(&mut self.named);
        let (own, other) = named.into_iter().partition(|(n, _)| names.contains(n));
        self.named = own;
        Extra {
            positional,
            named: other,
        }
    }

    /// The arguments as they are given on, with `caller` in place of the body.
    pub(super) fn join(&self, caller: Option<Value>) -> Vec<Value> {
        let mut args = self.positional.clone();
        let named = self.named.iter().cloned();
        let named: Vec<(String, Value)> = named
            .chain(caller.map(|c| ("caller".to_owned(), c)))
            .collect();
        if !named.is_empty() {
            args.push(Kwargs::from_iter(named).into());
        }
        args
    }
}

/// Arguments that have no parameter.
#[derive(Debug)]
pub(super) struct Extra {
    positional: Vec<Value>,
    named: Vec<(String, Value)>,
}

/// The root of a macro's names: those of its caller's root, and `varargs` and `kwargs`.
#[derive(Debug)]
pub(super) struct MacroRoot {
    pub(super) base: Value,
    pub(super) extra: Extra,
}

impl Object for MacroRoot {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "varargs" => Some(Value::from(self.extra.positional.clone())),
            "kwargs" => Some(Value::from_pairs(self.extra.named.iter().cloned())),
            _ => {
                let found = self.base.get_item(key).ok()?;
                (!found.is_undefined()).then_some(found)
            }
        }
    }
}

/// What is known of the body of a `{% call %}`.
#[derive(Debug, Default)]
struct Answers {
    known: Vec<(Vec<Value>, Value)>,
    wanted: Option<Vec<Value>>,
}

/// The stand-in for `caller()`.
#[derive(Debug, Default, Clone)]
pub(super) struct Caller(Arc<Mutex<Answers>>);

impl Caller {
    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The arguments of the call that stopped the macro, once.
    pub(super) fn wanted(&self) -> Option<Vec<Value>> {
        self.answers().wanted.take()
    }

    pub(super) fn answer(&self, args: Vec<Value>, value: Value) {
        self.answers().known.push((args, value));
    }
}

impl Object for Caller {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        args: &[Value],
    ) -> Result<Value, Error> {
        let mut answers = self.answers();
        let known = answers.known.iter().find(|(known, _)| known == args);
        if let Some((_, value)) = known {
            return Ok(value.clone());
        }
        answers.wanted = Some(args.to_vec());
        Err(Error::new(
            ErrorKind::InvalidOperation,
            "the body of `call` is not known yet",
        ))
    }
}
