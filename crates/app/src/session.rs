//! How a client command reaches the service: by the credentials of a development instance, or by an address with a token,
//! a certificate, or both.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domicile_client::{Client, ClientTls, Credentials, v1};
use uuid::Uuid;

use crate::cli::{ClientArgs, SignInArgs};
use crate::credentials::{CredentialsFile, Person, USUAL_CREDENTIALS};
use crate::dev::own_name;
use crate::failure::Failure;
use crate::issuing::{self, Bearer, COMMAND_LINE};
use crate::output::Output;
use crate::pages;

/// How long a token serves that a command signs for itself.
const COMMAND_WITHIN: Duration = Duration::from_mins(5);

/// A connected client with its output, and the people that have short names.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) output: Output,
    people: BTreeMap<String, Person>,
}

impl Session {
    /// The user id behind a short name, or the id itself.
    pub(crate) fn user_of(&self, name: &str) -> Result<String, Failure> {
        user_of(&self.people, name)
    }

    /// The user id of a member by the address that the workspace knows, by short name or by the id itself.
    ///
    /// # Errors
    /// Nobody there has that address as far as the workspace sees it, or several have.
    pub(crate) async fn member_of(&self, workspace: &str, person: &str) -> Result<String, Failure> {
        if !person.contains('@') {
            return self.user_of(person);
        }
        let members = pages::whole(async |page_size, page_token| {
            let workspace = workspace.to_owned();
            let request = v1::ListMembershipsRequest { workspace, page_size, page_token, consistency: None };
            let page = self.client.list_memberships(request).await?;
            Ok((page.memberships, page.next_page_token))
        });
        let mut found = members.await?;
        found.retain(|member| {
            [&member.email, &member.typed_contact].iter().any(|known| known.eq_ignore_ascii_case(person))
        });
        match found.as_slice() {
            [member] => Ok(member.user.clone()),
            [] => {
                let message = format!(
                    "no member of {workspace} is known there as {person}; `member list` shows them, `assign` takes \
                     somebody in"
                );
                Err(Failure::new(3, message))
            }
            several => {
                let ids: Vec<&str> = several.iter().map(|member| member.user.as_str()).collect();
                Err(Failure::new(
                    4,
                    format!("several members are known as {person}; give one by id: {}", ids.join(", ")),
                ))
            }
        }
    }
}

/// Connects as the flags say.
pub(crate) async fn session(args: &ClientArgs) -> Result<Session, Failure> {
    let output = Output::new(&args.print, args.no_input);
    let acting = args.acting.as_deref();
    if let Some(endpoint) = &args.sign_in.endpoint {
        let people = BTreeMap::new();
        let acting_user = acting.map(|name| user_of(&people, name)).transpose()?;
        let credentials = Credentials { token: token(&args.sign_in)?, acting_user };
        let client = Client::connect_by(endpoint, &credentials, &tls(&args.sign_in)?).await?;
        return Ok(Session { client, output, people });
    }
    let file = read_file(args)?;
    let credentials = of_file(&file, acting.unwrap_or(&file.acting))?;
    let client = Client::connect(&file.endpoint, &credentials).await?;
    Ok(Session { client, output, people: file.people })
}

/// Connects as a service of the development instance, which acts for nobody.
pub(crate) async fn service_session(args: &ClientArgs, service: &str) -> Result<Session, Failure> {
    let file = read_file(args)?;
    let key = issuing::read_key(&file.key)?;
    let token = issuing::token(&key, &Bearer::Service(service), COMMAND_WITHIN)?;
    let client = Client::connect(&file.endpoint, &Credentials { token, acting_user: None }).await?;
    Ok(Session { client, output: Output::new(&args.print, args.no_input), people: file.people })
}

fn read_file(args: &ClientArgs) -> Result<CredentialsFile, Failure> {
    CredentialsFile::read(&args.file.credentials).map_err(|error| Failure::new(2, error.to_string()))
}

/// People of the example come with a token of their own; anybody else is named by the command line, which may do so there.
fn of_file(file: &CredentialsFile, acting: &str) -> Result<Credentials, Failure> {
    let key = issuing::read_key(&file.key)?;
    let token = |of: &Bearer<'_>| issuing::token(&key, of, COMMAND_WITHIN);
    if let Some(subject) = file.subject(acting) {
        return Ok(Credentials { token: token(&Bearer::Person(&subject))?, acting_user: None });
    }
    let acting_user = Some(user_of(&file.people, acting)?);
    Ok(Credentials { token: token(&Bearer::Service(COMMAND_LINE))?, acting_user })
}

/// The token of the file, if there is one.
fn token(args: &SignInArgs) -> Result<String, Failure> {
    let token = args.token_file.as_ref().map(|path| read(path, "token-file")).transpose()?;
    let token = token.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()).unwrap_or_default();
    if token.is_empty() && args.client_certificate.is_none() {
        let said =
            "nothing tells the service who is calling; give --token-file, or --client-certificate and --client-key";
        return Err(Failure::new(2, said.to_owned()));
    }
    Ok(token)
}

fn tls(args: &SignInArgs) -> Result<ClientTls, Failure> {
    let root_certificates = args.ca.as_ref().map(|path| read(path, "ca")).transpose()?;
    let identity = match (&args.client_certificate, &args.client_key) {
        (Some(certificate), Some(key)) => Some((read(certificate, "client-certificate")?, read(key, "client-key")?)),
        _ => None,
    };
    Ok(ClientTls { root_certificates, identity })
}

fn read(path: &Path, flag: &str) -> Result<Vec<u8>, Failure> {
    let failed =
        |error| format!("--{flag}: {} cannot be read ({error}); check the path and who may read it", path.display());
    std::fs::read(path).map_err(|error| Failure::new(2, failed(error)))
}

/// The user id behind a short name, or the id itself.
///
/// # Errors
/// Neither; the sentence names the short names that there are.
fn user_of(people: &BTreeMap<String, Person>, name: &str) -> Result<String, Failure> {
    match people.get(name) {
        Some(person) => Ok(person.user.clone()),
        None if Uuid::try_parse(name).is_ok() => Ok(name.to_owned()),
        None if people.is_empty() => Err(Failure::new(2, format!("`{name}` is no user id; give the id of a user"))),
        None => {
            let known: Vec<&str> = people.keys().map(String::as_str).collect();
            let known = known.join(", ");
            Err(Failure::new(2, format!("nobody is called `{name}` here; give {known}, or a user id")))
        }
    }
}

/// A command to type next, as this program was called and with the same sign-in.
pub(crate) fn next(command: &str, client: &ClientArgs) -> String {
    format!("Next    {} {command}{}", own_name(), flags(client, |name| std::env::var_os(name).is_some()))
}

/// The flags of the sign-in, but for those that are usual or that variables give.
fn flags(client: &ClientArgs, given: impl Fn(&str) -> bool) -> String {
    let SignInArgs { endpoint, token_file, ca, client_certificate, client_key } = &client.sign_in;
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.as_os_str().to_owned());
    let usual = client.file.credentials == Path::new(USUAL_CREDENTIALS) || endpoint.is_some();
    let credentials = (!usual).then(|| client.file.credentials.as_os_str().to_owned());
    let all = [
        ("credentials", "DOMICILE_CREDENTIALS", credentials),
        ("endpoint", "DOMICILE_ENDPOINT", endpoint.as_ref().map(Into::into)),
        ("token-file", "DOMICILE_TOKEN_FILE", path(token_file)),
        ("ca", "DOMICILE_CA", path(ca)),
        ("client-certificate", "DOMICILE_CLIENT_CERTIFICATE", path(client_certificate)),
        ("client-key", "DOMICILE_CLIENT_KEY", path(client_key)),
        ("as", "", client.acting.as_ref().map(Into::into)),
    ];
    let typed = all.into_iter().filter(|(_, variable, _)| !given(variable));
    typed.filter_map(|(flag, _, value)| Some(format!(" --{flag} {}", OsStr::display(value?.as_os_str())))).collect()
}
