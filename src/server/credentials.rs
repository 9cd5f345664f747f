//! Whom the configuration trusts beside those who have a key of ours: certificates, and issuers of tokens.

use std::sync::Arc;

use anyhow::Context as _;

use super::config;
use super::jwks::Fetched;
use super::refusal::Refusal;
use crate::domain::access::{Principal, Scope};
use crate::rpc::{CertificateName, CertificateRule, Credentials, ExpectedClaims, Issuer};

/// What the configuration trusts, and from where the keys of issuers come while the server runs.
pub(super) struct Trusted {
    /// Whom.
    pub(super) credentials: Credentials,
    /// Those whose keys are in files.
    pub(super) files: Vec<IssuerFile>,
    /// Those whose keys are fetched from them.
    pub(super) fetched: Vec<Fetched>,
}

/// An issuer, and the file that its keys are read from.
pub(super) struct IssuerFile {
    /// The issuer.
    pub(super) issuer: Arc<Issuer>,
    /// Its JWKS.
    pub(super) path: String,
}

/// What the configuration trusts.
///
/// # Errors
/// [`Refusal`] for an entry that cannot be one, with what would be right.
pub(super) fn load(auth: &config::Auth) -> anyhow::Result<Trusted> {
    let certificates = auth.certificates.iter().enumerate().map(|(position, entry)| {
        rule(entry).map_err(|fault| Refusal::new(format!("auth.certificates[{position}]: {fault:#}")))
    });
    let certificates = certificates.collect::<Result<Vec<_>, _>>()?.into();
    let (mut issuers, mut files, mut fetched) = (Vec::new(), Vec::new(), Vec::new());
    for (position, entry) in auth.issuers.iter().enumerate() {
        let refuse = |fault: anyhow::Error| Refusal::new(format!("auth.issuers[{position}]: {fault:#}"));
        let claims = claims(entry).map_err(refuse)?;
        let issuer = if entry.jwks_url.is_empty() {
            let file = from_file(claims, &entry.jwks_file).map_err(refuse)?;
            let issuer = Arc::clone(&file.issuer);
            files.push(file);
            issuer
        } else {
            let issuer = Arc::new(Issuer::without_keys(claims));
            let source = Fetched::new(Arc::clone(&issuer), &entry.jwks_url, &entry.jwks_ca_file);
            fetched.push(source.map_err(refuse)?);
            issuer
        };
        issuers.push(issuer);
    }
    Ok(Trusted { credentials: Credentials { certificates, issuers: issuers.into() }, files, fetched })
}

fn rule(entry: &config::Certificate) -> anyhow::Result<CertificateRule> {
    let name = match (entry.fingerprint.as_str(), entry.san.as_str()) {
        ("", "") => anyhow::bail!("needs fingerprint or san"),
        ("", san) => CertificateName::SubjectAltName(san.to_owned()),
        (fingerprint, "") => CertificateName::Fingerprint(read_fingerprint(fingerprint)?),
        _ => anyhow::bail!("must have fingerprint or san and not both"),
    };
    let workspace = entry.workspace.parse().context("workspace")?;
    anyhow::ensure!(!entry.scopes.is_empty(), "scopes must name at least one scope");
    let scopes = entry.scopes.iter().map(|name| name.parse::<Scope>()).collect::<Result<_, _>>().context("scopes")?;
    let principal = Arc::new(Principal { workspace, scopes, name: name.to_string().into() });
    Ok(CertificateRule { name, principal })
}

/// A SHA-256 digest as `openssl x509 -noout -fingerprint -sha256` prints it, with or without colons.
fn read_fingerprint(text: &str) -> anyhow::Result<[u8; 32]> {
    let wrong = || anyhow::anyhow!("fingerprint must be the 64 hexadecimal digits of a SHA-256 digest");
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    let digits: [u8; 64] = digits.try_into().map_err(|_| wrong())?;
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(digits.as_chunks::<2>().0) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = digit(0).ok_or_else(wrong)? << 4 | digit(1).ok_or_else(wrong)?;
    }
    Ok(digest)
}

fn claims(entry: &config::TokenIssuer) -> anyhow::Result<ExpectedClaims> {
    for (name, value) in [("issuer", &entry.issuer), ("audience", &entry.audience)] {
        anyhow::ensure!(!value.is_empty(), "{name} must not be empty");
    }
    let sources = usize::from(!entry.jwks_file.is_empty()) + usize::from(!entry.jwks_url.is_empty());
    anyhow::ensure!(sources == 1, "needs either jwks_file or jwks_url");
    anyhow::ensure!(entry.jwks_ca_file.is_empty() || !entry.jwks_url.is_empty(), "jwks_ca_file is for jwks_url only");
    Ok(ExpectedClaims {
        issuer: entry.issuer.clone(),
        audience: entry.audience.clone(),
        workspace: entry.workspace_claim.clone(),
        scopes: entry.scopes_claim.clone(),
    })
}

fn from_file(claims: ExpectedClaims, path: &str) -> anyhow::Result<IssuerFile> {
    let jwks = std::fs::read(path).with_context(|| format!("reading {path}"))?;
    let issuer = Issuer::new(claims, &jwks).with_context(|| path.to_owned())?;
    Ok(IssuerFile { issuer: Arc::new(issuer), path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        let auth: config::Auth = toml::from_str(text).expect("the form is right");
        load(&auth).map(drop).expect_err("refused").to_string()
    }

    #[test]
    fn an_entry_that_cannot_be_one_is_refused_with_its_place() {
        for (entry, says) in [
            ("workspace = \"acme\"\nscopes = [\"admin\"]", "needs fingerprint or san"),
            ("san = \"a\"\nfingerprint = \"b\"\nworkspace = \"acme\"\nscopes = [\"admin\"]", "not both"),
            ("fingerprint = \"ab:cd\"\nworkspace = \"acme\"\nscopes = [\"admin\"]", "64 hexadecimal digits"),
            ("san = \"a\"\nworkspace = \"A\"\nscopes = [\"admin\"]", "workspace"),
            ("san = \"a\"\nworkspace = \"acme\"\nscopes = []", "at least one scope"),
            ("san = \"a\"\nworkspace = \"acme\"\nscopes = [\"root\"]", "a scope is one of"),
        ] {
            let refused = refusal(&format!("[[certificates]]\n{entry}"));
            assert!(refused.contains("auth.certificates[0]") && refused.contains(says), "{refused}");
        }
        for (source, says) in [
            ("jwks_file = \"/nowhere\"", "/nowhere"),
            ("", "either jwks_file or jwks_url"),
            ("jwks_file = \"a\"\njwks_url = \"https://i/keys\"", "either jwks_file or jwks_url"),
            ("jwks_file = \"a\"\njwks_ca_file = \"b\"", "for jwks_url only"),
            ("jwks_url = \"http://i/keys\"", "must begin with https://"),
            ("jwks_url = \"https://i/keys\"\njwks_ca_file = \"/nowhere\"", "/nowhere"),
        ] {
            let refused = refusal(&format!("[[issuers]]\nissuer = \"https://i\"\naudience = \"rapport\"\n{source}"));
            assert!(refused.contains("auth.issuers[0]") && refused.contains(says), "{refused}");
        }
    }

    #[test]
    fn a_fingerprint_is_read_as_openssl_prints_it() {
        let printed = ["0A"; 32].join(":");
        assert_eq!(read_fingerprint(&printed).expect("a digest"), [10; 32]);
        assert_eq!(read_fingerprint(&"0a".repeat(32)).expect("a digest"), [10; 32]);
        read_fingerprint(&"0g".repeat(32)).expect_err("no digit");
    }
}
