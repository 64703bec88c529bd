//! The JSON schema of the TOML format, made from the table of keywords: editors complete and check
//! with it. It knows how values look; what must be true across keywords is checked by the program.

use serde_json::{Map, Value, json};

use super::keyword::{self, GROUPS, Keyword, Reads};
use super::toml::{Argument, OF_A_PORT, ROLE, arguments, has_names};

/// Where the schema is published.
const ID: &str =
    "https://raw.githubusercontent.com/dperf-shell/dperf-shell/main/docs/config.schema.json";

/// The schema as JSON text.
pub fn schema() -> String {
    let mut properties = Map::new();
    for keyword in GROUPS.iter().flat_map(|group| group.keywords) {
        properties.insert(keyword.name.to_owned(), property(keyword));
    }
    let role = json!({
        "type": "object",
        "properties": properties.clone(),
        "additionalProperties": false,
    });
    properties.insert(
        ROLE.to_owned(),
        json!({
            "description": "Several configurations in one file: each has the keys at the top, and \
                            its own.",
            "type": "array",
            "items": role,
        }),
    );
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": ID,
        "title": "A configuration of dperf-shell",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    // A value without foreign types is always text.
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

/// One keyword.
fn property(keyword: &Keyword) -> Value {
    let one = line(keyword);
    let mut property = match keyword.repeats {
        true => json!({ "anyOf": [one, { "type": "array", "items": line_in_array(keyword) }] }),
        false => one,
    };
    let description = format!("{}. {}", keyword.brief, keyword.help).trim_end().to_owned();
    if let Some(object) = property.as_object_mut() {
        object.insert("description".to_owned(), json!(description));
    }
    property
}

/// A line as the value of its key, where an array holds lines or words.
fn line(keyword: &Keyword) -> Value {
    match keyword.repeats {
        true => any_of(shapes(keyword, false)),
        false => any_of(shapes(keyword, true)),
    }
}

/// A line among several, where an array holds words.
fn line_in_array(keyword: &Keyword) -> Value {
    any_of(shapes(keyword, true))
}

fn any_of(mut shapes: Vec<Value>) -> Value {
    match shapes.len() {
        1 => shapes.remove(0),
        _ => json!({ "anyOf": shapes }),
    }
}

/// The shapes that the value of a line may have.
fn shapes(keyword: &Keyword, arrays: bool) -> Vec<Value> {
    let forms = arguments(keyword);
    let (least, most) = keyword.argument_counts();
    let mut shapes = Vec::new();
    if least == 0 || keyword.form == "0|1" {
        shapes.push(json!({ "type": "boolean" }));
    }
    if most >= 1 && least <= 1 {
        shapes.push(word(&keyword.reads));
    }
    if arrays && most > 1 {
        let mut array =
            json!({ "type": "array", "items": word(&keyword.reads), "minItems": least });
        if let (Some(object), true) = (array.as_object_mut(), most < usize::MAX) {
            object.insert("maxItems".to_owned(), json!(most));
        }
        shapes.push(array);
    }
    if has_names(&forms) {
        shapes.push(table(keyword, &forms));
    }
    shapes
}

/// Arguments by their names; a port has its addresses besides.
fn table(keyword: &Keyword, forms: &[Argument]) -> Value {
    let mut properties = Map::new();
    for form in forms {
        let one = json!({ "type": ["string", "integer", "number"] });
        let value = match form.endless {
            true => json!({ "anyOf": [one, { "type": "array", "items": one }] }),
            false => one,
        };
        properties.insert(form.name.clone(), value);
    }
    if keyword.name == "port" {
        for keyword in OF_A_PORT.iter().filter_map(|name| keyword::find(name)) {
            properties.insert(keyword.name.to_owned(), line_in_array(keyword));
        }
    }
    let required: Vec<&str> =
        forms.iter().filter(|form| !form.optional).map(|form| form.name.as_str()).collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// One word, as exactly as its reading is known.
fn word(reads: &Reads) -> Value {
    let number = |range: &std::ops::RangeInclusive<u64>, text: &str| {
        let mut integer = json!({ "type": "integer", "minimum": range.start() });
        if let (Some(object), true) = (integer.as_object_mut(), *range.end() < u64::MAX) {
            object.insert("maximum".to_owned(), json!(range.end()));
        }
        json!({ "anyOf": [integer, { "type": "string", "pattern": text }] })
    };
    match reads {
        Reads::Leading(range, _) | Reads::Whole(range, _) => number(range, "^[0-9]+$"),
        Reads::Hex(range, _) => number(range, "^(0[xX][0-9a-fA-F]+|[0-9]+)$"),
        Reads::Scaled(range, _) => number(range, r"^([0-9]+\.?[0-9]*|\.[0-9]+)[kKmMgG]?$"),
        Reads::Duration(range, _) | Reads::Seconds(range, _) => {
            number(range, r"^([0-9]+\.?[0-9]*|\.[0-9]+)[smhd]?$")
        }
        Reads::Choice(words, _) => json!({ "enum": words }),
        Reads::Flag(_) | Reads::Words(_) | Reads::Nothing => {
            json!({ "type": ["string", "integer", "number"] })
        }
    }
}
