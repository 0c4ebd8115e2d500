//! A process of the program whose every word is looked through: nothing of anybody may stand in its log or its metrics
//! (R17). It is looked through when the process ends, however the test ends it, so that no test can forget it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use domicile_store_seaorm::{Database, SeaOrmStore};
use domicile_testkit::canary::Canaries;
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::binary::ask_to_stop;

/// How long what the process worked with may take to answer once more.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

/// A running process. It ends with the value.
pub struct Captured {
    child: Child,
    reader: Option<JoinHandle<Vec<String>>>,
    /// Whether its words are left unread for now.
    unread: Arc<(Mutex<bool>, Condvar)>,
    /// What it said, once it has ended.
    lines: Vec<String>,
    pages: Vec<String>,
    canaries: Canaries,
    database: Option<Database>,
    admin: Option<SocketAddr>,
}

impl Captured {
    /// Starts it, with secrets of which it must not speak. Its lines are handed on as they come.
    pub fn start(
        command: &mut Command,
        secrets: impl IntoIterator<Item = String>,
    ) -> (Self, UnboundedReceiver<String>) {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the program was built");
        let log = child.stderr.take().expect("it is piped").into_owned_fd().expect("it is open");
        let (sender, receiver) = unbounded_channel();
        // A thread, so that the end of a test can wait for it; and it reads on, or the process would wait for a reader.
        let unread = Arc::<(Mutex<bool>, Condvar)>::default();
        let waits = unread.clone();
        let reader = std::thread::spawn(move || {
            let mut lines = Vec::new();
            let mut log = BufReader::new(File::from(log)).lines();
            while let Some(line) = next(&mut log, &waits) {
                let line = line.expect("the log is text");
                // Nobody has to listen.
                let _ = sender.send(line.clone());
                lines.push(line);
            }
            lines
        });
        let mut canaries = Canaries::default();
        canaries.add(secrets);
        let reader = Some(reader);
        let (lines, pages) = (Vec::new(), Vec::new());
        let captured = Self { child, reader, unread, lines, pages, canaries, database: None, admin: None };
        (captured, receiver)
    }

    /// Nor may this be told.
    pub fn says_nothing_of(&mut self, secret: &str) {
        self.canaries.add([secret.to_owned()]);
    }

    /// Nothing of whom this database knows may be told either.
    pub fn knows_people_of(&mut self, database: &str) {
        self.database = Some(database.parse().expect("the address of a database"));
    }

    /// Its metrics are looked through too.
    pub const fn tells_metrics_at(&mut self, address: SocketAddr) {
        self.admin = Some(address);
    }

    /// Nothing of what it says is read any more, until it is looked through.
    pub fn leave_unread(&self) {
        self.set_unread(true);
    }

    fn set_unread(&self, unread: bool) {
        let (waits, changed) = &*self.unread;
        *waits.lock().unwrap_or_else(PoisonError::into_inner) = unread;
        changed.notify_all();
    }

    /// The process.
    pub const fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Ends it as a crash of the machine would: no word, no clean-up.
    pub async fn kill(mut self) {
        // Whatever is at work stays at work until then.
        self.admin = None;
        self.child.kill().await.expect("it ran");
    }

    /// Asks it to stop and answers how it ended, with all that it said.
    pub async fn stop(mut self) -> (ExitStatus, Vec<String>) {
        self.ask_for_metrics();
        ask_to_stop(&self.child).await;
        let ended = self.child.wait().await.expect("it ends");
        self.read_to_the_end();
        (ended, self.lines.clone())
    }

    fn read_to_the_end(&mut self) {
        self.set_unread(false);
        if let Some(reader) = self.reader.take() {
            self.lines = reader.join().expect("the log is read");
        }
    }

    /// What it counts, if it answers; a process that is held up may not.
    fn ask_for_metrics(&mut self) {
        let Some(admin) = self.admin.take() else { return };
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect_timeout(&admin, ANSWERED_WITHIN)?;
            stream.set_read_timeout(Some(ANSWERED_WITHIN))?;
            write!(stream, "GET /metrics HTTP/1.1\r\nHost: {admin}\r\n\r\n")?;
            let mut page = String::new();
            stream.read_to_string(&mut page)?;
            Ok(page)
        };
        self.pages.extend(ask());
    }

    /// Names, contacts and what was searched for. Where they cannot be read, nothing would be looked for: that fails the test.
    fn people(&mut self) -> BTreeSet<String> {
        let Some(database) = self.database.take() else { return BTreeSet::new() };
        let ask = async move {
            let store = SeaOrmStore::open(&database, 1).await.expect("what the process knew can be read");
            store.personal_words().await.expect("its people can be read")
        };
        let asked = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async { tokio::time::timeout(ANSWERED_WITHIN, ask).await })
        });
        asked.join().expect("it is asked").expect("the database answers")
    }
}

/// The next line of the log, once it may be read.
fn next<L>(log: &mut impl Iterator<Item = L>, (unread, changed): &(Mutex<bool>, Condvar)) -> Option<L> {
    let unread = unread.lock().unwrap_or_else(PoisonError::into_inner);
    drop(changed.wait_while(unread, |unread| *unread).unwrap_or_else(PoisonError::into_inner));
    log.next()
}

impl Drop for Captured {
    fn drop(&mut self) {
        self.ask_for_metrics();
        // It may have ended.
        let _ = self.child.start_kill();
        self.read_to_the_end();
        if std::thread::panicking() {
            return;
        }
        let people = self.people();
        self.canaries.add(people);
        self.lines.iter().for_each(|line| self.canaries.are_not_in("the log", line));
        for line in self.pages.iter().flat_map(|page| page.lines()) {
            self.canaries.are_not_in("the page of metrics", line);
        }
    }
}
