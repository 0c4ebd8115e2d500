//! The command line: what can be typed.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::relationships::RelationshipCommand;

/// Domicile says who lives in which workspace, who is only visiting, and what each may do there.
#[derive(Debug, Parser)]
#[command(name = "domicile", version, about, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve a development instance: embedded database, example people, captured messages
    Dev(DevArgs),
    /// Serve with the database and mail server of the configuration
    Serve(ConfigArgs),
    /// Write a configuration with keys and an operator, to begin with
    Init(Box<InitArgs>),
    /// Look after the database
    #[command(subcommand)]
    Db(DbCommand),
    /// See what the configuration says
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Find people, and say who they are at an issuer of tokens
    #[command(subcommand)]
    User(UserCommand),
    /// Make, show and change workspaces
    #[command(subcommand)]
    Workspace(WorkspaceCommand),
    /// See who is in a workspace, and say what each of them has
    #[command(subcommand)]
    Member(crate::members::MemberCommand),
    /// Make, show and change the roles of a workspace
    #[command(subcommand)]
    Role(crate::roles::RoleCommand),
    /// See the catalogue of permissions, and put in what a service offers
    #[command(subcommand)]
    Permission(crate::permissions::PermissionCommand),
    /// Make groups of Internals, and put people into them
    #[command(subcommand)]
    Group(crate::groups::GroupCommand),
    /// Agree with other workspaces whose people may do what
    #[command(subcommand)]
    Relationship(RelationshipCommand),
    /// Create or link a person, give roles, save, tell: steps 2 to 6 in one go
    Assign(AssignArgs),
    /// See what became of messages
    #[command(subcommand)]
    Notifications(NotificationsCommand),
    /// Ask what people may do
    #[command(subcommand)]
    Access(crate::access::AccessCommand),
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct DevArgs {
    #[command(subcommand)]
    pub(crate) command: Option<DevCommand>,
    /// Folder of database, key, credentials and captured messages; delete it to start over
    #[arg(long, default_value = "./domicile-dev")]
    pub(crate) data: PathBuf,
    /// Loopback address to serve on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:50051")]
    pub(crate) listen: SocketAddr,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DevCommand {
    /// Print an access token of a service or a person of the development instance, to call it from elsewhere
    Token(TokenArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    /// Person: a short name of the credentials, or with --email any name for somebody else; for none the service alone
    #[arg(long = "as", value_name = "PERSON")]
    pub(crate) acting: Option<String>,
    /// Address that the issuer has verified, by which the person is known at first sight
    #[arg(long, requires = "acting")]
    pub(crate) email: Option<String>,
    /// Calling service; with --as the token is exchanged for it, and the person's own without
    #[arg(long, value_parser = crate::issuing::SERVICES)]
    pub(crate) service: Option<String>,
    /// How long it is good
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=1440))]
    pub(crate) minutes: u64,
    #[command(flatten)]
    pub(crate) file: CredentialsArgs,
    #[command(flatten)]
    pub(crate) print: PrintArgs,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Folder for the configuration, an embedded database and captured messages
    #[arg(long, default_value = ".", value_name = "FOLDER")]
    pub(crate) data: PathBuf,
    /// Address to serve on
    #[arg(long, default_value = "127.0.0.1:50051")]
    pub(crate) listen: SocketAddr,
    /// Database in place of an embedded one: `postgres://user@host:5432/name`
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// Name in the operator's client certificate: `spiffe://acme.internal/operator`, `dns:operator.internal`
    #[arg(long, value_name = "NAME", requires_all = ["tls_certificate", "client_ca"])]
    pub(crate) operator_certificate: Option<String>,
    /// How an issuer's tokens name the operator: the issuer's URL and the client id there
    #[arg(long, value_name = "ISSUER,CLIENT_ID", value_parser = operator_client, requires = "issuer_keys")]
    pub(crate) operator_client: Option<OperatorClient>,
    /// Where that issuer publishes its keys (JWKS)
    #[arg(long, value_name = "URL", requires = "operator_client")]
    pub(crate) issuer_keys: Option<String>,
    /// Audience of that issuer's tokens for this service
    #[arg(long, default_value = "domicile")]
    pub(crate) audience: String,
    /// PEM file with the certificate of the server
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// PEM file with its key
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub(crate) tls_key: Option<PathBuf>,
    /// PEM file with the certificates that vouch for clients
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub(crate) client_ca: Option<PathBuf>,
    /// Write a new configuration in the place of one that is there, which is kept beside it
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) print: PrintArgs,
}

/// A client of an issuer.
#[derive(Debug, Clone)]
pub(crate) struct OperatorClient {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
}

fn operator_client(text: &str) -> Result<OperatorClient, String> {
    match text.rsplit_once(',') {
        Some((issuer, client_id)) if !issuer.is_empty() && !client_id.is_empty() => {
            Ok(OperatorClient { issuer: issuer.to_owned(), client_id: client_id.to_owned() })
        }
        _ => Err("write the issuer's URL, a comma and the client id: https://login.acme.example,operator".to_owned()),
    }
}

/// Where the configuration comes from: flags win over variables, those over the file.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// Configuration file; ./domicile.toml is read if it is there
    #[arg(long, env = "DOMICILE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Address to serve on
    #[arg(long)]
    pub(crate) listen: Option<String>,
    /// Database: `sqlite:PATH` or `postgres://user@host:5432/name`
    #[arg(long)]
    pub(crate) database_url: Option<String>,
    /// Any setting, for example --set smtp.host=mail.example; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) settings: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DbCommand {
    /// Bring the schema up to date; nothing happens if it is
    Migrate(ConfigArgs),
    /// Tell whether the database can be reached and its schema fits; changes nothing
    Check(ConfigArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Tell everything that is missing or wrong for `serve`
    Check(ConfigArgs),
    /// Show every setting with its value and where it comes from; secrets as "set"
    Show(ShowConfigArgs),
    /// List every setting with its variable, its default and what it is for
    Schema,
}

#[derive(Debug, Args)]
pub(crate) struct ShowConfigArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) print: PrintArgs,
}

/// Who the people and services of a development instance are.
#[derive(Debug, Args)]
pub(crate) struct CredentialsArgs {
    /// Credentials that `domicile dev` wrote
    #[arg(long, env = "DOMICILE_CREDENTIALS", default_value = crate::credentials::USUAL_CREDENTIALS)]
    pub(crate) credentials: PathBuf,
}

/// What a command prints.
#[derive(Debug, Args)]
pub(crate) struct PrintArgs {
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Print no talk, only the result
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// How every client command reaches the service.
#[derive(Debug, Args)]
pub(crate) struct ClientArgs {
    #[command(flatten)]
    pub(crate) file: CredentialsArgs,
    #[command(flatten)]
    pub(crate) sign_in: SignInArgs,
    /// Act as this person: a short name of the credentials, or a user id
    #[arg(long = "as", value_name = "PERSON")]
    pub(crate) acting: Option<String>,
    #[command(flatten)]
    pub(crate) print: PrintArgs,
    /// Never ask; what is missing is an error
    #[arg(long)]
    pub(crate) no_input: bool,
}

/// A workspace and how to reach the service.
#[derive(Debug, Args)]
pub(crate) struct WhereArgs {
    /// Workspace: id or handle
    #[arg(long)]
    pub(crate) workspace: String,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

/// How much a list shows.
#[derive(Debug, Args)]
pub(crate) struct PageArgs {
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
}

/// The heading of the flags of a sign-in.
const SIGN_IN: &str = "Sign-in elsewhere than at a development instance";

/// Where the service is and how it knows the caller, in place of the credentials of a development instance.
#[derive(Debug, Args)]
pub(crate) struct SignInArgs {
    /// Service to call: `https://domicile.example:50051`, or `http://` on this machine
    #[arg(long, help_heading = SIGN_IN, env = "DOMICILE_ENDPOINT", value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// File with the token of the calling service, or of a person
    #[arg(long, help_heading = SIGN_IN, env = "DOMICILE_TOKEN_FILE", value_name = "FILE", requires = "endpoint")]
    pub(crate) token_file: Option<PathBuf>,
    /// PEM file with the certificates that vouch for the service; those of the public web unless given
    #[arg(long, help_heading = SIGN_IN, env = "DOMICILE_CA", value_name = "FILE", requires = "endpoint")]
    pub(crate) ca: Option<PathBuf>,
    /// PEM file with the certificate of the calling service
    #[arg(long, help_heading = SIGN_IN, env = "DOMICILE_CLIENT_CERTIFICATE", value_name = "FILE")]
    #[arg(requires_all = ["endpoint", "client_key"])]
    pub(crate) client_certificate: Option<PathBuf>,
    /// PEM file with its key
    #[arg(long, help_heading = SIGN_IN, env = "DOMICILE_CLIENT_KEY", value_name = "FILE")]
    #[arg(requires_all = ["endpoint", "client_certificate"])]
    pub(crate) client_key: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WorkspaceCommand {
    /// Make a workspace with its first manager, who is created Internal there
    Create(Box<CreateWorkspaceArgs>),
    /// Show a workspace
    Show(ShowWorkspaceArgs),
    /// List the workspaces one belongs to; for the operator all
    List(crate::policies::ListWorkspacesArgs),
    /// Change what a workspace says of itself
    Update(Box<crate::policies::UpdateWorkspaceArgs>),
    /// See and change the rules that a workspace sets for itself
    #[command(subcommand)]
    Policy(crate::policies::PolicyCommand),
}

#[derive(Debug, Args)]
pub(crate) struct CreateWorkspaceArgs {
    /// Handle: 2 to 63 characters a-z, 0-9 and -, beginning with a letter; it never changes
    pub(crate) handle: String,
    /// Name for people
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Region of which national phone numbers are: HU, DE
    #[arg(long)]
    pub(crate) region: Option<String>,
    /// Language of the workspace and of its manager: en, de, pt-BR
    #[arg(long)]
    pub(crate) language: Option<String>,
    /// Email address of the first manager, who must be new to the system
    #[arg(long, value_name = "EMAIL")]
    pub(crate) manager: Option<String>,
    /// Phone number of the manager
    #[arg(long)]
    pub(crate) phone: Option<String>,
    /// First name of the manager
    #[arg(long)]
    pub(crate) first_name: Option<String>,
    /// Last name of the manager
    #[arg(long)]
    pub(crate) last_name: Option<String>,
    /// Username of the manager
    #[arg(long)]
    pub(crate) username: Option<String>,
    #[command(flatten)]
    pub(crate) save: SaveArgs,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ShowWorkspaceArgs {
    /// Workspace: id or handle
    pub(crate) workspace: String,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

/// How every save is made.
#[derive(Debug, Args)]
pub(crate) struct SaveArgs {
    /// Check everything and save nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// UUID that makes the save repeatable; a new one unless given
    #[arg(long)]
    pub(crate) request_id: Option<uuid::Uuid>,
    /// Save without asking
    #[arg(long, short)]
    pub(crate) yes: bool,
}

impl SaveArgs {
    /// The id of the save: the one that was given, or a new one.
    pub(crate) fn request_id(&self) -> String {
        self.request_id.unwrap_or_else(uuid::Uuid::now_v7).to_string()
    }
}

/// How a change is made of something that was read before.
#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    #[command(flatten)]
    pub(crate) save: SaveArgs,
    /// Change it only if it still has this etag; read just now unless given. With --request-id the same again is one change
    #[arg(long)]
    pub(crate) etag: Option<String>,
}

impl ChangeArgs {
    /// Whether it may be a change that was made before: then there may be nothing left to read or to rehearse, and the
    /// service answers as it did.
    pub(crate) const fn may_repeat(&self) -> bool {
        self.save.request_id.is_some() && self.etag.is_some()
    }

    /// The etag that was given, or the one that was read.
    pub(crate) fn etag(&self, read: &str) -> String {
        self.etag.clone().unwrap_or_else(|| read.to_owned())
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Search the whole system by email or phone
    Lookup(LookupArgs),
    /// Show somebody as seen from a workspace: everything to the home, with the identities that are bound
    Show(ShowUserArgs),
    /// Bind an identity at an issuer of tokens to a person of this home: whoever shows it is that person
    BindIdentity(IdentityArgs),
    /// Take an identity from a person of this home: whoever shows it is nobody then
    UnbindIdentity(IdentityArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ShowUserArgs {
    /// Short name of the credentials, or user id
    pub(crate) person: String,
    /// Workspace from which to look: id or handle
    #[arg(long)]
    pub(crate) workspace: String,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

/// Whose identity, and which.
#[derive(Debug, Args)]
pub(crate) struct IdentityArgs {
    /// Short name of the credentials, or user id
    pub(crate) person: String,
    /// The person's home: id or handle
    #[arg(long)]
    pub(crate) workspace: String,
    /// Issuer exactly as its tokens name it, for example `https://login.example`
    #[arg(long, value_name = "URL")]
    pub(crate) issuer: String,
    /// Subject exactly as the issuer's tokens name it
    #[arg(long)]
    pub(crate) subject: String,
    #[command(flatten)]
    pub(crate) save: SaveArgs,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LookupArgs {
    /// Email address or phone number
    pub(crate) person: String,
    /// Phone number beside an email address
    #[arg(long)]
    pub(crate) phone: Option<String>,
    /// Workspace that searches: id or handle
    #[arg(long)]
    pub(crate) workspace: String,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

/// What a save is expected to do.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Expect {
    /// Create an Internal
    Create,
    /// Link an existing person
    Link,
    /// What the lookup finds
    Either,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Notify {
    /// The person is told
    Tell,
    /// The person is not told; for creating Internals only
    None,
}

#[derive(Debug, Args)]
pub(crate) struct AssignArgs {
    /// Email address or phone number
    pub(crate) person: String,
    /// Workspace that takes the person in: id or handle
    #[arg(long)]
    pub(crate) workspace: String,
    /// Role by handle or id; may be given several times
    #[arg(long = "role")]
    pub(crate) roles: Vec<String>,
    /// Direct permission; may be given several times
    #[arg(long = "permission")]
    pub(crate) permissions: Vec<String>,
    /// Phone number beside an email address
    #[arg(long)]
    pub(crate) phone: Option<String>,
    /// First name, to create
    #[arg(long)]
    pub(crate) first_name: Option<String>,
    /// Last name, to create
    #[arg(long)]
    pub(crate) last_name: Option<String>,
    /// Username, to create
    #[arg(long)]
    pub(crate) username: Option<String>,
    /// Preferred language, to create: en, de, pt-BR
    #[arg(long)]
    pub(crate) language: Option<String>,
    /// What the save is expected to do
    #[arg(long, value_enum, default_value = "either")]
    pub(crate) expect: Expect,
    /// Whether the person is told
    #[arg(long, value_enum, default_value = "tell")]
    pub(crate) notify: Notify,
    #[command(flatten)]
    pub(crate) save: SaveArgs,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NotificationsCommand {
    /// List messages that a workspace triggered or delivers, newest first
    List(ListArgs),
    /// Show one message: the home sees text and attempts, a host state and time
    Show(ShowArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) page: PageArgs,
    #[command(flatten)]
    pub(crate) at: WhereArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The message's id
    pub(crate) id: String,
    /// Workspace that triggered or delivers it: id or handle
    #[arg(long)]
    pub(crate) workspace: String,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}
