//! Log lines as the journal reads them from stderr: `<N>` for the level (`sd-daemon(3)`), no time and no colour, which
//! the journal has itself. A message of several lines has the level before each of them; else all but the first would
//! be entries of no level.

use std::env;
use std::fmt::{self, Write};
use std::io;

use nix::sys::stat::fstat;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Whether stderr is the journal's own socket: `JOURNAL_STREAM` names the device and inode of it.
#[must_use]
pub fn stderr_is_journal() -> bool {
    let Ok(stream) = env::var("JOURNAL_STREAM") else {
        return false;
    };
    let Ok(own) = fstat(io::stderr()) else {
        return false;
    };
    names(&stream, own.st_dev, own.st_ino)
}

fn names(stream: &str, device: u64, inode: u64) -> bool {
    let numbers = stream
        .split_once(':')
        .map(|(device, inode)| (device.parse(), inode.parse()));
    numbers == Some((Ok(device), Ok(inode)))
}

/// Writes events for the journal. Spans' fields are formatted before it sees them: the layer it is given to must have
/// colours off (`with_ansi(false)`).
#[derive(Clone, Copy, Debug, Default)]
pub struct JournalLines;

/// The numbers of `syslog(3)`.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

impl<S, N> FormatEvent<S, N> for JournalLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut text = String::new();
        for span in context
            .event_scope()
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            write!(text, "{}", span.name())?;
            let extensions = span.extensions();
            if let Some(fields) = extensions
                .get::<FormattedFields<N>>()
                .filter(|f| !f.is_empty())
            {
                write!(text, "{{{fields}}}")?;
            }
            text.push_str(": ");
        }
        context.format_fields(Writer::new(&mut text), event)?;
        let priority = priority(*event.metadata().level());
        // An empty event has no line of its own otherwise.
        let lines = text.trim_end().split('\n');
        for line in lines {
            writeln!(writer, "<{priority}>{line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Kept {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    fn logged(work: impl FnOnce()) -> String {
        let kept = Kept::default();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .event_format(JournalLines)
            .with_writer(kept.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, work);
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn every_line_of_a_message_has_its_level() {
        let text = logged(|| tracing::error!("first\nsecond"));
        assert_eq!(text, "<3>first\n<3>second\n");
    }

    #[test]
    fn a_line_has_the_fields_and_the_span() {
        let text = logged(|| {
            let _span = tracing::info_span!("load", model = "foo@1").entered();
            tracing::warn!(uid = 7, "refused");
        });
        assert_eq!(text, "<4>load{model=\"foo@1\"}: refused uid=7\n");
    }

    #[test]
    fn a_stream_is_known_by_device_and_inode() {
        assert!(names("8:123", 8, 123));
        assert!(!names("8:124", 8, 123));
        assert!(!names("8", 8, 123));
        assert!(!names("a:b", 8, 123));
    }
}
