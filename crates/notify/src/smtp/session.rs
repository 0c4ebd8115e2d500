//! One conversation with a relay, and the connections that are kept between conversations.

use std::error::Error as _;
use std::io::{Error as IoError, ErrorKind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use domicile_domain::port::notifier::DeliveryError;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::Mechanism;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail as MailCommand, Rcpt, Rset};
use lettre::transport::smtp::extension::{Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::{Response, Severity};

use super::Progress;
use super::mail::Mail;
use super::settings::{Checked, Security};
use super::verdict::{Evidence, Reply, Step, judge_reply};

/// A connection that is idle for longer is not trusted: relays and firewalls drop them without a word.
const LONGEST_IDLE: Duration = Duration::from_secs(30);
/// How long an idle connection may take to say that it lives.
const SIGN_OF_LIFE: Duration = Duration::from_secs(3);

/// A connection to the relay, greeted, encrypted and logged in as the settings say.
pub(super) struct Session {
    connection: AsyncSmtpConnection,
    /// Whether every command so far had its answer. Not so while one is on its way, however that ends.
    sound: bool,
}

impl Session {
    pub(super) async fn open(settings: &Checked, at: &Progress) -> Result<Self, DeliveryError> {
        at.comes_to(Step::Connect);
        let from_the_first_byte = (settings.security == Security::Tls).then(|| settings.tls.clone());
        let server = (settings.host.as_str(), settings.port);
        let connection =
            AsyncSmtpConnection::connect_tokio1(server, None, &settings.hello_name, from_the_first_byte, None).await;
        let mut connection = connection.map_err(|error| refusal(Step::Connect, &error))?;
        if settings.security == Security::StartTls {
            at.comes_to(Step::Encrypt);
            if !connection.can_starttls() {
                return Err(Evidence::NoStartTls.error("its greeting has no STARTTLS"));
            }
            let encrypted = connection.starttls(settings.tls.clone(), &settings.hello_name).await;
            encrypted.map_err(|error| refusal(Step::Encrypt, &error))?;
        }
        if let Some(login) = &settings.login {
            at.comes_to(Step::Login);
            let logged_in = connection.auth(&[Mechanism::Plain, Mechanism::Login], login).await;
            logged_in.map_err(|error| refusal(Step::Login, &error))?;
        }
        Ok(Self { connection, sound: true })
    }

    pub(super) const fn is_sound(&self) -> bool {
        self.sound
    }

    /// Hands the mail over and returns what the relay said.
    pub(super) async fn send(&mut self, mail: &Mail, at: &Progress) -> Result<String, DeliveryError> {
        let mut parameters = Vec::new();
        if mail.is_international() {
            if !self.connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(Evidence::NoInternational.error("its greeting has no SMTPUTF8"));
            }
            parameters.push(MailParameter::SmtpUtfEight);
            // The headers carry the address as it is, in eight bits.
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        at.comes_to(Step::Sender);
        self.say(Step::Sender, MailCommand::new(Some(mail.from.clone()), parameters)).await?;
        at.comes_to(Step::Recipient);
        self.say(Step::Recipient, Rcpt::new(mail.to.clone(), Vec::new())).await?;
        at.comes_to(Step::Content);
        self.sound = false;
        let answer = self.connection.command(Data).await;
        self.answered(Step::Content, answer, Severity::PositiveIntermediate)?;
        self.sound = false;
        let answer = self.connection.message(&mail.content).await;
        let taken = self.answered(Step::Content, answer, Severity::PositiveCompletion)?;
        Ok(words(&taken))
    }

    async fn say(&mut self, step: Step, command: impl std::fmt::Display) -> Result<(), DeliveryError> {
        self.sound = false;
        let answer = self.connection.command(command).await;
        self.answered(step, answer, Severity::PositiveCompletion).map(|_| ())
    }

    /// Reads an answer. A refusal is one too; what is no answer, or the answer to something else, leaves the session unsound.
    fn answered(
        &mut self,
        step: Step,
        answer: Result<Response, Error>,
        expected: Severity,
    ) -> Result<Response, DeliveryError> {
        match answer {
            Ok(response) if response.code().severity == expected => {
                self.sound = true;
                Ok(response)
            }
            Ok(response) => Err(Evidence::NotSmtp.error(&words(&response))),
            Err(error) => {
                // After 421 the relay closes.
                self.sound = error.status().is_some_and(|code| u16::from(code) != 421);
                Err(refusal(step, &error))
            }
        }
    }

    /// Whether it still lives; afterwards nothing of an earlier message is left in it.
    async fn begins_anew(&mut self) -> bool {
        let answer = tokio::time::timeout(SIGN_OF_LIFE, self.connection.command(Rset)).await;
        answer.is_ok_and(|answer| answer.is_ok())
    }
}

fn words(response: &Response) -> String {
    let lines: Vec<&str> = response.message().collect();
    format!("{} {}", response.code(), lines.join(" "))
}

/// What a failed command means.
fn refusal(step: Step, error: &Error) -> DeliveryError {
    let Some(code) = error.status() else {
        return evidence(step, error).error(&innermost(error));
    };
    let code = u16::from(code);
    let text = error.source().map(ToString::to_string).unwrap_or_default();
    judge_reply(&Reply { step, code, text: &text }).error(&format!("{code} {text}"))
}

/// What is behind an error that is no answer. The library does not say whether a connection failed for now, nor that
/// encryption did: the system's error behind it does.
fn evidence(step: Step, error: &Error) -> Evidence {
    let mut causes = std::iter::successors(error.source(), |cause| (*cause).source());
    let Some(system) = causes.find_map(|cause| cause.downcast_ref::<IoError>()) else {
        return match step {
            // It knows nothing of its own here but that no login is offered.
            Step::Login if error.is_client() => Evidence::NoLogin,
            // An answer that ended before its end.
            _ if error.is_response() && innermost(error).contains("incomplete") => Evidence::Closed,
            _ if error.is_response() => Evidence::NotSmtp,
            _ => Evidence::Unreachable,
        };
    };
    match system.kind() {
        ErrorKind::InvalidData => {
            let words = system.to_string();
            if words.contains("InvalidContentType") {
                Evidence::Unencrypted
            } else if words.contains("certificate") {
                Evidence::Untrusted
            } else if matches!(step, Step::Connect | Step::Encrypt) {
                Evidence::EncryptionFailed
            } else {
                Evidence::NotSmtp
            }
        }
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof
        | ErrorKind::NotConnected => Evidence::Closed,
        _ if system.to_string().contains("lookup") => Evidence::NameUnknown,
        _ => Evidence::Unreachable,
    }
}

/// The words nearest to the cause.
fn innermost(error: &Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.last().map_or_else(|| error.to_string(), ToString::to_string)
}

/// Connections between conversations.
pub(super) struct Pool {
    idle: Mutex<Vec<(Session, Instant)>>,
    size: usize,
}

impl Pool {
    pub(super) const fn new(size: usize) -> Self {
        Self { idle: Mutex::new(Vec::new()), size }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Session, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that lives; those that do not are closed.
    pub(super) async fn take(&self) -> Option<Session> {
        loop {
            let mut session = {
                let mut idle = self.idle();
                idle.retain(|(_, since)| since.elapsed() < LONGEST_IDLE);
                idle.pop()?.0
            };
            if session.begins_anew().await {
                return Some(session);
            }
        }
    }

    /// Keeps a connection, or closes it if there are enough.
    pub(super) fn keep(&self, session: Session) {
        let mut idle = self.idle();
        if idle.len() < self.size {
            idle.push((session, Instant::now()));
        }
    }
}
