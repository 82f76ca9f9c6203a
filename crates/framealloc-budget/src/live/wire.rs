//! What the program and its viewers say to one another: lines of text, those of the program in JSON.

use serde::{Deserialize, Serialize};

use crate::figures::FrameRecord;
use crate::pressure::Level;

/// The schema of what is sent: raised when a field changes its meaning, comes or goes. Those of the program's [records](FrameRecord) are
/// among them.
pub const SCHEMA: u32 = 1;

/// What a viewer's line begins with.
const GREETING: &str = "framealloc-live";

/// Bytes that a greeting may have, with the end of its line.
pub(super) const LONGEST_GREETING: usize = 64;

/// What a viewer says first, and all that it ever says: a line that no browser begins with.
///
/// ```
/// assert_eq!(framealloc_budget::live::greeting(), "framealloc-live 1\n");
/// ```
#[must_use]
pub fn greeting() -> String {
    format!("{GREETING} {SCHEMA}\n")
}

/// Whether a first line is a greeting in this schema, or why not.
pub(super) fn check_greeting(line: &[u8]) -> Result<(), String> {
    let schema = std::str::from_utf8(line)
        .ok()
        .and_then(|line| line.trim_end().strip_prefix(GREETING)?.strip_prefix(' ')?.parse::<u32>().ok());
    match schema {
        Some(SCHEMA) => Ok(()),
        Some(other) => Err(format!(
            "the program shows its frames in schema {SCHEMA}, but the viewer reads {other}: they are of different versions"
        )),
        None => Err(format!("the first line must be `{GREETING} {SCHEMA}`")),
    }
}

/// A line of the program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Message {
    /// The first line, unless there is an error.
    Hello(Hello),
    /// Tags that were not there before, told before a frame has figures of them.
    Tags(NewTags),
    /// A frame that has ended.
    Frame(Box<Snapshot>),
    /// Why the connection ends.
    Error(String),
}

/// Who shows its frames.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Hello {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What it is.
    pub title: String,
    /// The paths of the tags, as far as they are known, by their number in frames. The first one, which is empty, is what lies in no
    /// tag.
    pub tags: Vec<String>,
}

/// The paths of tags that are new.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NewTags {
    /// The number of the first one of them: as many as are known.
    pub first: usize,
    /// Their paths.
    pub paths: Vec<String>,
}

/// A frame that has ended: what it used, and how the accounts stand. Bytes unless said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// Frames of which the program keeps figures.
    pub history: usize,
    /// What it used.
    pub record: FrameRecord,
    /// The accounts that are no tags.
    pub accounts: Accounts,
    /// The tags, by their number. What lies in no tag, the first one, has no limits.
    pub tags: Vec<Standing>,
}

/// How the accounts that are no tags stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Accounts {
    /// [`Account::Committed`](crate::Account::Committed).
    pub committed: Standing,
    /// [`Account::Pools`](crate::Account::Pools).
    pub pools: Standing,
    /// [`Account::Sealed`](crate::Account::Sealed).
    pub sealed: Standing,
    /// [`Account::Frame`](crate::Account::Frame).
    pub frame: Standing,
    /// [`Account::Thread`](crate::Account::Thread).
    pub thread: Standing,
}

/// How an account stands: its limits, and the worst since the start. What is nothing, and limits that are not set, are left out in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Standing {
    /// The soft limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soft: Option<usize>,
    /// The hard limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hard: Option<usize>,
    /// How close it is to them.
    #[serde(skip_serializing_if = "is_default")]
    pub level: Level,
    /// The most that it used.
    #[serde(skip_serializing_if = "is_default")]
    pub worst: usize,
    /// The frame in which that was.
    #[serde(skip_serializing_if = "is_default")]
    pub worst_frame: u64,
    /// Requests that were refused, since the start.
    #[serde(skip_serializing_if = "is_default")]
    pub refused: usize,
    /// The most that was granted beyond the hard limit in a frame.
    #[serde(skip_serializing_if = "is_default")]
    pub over: usize,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Message {
    /// Reads a line.
    ///
    /// ```
    /// use framealloc_budget::live::Message;
    /// let Ok(Message::Hello(hello)) = Message::read(r#"{"hello":{"schema":1,"title":"a game","tags":["","ui"]}}"#) else { panic!() };
    /// assert_eq!(hello.tags[1], "ui");
    /// assert!(Message::read(r#"{"hello":{"schema":7}}"#).unwrap_err().contains("schema 7"));
    /// ```
    ///
    /// # Errors
    ///
    /// If it is none, or begins what is sent in another schema; the text names what is wrong with it, or both schemas.
    pub fn read(line: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Any {
            hello: Schema,
        }
        #[derive(Deserialize)]
        struct Schema {
            schema: u32,
        }
        let read = serde_json::from_str(line);
        let schema = match &read {
            Ok(Self::Hello(hello)) => hello.schema,
            Ok(_) => SCHEMA,
            // Of another schema, whatever else it has.
            Err(_) => serde_json::from_str(line).map_or(SCHEMA, |any: Any| any.hello.schema),
        };
        if schema != SCHEMA {
            return Err(format!(
                "the program shows its frames in schema {schema}, but this viewer reads {SCHEMA}: they are of different versions"
            ));
        }
        read.map_err(|error| error.to_string())
    }

    /// Appends it as a line.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        write(self, out);
    }
}

impl Snapshot {
    /// Appends it as the line of a [`Message::Frame`].
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        #[derive(Serialize)]
        struct Line<'a> {
            frame: &'a Snapshot,
        }
        write(&Line { frame: self }, out);
    }
}

fn write(line: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(&mut *out, line).expect("plain numbers, texts and lists, into memory");
    out.push(b'\n');
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// One that has everything, with a number of its own for each figure.
    fn snapshot() -> Snapshot {
        let standing = Standing {
            soft: Some(1),
            hard: Some(2),
            level: Level::Hard,
            worst: 3,
            worst_frame: 4,
            refused: 5,
            over: 6,
        };
        let record = FrameRecord {
            frame: 7,
            sizes: vec![crate::SizeRecord::default()],
            threads: vec![crate::ThreadRecord::default()],
            tags: vec![crate::TagRecord::default()],
            ..FrameRecord::default()
        };
        let accounts = Accounts { thread: standing, ..Accounts::default() };
        Snapshot { history: 8, record, accounts, tags: vec![standing] }
    }

    /// Fails when a field comes or goes anywhere in what is sent: then [`SCHEMA`] is to be raised, and this text is the new one's.
    #[test]
    fn what_is_sent_is_that_of_the_schema() {
        let mut line = Vec::new();
        snapshot().write(&mut line);
        let standing = r#"{"soft":1,"hard":2,"level":"hard","worst":3,"worst_frame":4,"refused":5,"over":6}"#;
        let expected = [
            r#"{"frame":{"history":8,"record":{"frame":7,"interval":0,"bytes":0,"waste":0,"chunk_bytes":0,"committed":0,"pools":0,"heap":0,"#,
            r#""sealed":0,"scratch_peak":0,"chunks":0,"refused":0,"refused_memory":0,"over":0,"traffic":0,"#,
            r#""sizes":[{"size":0,"slots":0,"outstanding":0,"free":0}],"threads":[{"arena":0,"peak":0,"waste":0,"chunk_bytes":0,"refused":0}],"#,
            r#""tags":[{"own":0,"total":0,"peak":0,"scopes":0,"over":0,"refused":0,"waste":0}]},"#,
            r#""accounts":{"committed":{},"pools":{},"sealed":{},"frame":{},"thread":"#,
            standing,
            r#"},"tags":["#,
            standing,
            "]}}\n",
        ];
        assert_eq!((SCHEMA, std::str::from_utf8(&line).unwrap()), (1, &*expected.concat()));
    }

    #[test]
    fn messages_come_back_as_they_were() {
        let mut lines = Vec::new();
        let messages = [
            Message::Hello(Hello {
                schema: SCHEMA,
                title: "a \"title\"\n\u{1b}".into(),
                tags: vec!["".into(), "a".into()],
            }),
            Message::Tags(NewTags { first: 2, paths: vec!["a/b".into()] }),
            Message::Frame(Box::new(snapshot())),
            Message::Error("no".into()),
        ];
        messages.iter().for_each(|message| message.write(&mut lines));
        let text = String::from_utf8(lines).unwrap();
        assert_eq!(text.lines().count(), messages.len(), "a message is one line: {text}");
        for (line, message) in text.lines().zip(&messages) {
            assert_eq!(Message::read(line).as_ref(), Ok(message));
        }
        for line in ["", "{", "[]", "{\"hello\":{}}", "{\"frame\":{\"history\":-1}}", "GET / HTTP/1.1", "{\"other\":1}"]
        {
            assert!(Message::read(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_hello_of_another_schema_is_refused_with_both() {
        for line in [r#"{"hello":{"schema":2,"title":"","tags":[]}}"#, r#"{"hello":{"schema":2,"who":7}}"#] {
            let why = Message::read(line).unwrap_err();
            assert!(why.contains("schema 2") && why.contains("reads 1"), "{why}");
        }
    }

    #[test]
    fn greetings_are_of_this_schema_or_told_why_not() {
        assert_eq!(check_greeting(greeting().as_bytes()), Ok(()));
        assert_eq!(check_greeting(b"framealloc-live 1\r\n"), Ok(()));
        assert!(greeting().len() < LONGEST_GREETING);
        let other = check_greeting(b"framealloc-live 2\n").unwrap_err();
        assert!(other.contains("schema 1") && other.contains("reads 2"), "{other}");
        for wrong in
            ["", "\n", "framealloc-live\n", "framealloc-live one\n", "GET / HTTP/1.1\r\n", " framealloc-live 1\n"]
        {
            assert!(check_greeting(wrong.as_bytes()).unwrap_err().contains("first line"), "{wrong}");
        }
        assert!(check_greeting(&[0xff, 0xfe]).is_err());
    }
}
