//! One call to RAUC, with a limit, and what its failure means.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};
use zbus::{
    Connection, Message,
    zvariant::{DynamicType, OwnedValue, Type, Value},
};

use crate::Error;

/// RAUC's well-known name on the bus.
pub(crate) const NAME: &str = "de.pengutronix.rauc";
/// The one object.
pub(crate) const PATH: &str = "/";
/// The interface.
pub(crate) const INSTALLER: &str = "de.pengutronix.rauc.Installer";
/// Where properties are read and their changes are announced.
pub(crate) const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const PEER: &str = "org.freedesktop.DBus.Peer";

/// RAUC's object on a connection.
#[derive(Debug, Clone)]
pub(crate) struct Bus {
    pub(crate) connection: Connection,
}

/// What is called, and how long the answer may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) interface: &'static str,
    /// The method on the bus.
    pub(crate) method: &'static str,
    /// What an error names: the method, or the property that it reads.
    pub(crate) member: &'static str,
    pub(crate) limit: Duration,
}

impl Call {
    /// A method of the Installer interface.
    pub(crate) fn method(member: &'static str, limit: Duration) -> Self {
        Self { interface: INSTALLER, method: member, member, limit }
    }
}

impl Bus {
    pub(crate) async fn call<B>(&self, call: Call, body: &B) -> Result<Message, Error>
    where
        B: Serialize + DynamicType,
    {
        let answer =
            self.connection.call_method(Some(NAME), PATH, Some(call.interface), call.method, body);
        match tokio::time::timeout(call.limit, answer).await {
            Ok(Ok(message)) => Ok(message),
            Ok(Err(error)) => Err(meaning(call.member, error)),
            Err(_) => Err(Error::NoAnswer { member: call.member, limit: call.limit }),
        }
    }

    /// Proves that the service is there and answers; starts it where the bus can.
    pub(crate) async fn ping(&self, limit: Duration) -> Result<(), Error> {
        let call = Call { interface: PEER, method: "Ping", member: "Ping", limit };
        self.call(call, &()).await.map(|_| ())
    }

    /// A property as it is now, never a cached one, with the message that brought it.
    pub(crate) async fn property(
        &self,
        name: &'static str,
        limit: Duration,
    ) -> Result<(OwnedValue, Message), Error> {
        let call = Call { interface: PROPERTIES, method: "Get", member: name, limit };
        let message = self.call(call, &(INSTALLER, name)).await?;
        let value = body::<OwnedValue>(name, &message)?;
        Ok((value, message))
    }

    pub(crate) async fn text(&self, name: &'static str, limit: Duration) -> Result<String, Error> {
        let (value, _) = self.property(name, limit).await?;
        match crate::map::bare(&value) {
            Value::Str(text) => Ok(text.to_string()),
            other => Err(Error::Shape {
                member: name,
                what: format!("a value of type {}", other.value_signature()),
            }),
        }
    }
}

/// The body of an answer.
pub(crate) fn body<T>(member: &'static str, message: &Message) -> Result<T, Error>
where
    T: DeserializeOwned + Type,
{
    message.body().deserialize().map_err(|error| Error::Shape { member, what: error.to_string() })
}

/// What a failed call means.
fn meaning(member: &'static str, error: zbus::Error) -> Error {
    let zbus::Error::MethodError(name, text, _) = &error else { return Error::Bus(error) };
    match name.as_str().trim_start_matches("org.freedesktop.DBus.Error.") {
        "ServiceUnknown" | "NameHasNoOwner" => Error::Absent,
        start if start.starts_with("Spawn.") => Error::Absent,
        // The bus answers for a recipient that left while the call was open.
        "NoReply" | "Disconnected" => Error::ServiceVanished,
        _ => refusal(member, text.clone().unwrap_or_else(|| name.to_string())),
    }
}

/// RAUC's own refusals all carry the same error name; only the text tells them apart.
fn refusal(member: &'static str, text: String) -> Error {
    match text.to_ascii_lowercase().contains("already processing a different method") {
        true => Error::Busy,
        false => Error::Refused { member, text },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_of_raucs_spellings_of_busy_are_busy() {
        for text in
            ["Already processing a different method", "already processing a different method"]
        {
            assert!(matches!(refusal("InstallBundle", text.into()), Error::Busy));
        }
        assert!(matches!(
            refusal("InstallBundle", "Unsupported key: x".into()),
            Error::Refused { .. }
        ));
    }
}
