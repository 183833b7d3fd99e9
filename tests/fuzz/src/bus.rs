//! A bus and RAUC in one, at the other end of a real D-Bus connection.
//!
//! ```text
//! Rauc (the agent's port) ──system bus, a socket of ours──▶ Bus ──script──▶ answers, errors, signals
//! ```
//!
//! Always true: every call is answered, and every installation that was accepted ends; only what stands in the
//! answers comes from the script. Where the script ends, RAUC answers as it does when all is well.

#![allow(unsafe_code, reason = "a variable of the process, and bodies that no sender checked")]

use crate::script::{Answer, Script};
use futures_util::StreamExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use zbus::connection::Builder;
use zbus::message::{Header, Type};
use zbus::zvariant::Value;
use zbus::{Connection, Message};

/// RAUC's unique name on this bus.
const RAUC: &str = ":1.7";
const INSTALLER: &str = "de.pengutronix.rauc.Installer";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const GUID: &str = "0123456789abcdef0123456789abcdef";

/// The bus, which listens where this process looks for the system's.
#[derive(Debug)]
pub struct Bus(UnixListener);

impl Bus {
    /// Listens in this folder.
    pub fn listen(folder: &Path) -> Bus {
        let socket = folder.join("bus");
        let address = format!("unix:path={}", socket.display());
        // SAFETY: nothing of this process reads the environment at the same time: its own threads do not.
        unsafe { std::env::set_var("DBUS_SYSTEM_BUS_ADDRESS", address) };
        Bus(UnixListener::bind(&socket).expect("the folder is new"))
    }

    /// Serves every connection as `script` says; whoever stops waiting closes them.
    pub async fn serve(&self, script: Arc<Mutex<Script>>) {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = self.0.accept().await.expect("a socket can accept");
            connections.spawn(connection(stream, Arc::clone(&script)));
        }
    }
}

async fn connection(stream: UnixStream, script: Arc<Mutex<Script>>) {
    let server = Builder::unix_stream(stream).server(GUID).expect("a guid").p2p();
    let Ok(mut calls) = server.build_message_stream().await else { return };
    let bus = Connection::from(&calls);
    while let Some(Ok(call)) = calls.next().await {
        if call.message_type() != Type::MethodCall {
            continue;
        }
        let answers = answered(&call, &mut script.lock().unwrap_or_else(PoisonError::into_inner));
        for message in answers {
            // The agent may have closed the connection.
            let _ = bus.send(&message).await;
        }
    }
}

/// The same, noted in the script.
fn answered(call: &Message, script: &mut Script) -> Vec<Message> {
    let answers = answers(call, script);
    answers.iter().for_each(|message| script.note(message.data()));
    answers
}

/// The answer to one call, and the signals that follow it.
fn answers(call: &Message, script: &mut Script) -> Vec<Message> {
    let header = call.header();
    let member = header.member().map(|name| name.to_string()).unwrap_or_default();
    match member.as_str() {
        "Hello" => vec![returned(&header, &":1.9")],
        "AddMatch" | "RemoveMatch" | "Ping" => vec![returned(&header, &())],
        "InstallBundle" => {
            let answer = answer(&header, "", script);
            let accepted = answer.message_type() == Type::MethodReturn;
            let signals = if accepted { signals(script) } else { Vec::new() };
            [vec![answer], signals].concat()
        }
        "InspectBundle" => vec![answer(&header, "a{sv}", script)],
        "GetSlotStatus" => vec![answer(&header, "a(sa{sv})", script)],
        _ => vec![answer(&header, "v", script)],
    }
}

fn returned<B>(header: &Header<'_>, body: &B) -> Message
where
    B: serde::Serialize + zbus::zvariant::DynamicType,
{
    let reply = Message::method_return(header).and_then(|reply| reply.sender(RAUC));
    reply.and_then(|reply| reply.build(body)).expect("a plain body")
}

fn answer(header: &Header<'_>, signature: &str, script: &mut Script) -> Message {
    match script.answer() {
        Answer::Error(text) => {
            let name = "org.gtk.GDBus.UnmappedGError.Quark._r_2derror.Code1";
            let reply = Message::error(header, name).and_then(|reply| reply.sender(RAUC));
            // A text with a zero byte in it is none on this bus.
            let text = text.replace('\0', " ");
            reply.and_then(|reply| reply.build(&text)).expect("a plain body")
        }
        Answer::Raw(bytes) => {
            let reply = Message::method_return(header).and_then(|reply| reply.sender(RAUC));
            raw(reply.expect("a call has what an answer needs"), &bytes, signature)
        }
        Answer::Values => match signature {
            "" => returned(header, &()),
            "a{sv}" => returned(header, &script.map()),
            "a(sa{sv})" => returned(header, &vec![("rootfs.1", script.map())]),
            _ => returned(header, &script.value()),
        },
        Answer::Well => match signature {
            "" => returned(header, &()),
            "a{sv}" => returned(header, &Script::good_bundle()),
            "a(sa{sv})" => returned(header, &vec![("rootfs.1", Script::good_slot())]),
            _ => returned(header, &Value::from("idle")),
        },
    }
}

/// Bytes of the script as a body of this type.
fn raw(message: zbus::message::Builder<'_>, bytes: &[u8], signature: &str) -> Message {
    // SAFETY: the bytes go over the connection and are checked by whoever reads them, which is the test.
    let built = unsafe { message.build_raw_body(bytes, signature, Vec::new()) };
    built.expect("no file descriptor is inside")
}

/// What an installation reports, and its end.
fn signals(script: &mut Script) -> Vec<Message> {
    let signal = |interface, member| {
        let signal = Message::signal("/", interface, member).and_then(|it| it.sender(RAUC));
        signal.expect("plain names")
    };
    let mut signals = Vec::new();
    for _ in 0..script.count() {
        let changed = signal(PROPERTIES, "PropertiesChanged");
        signals.push(match script.answer() {
            Answer::Raw(bytes) => raw(changed, &bytes, "sa{sv}as"),
            Answer::Error(text) => {
                let owners = Message::signal("/", "org.freedesktop.DBus", "NameOwnerChanged");
                let owners = owners.and_then(|it| it.sender("org.freedesktop.DBus"));
                let body = ("de.pengutronix.rauc", RAUC, text.replace('\0', " "));
                owners.and_then(|it| it.build(&body)).expect("plain names")
            }
            Answer::Values | Answer::Well => {
                let body = (INSTALLER, script.map(), Vec::<&str>::new());
                changed.build(&body).expect("a plain body")
            }
        });
    }
    let code = i32::from(script.count() == 1);
    signals.push(signal(INSTALLER, "Completed").build(&code).expect("a plain body"));
    signals
}
