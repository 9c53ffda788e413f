//! The intake of an OZG-Cloud instance: the part `formData` that a form service posts, read into a [`Form`] and written again.
//!
//! Refuses what is not the contract: a leaf without exactly one value, a value of another type than its member says, a member
//! twice. A member that is `null` counts as absent, since some clients write all of them. Order, labels, repeated names, empty
//! texts, digits of numbers and unknown members stay.

use std::fmt;

use serde::de::{DeserializeOwned, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Content, Control, Decimal, Extras, Form, Mailbox, Node, ServiceAccount};

/// Octets of a form.
pub const MAX_OCTETS: usize = 16 * 1024 * 1024;
/// Nodes of a form.
pub const MAX_NODES: usize = 50_000;
/// Groups within groups.
pub const MAX_DEPTH: usize = 32;
/// Members of one object.
const MAX_MEMBERS: usize = 64;

/// Why a text is no form of the intake.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{sentence}")]
pub struct IntakeError {
    /// The machine code.
    pub code: &'static str,
    /// Where, as a JSON pointer (RFC 6901); empty for the whole.
    pub pointer: String,
    sentence: String,
}

fn refusal(code: &'static str, pointer: impl Into<String>, sentence: impl Into<String>) -> IntakeError {
    IntakeError {
        code,
        pointer: pointer.into(),
        sentence: sentence.into(),
    }
}

/// Reads the part `formData`.
///
/// # Errors
/// `form_too_large`, `form_not_json`, `form_member_missing`, `form_member_type`, `form_leaf`, each with its pointer.
pub fn read(text: &[u8]) -> Result<Form, IntakeError> {
    if text.len() > MAX_OCTETS {
        let sentence = format!("the form has more than {MAX_OCTETS} octets; put files into attachments");
        return Err(refusal("form_too_large", "", sentence));
    }
    let members: Members = serde_json::from_slice(text).map_err(|error| {
        let sentence = format!("the part formData is no JSON object as the intake has it: {error}");
        refusal("form_not_json", "", sentence)
    })?;
    let mut root = Object {
        at: String::new(),
        members,
    };
    let control = root
        .object("control")?
        .ok_or_else(|| root.missing("control"))
        .and_then(control)?;
    let items = root
        .objects("formData")?
        .ok_or_else(|| root.missing("formData"))?;
    let items = nodes(items, &mut Bounds::default())?;
    Ok(Form {
        control,
        items,
        extras: root.rest(),
    })
}

/// Writes a form as the intake takes it.
///
/// # Errors
/// `form_member_type`: an unknown member of the form, which came from elsewhere, is no JSON.
pub fn write(form: &Form) -> Result<String, IntakeError> {
    serde_json::to_string(&Out(form)).map_err(|error| {
        let sentence = format!("an unknown member of the form is no JSON: {error}");
        refusal("form_member_type", "", sentence)
    })
}

fn control(mut object: Object) -> Result<Control, IntakeError> {
    let transaction_id = object
        .value("transactionId")?
        .ok_or_else(|| object.missing("transactionId"))?;
    let account = object.object("serviceKonto")?.map(account).transpose()?;
    Ok(Control {
        transaction_id,
        competent_unit: object.value("zustaendigeStelle")?,
        service_keys: object.value("leikaIds")?.unwrap_or_default(),
        form_id: object.value("formId")?,
        name: object.value("name")?,
        service_account: account,
        extras: object.rest(),
    })
}

fn account(mut object: Object) -> Result<ServiceAccount, IntakeError> {
    let kind = object.value("type")?.ok_or_else(|| object.missing("type"))?;
    let mailbox = object.object("postfachAddress")?.map(mailbox).transpose()?;
    Ok(ServiceAccount {
        kind,
        trust_level: object.value("trustLevel")?,
        mailbox,
        extras: object.rest(),
    })
}

fn mailbox(mut object: Object) -> Result<Mailbox, IntakeError> {
    Ok(Mailbox {
        identifier: object
            .value("identifier")?
            .ok_or_else(|| object.missing("identifier"))?,
        kind: object.value("type")?,
        extras: object.rest(),
    })
}

/// What has been read of the tree.
#[derive(Default)]
struct Bounds {
    nodes: usize,
    depth: usize,
}

fn nodes(objects: Vec<Object>, bounds: &mut Bounds) -> Result<Vec<Node>, IntakeError> {
    bounds.depth += 1;
    let nodes = objects.into_iter().map(|object| node(object, bounds)).collect();
    bounds.depth -= 1;
    nodes
}

fn node(mut object: Object, bounds: &mut Bounds) -> Result<Node, IntakeError> {
    bounds.nodes += 1;
    if bounds.nodes > MAX_NODES || bounds.depth > MAX_DEPTH {
        let sentence = format!(
            "the form has more than {MAX_NODES} fields and groups, or groups deeper than {MAX_DEPTH}"
        );
        return Err(refusal("form_too_large", object.at, sentence));
    }
    let name = object.value("name")?.ok_or_else(|| object.missing("name"))?;
    let label: Option<String> = object.value("label")?;
    let items = match object.objects("formItems")? {
        None => None,
        Some(items) => Some(nodes(items, bounds)?),
    };
    let found = [
        object.value("stringValue")?.map(Content::Text),
        object.number("numberValue")?.map(Content::Number),
        object.value("dateValue")?.map(Content::Date),
        object.value("booleanValue")?.map(Content::Boolean),
        items.map(Content::Group),
    ];
    let mut found = found.into_iter().flatten();
    let content = found.next().unwrap_or(Content::Nothing);
    if found.next().is_some() {
        let sentence = "a field has one of stringValue, numberValue, dateValue and booleanValue, or formItems, and no two of them";
        return Err(refusal("form_leaf", object.at, sentence));
    }
    Ok(Node {
        name,
        label: label.unwrap_or_default(),
        content,
        extras: object.rest(),
    })
}

/// An object whose members are taken out one by one.
struct Object {
    /// Its JSON pointer.
    at: String,
    members: Members,
}

impl Object {
    fn pointer(&self, member: &str) -> String {
        format!("{}/{member}", self.at)
    }

    fn missing(&self, member: &str) -> IntakeError {
        let pointer = self.pointer(member);
        let sentence = format!("{pointer} is missing; the intake needs it");
        refusal("form_member_missing", pointer, sentence)
    }

    /// The text of a member that is there and not null.
    fn take(&mut self, member: &str) -> Option<Box<RawValue>> {
        let at = self.members.0.iter().position(|(name, _)| name == member)?;
        let (_, value) = self.members.0.remove(at);
        (value.get() != "null").then_some(value)
    }

    fn value<T: DeserializeOwned>(&mut self, member: &str) -> Result<Option<T>, IntakeError> {
        let Some(text) = self.take(member) else {
            return Ok(None);
        };
        serde_json::from_str(text.get()).map(Some).map_err(|error| {
            let pointer = self.pointer(member);
            let sentence = format!("{pointer} is of another type than the intake has there: {error}");
            refusal("form_member_type", pointer, sentence)
        })
    }

    fn number(&mut self, member: &str) -> Result<Option<Decimal>, IntakeError> {
        let Some(text) = self.take(member) else {
            return Ok(None);
        };
        Decimal::try_from(text.get().to_owned())
            .map(Some)
            .map_err(|error| {
                let pointer = self.pointer(member);
                refusal("form_member_type", pointer.clone(), format!("{pointer}: {error}"))
            })
    }

    fn object(&mut self, member: &str) -> Result<Option<Self>, IntakeError> {
        let members = self.value(member)?;
        Ok(members.map(|members| Self {
            at: self.pointer(member),
            members,
        }))
    }

    fn objects(&mut self, member: &str) -> Result<Option<Vec<Self>>, IntakeError> {
        let Some(all) = self.value::<Vec<Members>>(member)? else {
            return Ok(None);
        };
        let at = self.pointer(member);
        let objects = all.into_iter().enumerate().map(|(index, members)| Self {
            at: format!("{at}/{index}"),
            members,
        });
        Ok(Some(objects.collect()))
    }

    /// What nobody took.
    fn rest(self) -> Extras {
        let rest = self.members.0.into_iter();
        rest.map(|(name, value)| (name, value.get().to_owned())).collect()
    }
}

/// Members of an object in their order, as text.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members: Vec<(String, Box<RawValue>)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    if members.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom(format_args!(
                            "the member {name:?} stands there twice"
                        )));
                    }
                    if members.len() >= MAX_MEMBERS {
                        let sentence = format_args!("an object has more than {MAX_MEMBERS} members");
                        return Err(A::Error::custom(sentence));
                    }
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Read)
    }
}

/// A part of the form as the intake has it.
struct Out<T>(T);

impl Serialize for Out<&Form> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("control", &Out(&self.0.control))?;
        map.serialize_entry("formData", &Out(&*self.0.items))?;
        extras(&mut map, &self.0.extras)?;
        map.end()
    }
}

impl Serialize for Out<&Control> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let control = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("transactionId", &control.transaction_id)?;
        optional(&mut map, "zustaendigeStelle", control.competent_unit.as_ref())?;
        map.serialize_entry("leikaIds", &control.service_keys)?;
        optional(&mut map, "formId", control.form_id.as_ref())?;
        optional(&mut map, "name", control.name.as_ref())?;
        optional(
            &mut map,
            "serviceKonto",
            control.service_account.as_ref().map(Out),
        )?;
        extras(&mut map, &control.extras)?;
        map.end()
    }
}

impl Serialize for Out<&ServiceAccount> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &self.0.kind)?;
        optional(&mut map, "trustLevel", self.0.trust_level.as_ref())?;
        optional(&mut map, "postfachAddress", self.0.mailbox.as_ref().map(Out))?;
        extras(&mut map, &self.0.extras)?;
        map.end()
    }
}

impl Serialize for Out<&Mailbox> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("identifier", &self.0.identifier)?;
        optional(&mut map, "type", self.0.kind.as_ref())?;
        extras(&mut map, &self.0.extras)?;
        map.end()
    }
}

impl Serialize for Out<&[Node]> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut all = serializer.serialize_seq(Some(self.0.len()))?;
        for node in self.0 {
            all.serialize_element(&Out(node))?;
        }
        all.end()
    }
}

impl Serialize for Out<&Node> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &self.0.name)?;
        map.serialize_entry("label", &self.0.label)?;
        match &self.0.content {
            Content::Text(text) => map.serialize_entry("stringValue", text)?,
            Content::Number(number) => map.serialize_entry("numberValue", &json(number.as_str())?)?,
            Content::Date(date) => map.serialize_entry("dateValue", date)?,
            Content::Boolean(value) => map.serialize_entry("booleanValue", value)?,
            Content::Group(items) => map.serialize_entry("formItems", &Out(&**items))?,
            Content::Nothing => {}
        }
        extras(&mut map, &self.0.extras)?;
        map.end()
    }
}

fn optional<M: SerializeMap>(map: &mut M, name: &str, value: Option<impl Serialize>) -> Result<(), M::Error> {
    match value {
        Some(value) => map.serialize_entry(name, &value),
        None => Ok(()),
    }
}

fn extras<M: SerializeMap>(map: &mut M, extras: &Extras) -> Result<(), M::Error> {
    extras
        .iter()
        .try_for_each(|(name, value)| map.serialize_entry(name, &json(value)?))
}

fn json<E: serde::ser::Error>(text: &str) -> Result<Box<RawValue>, E> {
    RawValue::from_string(text.to_owned()).map_err(E::custom)
}
