//! `domicile init`: writes a configuration to begin with. Every line that explains a setting comes from the table of settings.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::cli::InitArgs;
use crate::config::{Layers, Row, SECTIONS, SETTINGS, Section, Sources};
use crate::dev::own_name;
use crate::failure::Failure;
use crate::files::write_private;
use crate::output::Output;
use crate::sealer::random;

/// The name of the file in its folder.
const FILE: &str = "domicile.toml";
/// The width of a comment.
const WIDTH: usize = 110;

pub(crate) fn run(args: &InitArgs) -> Result<(), Failure> {
    let folder = std::path::absolute(&args.data)?;
    let path = folder.join(FILE);
    if path.exists() && !args.force {
        let said = "it is there already; name another folder with --data, or write a new one in its place with --force";
        return Err(Failure::new(4, format!("{}: {said}", path.display())));
    }
    args.reachable()?;
    std::fs::create_dir_all(&folder).with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    let token = folder.join("token");
    let new_token = !args.has_operator() && !token.exists();
    if new_token {
        write_private(&token, hex::encode(random::<32>()?).as_bytes())?;
    }
    let text = Draft::new(args, &folder, &token)?.text();
    if let Err(error) = works(&path, &text) {
        if new_token {
            std::fs::remove_file(&token)?;
        }
        return Err(Failure::invalid(&error));
    }
    let before = folder.join(format!("{FILE}.before"));
    let replaced = path.exists();
    if replaced {
        std::fs::rename(&path, &before).with_context(|| format!("{} cannot be kept", path.display()))?;
    }
    write_private(&path, text.as_bytes())?;
    let output = Output::new(&args.print, true);
    output.result(&format!("Wrote   {}", path.display()), &json!({ "configuration": path }))?;
    if replaced {
        output.talk(&format!("Kept    {}: its sealing keys open what was sealed before", before.display()))?;
    }
    for line in next(args, &path, &token) {
        output.talk(&line)?;
    }
    Ok(())
}

impl InitArgs {
    const fn has_operator(&self) -> bool {
        self.operator_certificate.is_some() || self.operator_client.is_some()
    }

    /// What may be reached from elsewhere needs an operator and encryption.
    fn reachable(&self) -> Result<(), Failure> {
        if self.listen.ip().is_loopback() || (self.has_operator() && self.tls_certificate.is_some()) {
            return Ok(());
        }
        let said = format!(
            "{} can be reached from elsewhere: name the operator with --operator-certificate or --operator-client, and the \
             certificate of the server with --tls-certificate and --tls-key; or listen on 127.0.0.1:{}",
            self.listen,
            self.listen.port()
        );
        Err(Failure::new(2, said))
    }
}

/// What was written is read as `serve` reads it, without this environment.
fn works(path: &Path, text: &str) -> Result<()> {
    let layers = Layers::of(&Sources::default(), Some((path.to_owned(), text.to_owned())))?;
    layers.logs()?;
    layers.serve()?;
    Ok(())
}

/// What to do next: the schema, the service, the first workspace.
fn next(args: &InitArgs, path: &Path, token: &Path) -> Vec<String> {
    let me = own_name();
    let config = if args.data == Path::new(".") { String::new() } else { format!(" --config {}", path.display()) };
    let sign_in = if args.has_operator() {
        let scheme = if args.tls_certificate.is_some() { "https" } else { "http" };
        let by_certificate = " --ca FILE --client-certificate FILE --client-key FILE";
        let by = if args.operator_certificate.is_some() { by_certificate } else { " --token-file FILE" };
        format!("--endpoint {scheme}://{}{by}", args.listen)
    } else {
        format!("--endpoint http://{} --token-file {}", args.listen, token.display())
    };
    let mut lines = vec![
        "Only its owner may read it: it holds the sealing key. Look through it; mail is captured until smtp.host is set.".to_owned(),
        format!("Next    {me} db migrate{config}"),
        format!("        {me} serve{config}"),
        format!("        {me} workspace create HANDLE --manager EMAIL {sign_in}"),
    ];
    if !args.has_operator() {
        let said = "The token can act as anybody, so it serves on loopback alone. For others: --operator-certificate or \
                    --operator-client.";
        lines.push(said.to_owned());
    }
    lines
}

/// The entries of one list, each with the keys that it gives.
type Entries = Vec<BTreeMap<&'static str, String>>;

/// What the file says beside its defaults.
struct Draft {
    /// By key, `_file` included, as they stand in the file.
    settings: BTreeMap<String, String>,
    services: Entries,
    issuers: Entries,
}

/// A text as the file has it: what JSON escapes, TOML reads.
fn quoted(text: &str) -> Result<String> {
    Ok(serde_json::to_string(text)?)
}

/// A path as the file has it. Not relative: the service may be started elsewhere.
fn place(path: &Path) -> Result<String> {
    match std::path::absolute(path)?.to_str() {
        Some(text) => quoted(text),
        None => bail!("{} cannot be written in a configuration; use a path in Unicode", path.display()),
    }
}

impl Draft {
    fn new(args: &InitArgs, folder: &Path, token: &Path) -> Result<Self> {
        let embedded = || format!("sqlite:{}", folder.join("domicile.db").display());
        let mut settings = BTreeMap::from([
            ("listen".to_owned(), quoted(&args.listen.to_string())?),
            ("database.url".to_owned(), quoted(&args.database_url.clone().unwrap_or_else(embedded))?),
            ("sealing.keys".to_owned(), quoted(&hex::encode(random::<32>()?))?),
            ("messages.folder".to_owned(), place(&folder.join("messages"))?),
        ]);
        let files: [(&str, &Option<PathBuf>); 3] = [
            ("tls.certificate", &args.tls_certificate),
            ("tls.key", &args.tls_key),
            ("tls.client_ca", &args.client_ca),
        ];
        for (key, path) in files {
            if let Some(path) = path {
                settings.insert(key.to_owned(), place(path)?);
            }
        }
        if !args.has_operator() {
            settings.insert("auth.development_token_file".to_owned(), place(token)?);
        }
        let (services, issuers) = operator(args)?;
        Ok(Self { settings, services, issuers })
    }

    fn text(&self) -> String {
        let mut text = String::from(
            "# The configuration of Domicile. A value that is commented out is the default, or an example where there is none.\n\
             # Variables (DOMICILE_SMTP_HOST) and flags (--set smtp.host=...) win over this file; `domicile config show` tells\n\
             # which value holds and why, `domicile config check` whether the service would start.\n\n",
        );
        let mut table = "";
        for row in SETTINGS {
            let (of, _) = row.key.split_once('.').unwrap_or(("", row.key));
            if of != table {
                table = of;
                // Writing to a String cannot fail, here and below.
                let _ = write!(text, "\n[{table}]\n");
            }
            self.setting(row, &mut text);
        }
        for (section, entries) in SECTIONS.iter().zip([&self.services, &self.issuers]) {
            for given in entries {
                entry(section, given, &mut text);
            }
            example(section, &mut text);
        }
        text
    }

    /// A setting with what it is for; commented out unless it was given.
    fn setting(&self, row: &Row, text: &mut String) {
        let file = format!("{}_file", row.key);
        let name = row.key.rsplit('.').next().unwrap_or(row.key);
        comment(row.help, "", text);
        let _ = match (self.settings.get(row.key), self.settings.get(&file)) {
            (Some(value), _) => writeln!(text, "{name} = {value}"),
            (None, Some(value)) => writeln!(text, "{name}_file = {value}"),
            (None, None) if row.secret => writeln!(text, "# {name}_file = \"\""),
            (None, None) => writeln!(text, "# {name} = {}", literal(row.default.unwrap_or_default())),
        };
    }
}

/// A default as the file has it.
fn literal(default: &str) -> String {
    match default.parse::<i64>() {
        Ok(number) => number.to_string(),
        Err(_) if matches!(default, "true" | "false") => default.to_owned(),
        // Defaults are plain words.
        Err(_) => format!("\"{default}\""),
    }
}

/// An entry with all its keys: those that are given, and the others commented out with an example.
fn entry(section: &Section, given: &BTreeMap<&'static str, String>, text: &mut String) {
    text.push('\n');
    comment(section.help, "", text);
    let _ = writeln!(text, "[[{}]]", section.name);
    for key in section.keys {
        comment(key.help, "", text);
        let _ = match given.get(key.name) {
            Some(value) => writeln!(text, "{} = {value}", key.name),
            None => writeln!(text, "# {} = {}", key.name, key.example),
        };
    }
}

/// The same as an example, commented out once where it would work so, and twice where it is one of several ways.
fn example(section: &Section, text: &mut String) {
    text.push('\n');
    comment(section.help, "", text);
    let _ = writeln!(text, "# [[{}]]", section.name);
    for key in section.keys {
        comment(key.help, "# ", text);
        let lead = if key.usual { "# " } else { "# # " };
        let _ = writeln!(text, "{lead}{} = {}", key.name, key.example);
    }
}

/// Words as comment lines of a readable width.
fn comment(words: &str, lead: &str, text: &mut String) {
    let mut line = String::new();
    for word in words.split(' ') {
        if !line.is_empty() && line.chars().count() + word.chars().count() + lead.len() + 3 > WIDTH {
            let _ = writeln!(text, "{lead}# {line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    let _ = writeln!(text, "{lead}# {line}");
}

/// The operator, and the issuer that names them.
fn operator(args: &InitArgs) -> Result<(Entries, Entries)> {
    if !args.has_operator() {
        return Ok((Vec::new(), Vec::new()));
    }
    let mut operator = BTreeMap::from([
        ("name", quoted("operator")?),
        ("operator", "true".to_owned()),
        ("methods", "[\"*\"]".to_owned()),
    ]);
    if let Some(name) = &args.operator_certificate {
        operator.insert("certificates", format!("[{}]", quoted(name)?));
    }
    let mut issuers = Vec::new();
    if let Some(client) = &args.operator_client {
        let (issuer, id) = (quoted(&client.issuer)?, quoted(&client.client_id)?);
        operator.insert("tokens", format!("[{{ issuer = {issuer}, client_id = {id} }}]"));
        let mut entry = BTreeMap::from([("url", issuer), ("audience", quoted(&args.audience)?)]);
        if let Some(keys) = &args.issuer_keys {
            entry.insert("jwks_url", quoted(keys)?);
        }
        issuers.push(entry);
    }
    Ok((vec![operator], issuers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_stands_in_the_file_and_everything_else_as_a_comment() {
        let settings = [
            ("listen", "\"127.0.0.1:1\""),
            ("database.url", "\"sqlite:d.db\""),
            ("auth.development_token_file", "\"token\""),
        ];
        let draft = Draft {
            settings: settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            services: Vec::new(),
            issuers: Vec::new(),
        };
        let text = draft.text();
        for line in [
            "listen = \"127.0.0.1:1\"",
            "# require_client_certificate = false",
            "url = \"sqlite:d.db\"",
            "# pool_size = 8",
            "development_token_file = \"token\"",
            "# password_file = \"\"",
            "[smtp]",
            "# [[services]]",
            "# # its name, unique",
        ] {
            assert!(text.lines().any(|written| written == line), "{line}: {text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH + 10), "{text}");
        for row in SETTINGS {
            let begins: String = row.help.chars().take(40).collect();
            assert!(text.contains(&format!("# {begins}")), "{}", row.key);
        }
        // Everything that is commented out is a setting, too.
        let shown: String = text
            .lines()
            .take_while(|line| *line != "# [[services]]")
            .map(|line| line.strip_prefix("# ").filter(|rest| rest.contains(" = ")).unwrap_or(line))
            .filter(|line| !line.ends_with("_file = \"\""))
            .fold(String::new(), |all, line| all + line + "\n");
        let token = tempfile::NamedTempFile::new().unwrap();
        let shown = shown.replace("_file = \"token\"", &format!("_file = {:?}", token.path()));
        Layers::of(&Sources::default(), Some(("domicile.toml".into(), shown))).map(|_| ()).unwrap();
    }
}
