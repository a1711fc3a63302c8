//! One GET at a time: time-outs, redirects, proxies, and a token that stays with its host.
//!
//! | what            | rule                                                                                                   |
//! |-----------------|--------------------------------------------------------------------------------------------------------|
//! | token           | only to the endpoint's own scheme, host and port; over plain HTTP only to this machine                 |
//! | redirects       | ten at most; from HTTPS never to HTTP                                                                  |
//! | proxy           | `http_proxy`, `https_proxy`, else `all_proxy`, or in capitals; not for what `no_proxy` names            |
//! | certificates    | Mozilla's; those of `SSL_CERT_FILE` or `REQUESTS_CA_BUNDLE` instead, if set                             |

use anyhow::{Context, anyhow};
use std::net::IpAddr;
use std::time::Duration;
use ureq::http::{Response, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, Error, Proxy};

const REDIRECTS: usize = 10;

/// Why there is no answer.
pub enum Trouble {
    /// Another try may do better, after this long if the server says so.
    Passing(String, Option<Duration>),
    /// None will.
    Final(anyhow::Error),
}

impl From<anyhow::Error> for Trouble {
    fn from(error: anyhow::Error) -> Self {
        Self::Final(error)
    }
}

/// How long to wait for what.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Patience {
    /// For a connection and for the answer's head.
    pub answer: Duration,
    /// For the next bytes.
    pub stall: Duration,
}

/// Speaks HTTP.
pub struct Client {
    agent: Agent,
    endpoint: Uri,
    token: Option<String>,
    proxies: Proxies,
}

/// An answer, and where it came from.
pub struct Answer {
    pub from: Uri,
    pub response: Response<Body>,
}

impl Client {
    /// For an endpoint and the token that it alone may see.
    ///
    /// # Errors
    /// If the endpoint is no address, or the certificates that the environment names cannot be read.
    pub fn new(
        endpoint: &str,
        token: Option<String>,
        patience: Patience,
        variable: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Self> {
        let wrong = || format!("HF_ENDPOINT is {endpoint}; expected https://HOST, as https://huggingface.co");
        let endpoint: Uri = endpoint.parse().with_context(wrong)?;
        anyhow::ensure!(matches!(endpoint.scheme_str(), Some("http" | "https")) && endpoint.host().is_some(), wrong());
        if let Some(token) = &token {
            anyhow::ensure!(
                token.bytes().all(|b| b.is_ascii_graphic()),
                "the token of HF_TOKEN or its file holds characters that no token has"
            );
        }
        let mut config = Agent::config_builder()
            .user_agent(concat!("deepcut/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_resolve(Some(patience.answer))
            .timeout_connect(Some(patience.answer))
            .timeout_send_request(Some(patience.answer))
            .timeout_recv_response(Some(patience.answer))
            .timeout_per_read(Some(patience.stall));
        if let Some((name, path)) = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"].iter().find_map(|name| Some((name, variable(name)?)))
        {
            let bytes = std::fs::read(&path).with_context(|| format!("cannot read the certificates {path} ({name})"))?;
            let certificates: Vec<_> = parse_pem(&bytes)
                .filter_map(|item| if let Ok(PemItem::Certificate(certificate)) = item { Some(certificate) } else { None })
                .collect();
            anyhow::ensure!(!certificates.is_empty(), "{path} ({name}) holds no certificate");
            let roots = RootCerts::Specific(std::sync::Arc::new(certificates));
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        Ok(Self { agent: config.build().new_agent(), endpoint, token, proxies: Proxies::new(variable) })
    }

    /// Whether a request there carries the token.
    fn may_see_token(&self, url: &Uri) -> bool {
        let private = url.scheme_str() == Some("https") || url.host().is_some_and(is_this_machine);
        private && origin(url) == origin(&self.endpoint)
    }

    /// The token that would not be sent even to the endpoint, if there is one.
    pub fn withholds_token(&self) -> bool {
        self.token.is_some() && !self.may_see_token(&self.endpoint)
    }

    /// Asks for a range of bytes, following redirects until `enough` of an answer.
    ///
    /// # Errors
    /// [`Trouble`] if there is no answer, or its status is an error.
    pub fn get(&self, url: &Uri, range: &str, enough: impl Fn(&Response<Body>) -> bool) -> Result<Answer, Trouble> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS {
            let mut request = self.agent.get(&url).header("Range", range).header("Accept-Encoding", "identity");
            if let Some(token) = self.token.as_ref().filter(|_| self.may_see_token(&url)) {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            let proxy = self.proxies.of(&url)?;
            let response = request.config().proxy(proxy).build().call().map_err(|error| trouble(&url, error))?;
            let status = response.status();
            if !status.is_redirection() || enough(&response) {
                // 416: there is no such range, which the caller may mend.
                return if status.is_success() || status.is_redirection() || status.as_u16() == 416 {
                    Ok(Answer { from: url, response })
                } else {
                    Err(self.refusal(&url, &response))
                };
            }
            url = target(&url, &response)?;
        }
        Err(Trouble::Final(anyhow!("{} redirects more than {REDIRECTS} times", self.endpoint)))
    }

    /// What an error's status means.
    fn refusal(&self, url: &Uri, response: &Response<Body>) -> Trouble {
        let status = response.status();
        let asked = place(url);
        let says = header(response, "x-error-message").map_or_else(String::new, |text| {
            let text: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
            format!(", \"{text}\"")
        });
        if status.is_server_error() || [408, 425, 429].contains(&status.as_u16()) {
            let after = header(response, "retry-after").and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
            return Trouble::Passing(format!("{asked} answers {status}{says}"), after);
        }
        let remedy = match status.as_u16() {
            401 | 403 if self.withholds_token() => {
                "; the token is not sent over plain HTTP: give HF_ENDPOINT an https:// address"
            }
            401 | 403 => "; set HF_TOKEN to a token that may read it, after accepting its terms on its page if it has any",
            404 => "; see to HF_ENDPOINT, if it is set",
            407 => "; the proxy wants a name and password: http://NAME:PASSWORD@HOST:PORT",
            _ => "",
        };
        Trouble::Final(anyhow!("{asked} answers {status}{says}{remedy}"))
    }
}

/// An address without what its query may keep secret.
fn place(url: &Uri) -> String {
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{}{port}{}", url.scheme_str().unwrap_or("?"), url.host().unwrap_or("?"), url.path())
}

/// The text of a header.
pub fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

fn origin(url: &Uri) -> (Option<&str>, Option<String>, u16) {
    let port = url.port_u16().unwrap_or(if url.scheme_str() == Some("https") { 443 } else { 80 });
    (url.scheme_str(), url.host().map(str::to_ascii_lowercase), port)
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Where a redirect leads.
///
/// # Errors
/// [`Trouble::Final`] if that is nowhere, or away from HTTPS.
pub fn target(from: &Uri, response: &Response<Body>) -> Result<Uri, Trouble> {
    let refuse = |what: &str| Trouble::Final(anyhow!("{} redirects {what}; see to HF_ENDPOINT", place(from)));
    let location = header(response, "location").ok_or_else(|| refuse("to nowhere"))?;
    let (scheme, authority) = (from.scheme_str().unwrap_or("https"), from.authority().map_or("", |a| a.as_str()));
    let absolute = if location.contains("://") {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    let to: Uri = absolute.parse().map_err(|_| refuse("to something that is no address"))?;
    match (scheme, to.scheme_str()) {
        (_, Some("https")) | ("http", Some("http")) => Ok(to),
        _ => Err(refuse("away from HTTPS")),
    }
}

fn trouble(url: &Uri, error: Error) -> Trouble {
    let asked = place(url);
    match error {
        Error::Timeout(_) => Trouble::Passing(format!("{asked} does not answer"), None),
        Error::HostNotFound => Trouble::Passing(format!("the host of {asked} is not found"), None),
        // What rustls says of a certificate is invalid data.
        Error::Io(error) if error.kind() != std::io::ErrorKind::InvalidData => {
            Trouble::Passing(format!("{asked}: {error}"), None)
        }
        Error::ConnectionFailed => Trouble::Passing(format!("no connection to {asked}"), None),
        other => Trouble::Final(anyhow!(other).context(format!("cannot ask {asked}"))),
    }
}

/// The proxies that the environment names.
struct Proxies {
    http: Option<String>,
    https: Option<String>,
    except: Vec<String>,
}

impl Proxies {
    fn new(variable: impl Fn(&str) -> Option<String>) -> Self {
        let either = |name: &str| variable(name).or_else(|| variable(&name.to_ascii_uppercase()));
        let every = either("all_proxy");
        Self {
            http: either("http_proxy").or_else(|| every.clone()),
            https: either("https_proxy").or(every),
            except: either("no_proxy").unwrap_or_default().split(',').map(|entry| entry.trim().to_ascii_lowercase()).collect(),
        }
    }

    fn of(&self, url: &Uri) -> anyhow::Result<Option<Proxy>> {
        let named = if url.scheme_str() == Some("https") { &self.https } else { &self.http };
        let Some(text) = named.as_ref().filter(|_| !self.is_excepted(url)) else { return Ok(None) };
        let scheme = text.split_once("://").map_or("http", |(scheme, _)| scheme);
        anyhow::ensure!(
            ["http", "https"].contains(&scheme),
            "the environment names the proxy {scheme}://…; only http:// and https:// proxies are known"
        );
        Proxy::new(text).map(Some).context("the environment names a proxy that is no address; expected http://HOST:PORT")
    }

    /// Whether `no_proxy` names the host: itself, one above it, with its port, or everything.
    fn is_excepted(&self, url: &Uri) -> bool {
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
        let port = origin(url).2.to_string();
        self.except.iter().filter(|entry| !entry.is_empty()).any(|entry| {
            let (name, of_port) = match entry.rsplit_once(':') {
                Some((name, digits)) if !name.contains(':') && digits.parse::<u16>().is_ok() => (name, Some(digits)),
                _ => (entry.as_str(), None),
            };
            let name = name.trim_start_matches('*').trim_start_matches('.').trim_matches(['[', ']']);
            let above = || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
            of_port.is_none_or(|digits| digits == port) && (entry == "*" || (!name.is_empty() && (host == name || above())))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn client(endpoint: &str) -> anyhow::Result<Client> {
        let patience = Patience { answer: Duration::from_secs(1), stall: Duration::from_secs(1) };
        Client::new(endpoint, Some("secret".into()), patience, |_| None)
    }

    #[test]
    fn the_token_stays_with_its_host() {
        let sees = |endpoint: &str, url: &str| client(endpoint).unwrap().may_see_token(&url.parse().unwrap());
        assert!(sees("https://hub", "https://HUB/a/b") && sees("https://hub", "https://hub:443/a"));
        assert!(sees("http://127.0.0.1:80", "http://127.0.0.1/a") && sees("http://[::1]:8", "http://[::1]:8/a"));
        for (endpoint, url) in [
            ("https://hub", "https://cdn.hub/a"),
            ("https://hub", "https://hub:8443/a"),
            ("https://hub", "https://hub.evil/a"),
            ("https://hub", "http://hub/a"),
            ("http://hub", "http://hub/a"),
            ("http://127.0.0.1.evil", "http://127.0.0.1.evil/a"),
            ("http://localhost", "http://127.0.0.1/a"),
        ] {
            assert!(!sees(endpoint, url), "{endpoint} {url}");
        }
        assert!(client("http://hub").unwrap().withholds_token() && !client("https://hub").unwrap().withholds_token());
        for endpoint in ["hub", "ftp://hub", "https://", ""] {
            assert!(client(endpoint).err().unwrap().to_string().contains("HF_ENDPOINT"), "{endpoint}");
        }
    }

    #[test]
    fn redirects_never_leave_https() {
        let to = |from: &str, location: &str| {
            let response = Response::builder().status(302).header("Location", location).body(Body::builder().data(""));
            target(&from.parse().unwrap(), &response.unwrap()).map(|url| url.to_string()).ok()
        };
        assert_eq!(to("https://hub/a/b?c", "/store?x=1").as_deref(), Some("https://hub/store?x=1"));
        assert_eq!(to("https://hub/a/b", "//cdn/s").as_deref(), Some("https://cdn/s"));
        assert_eq!(to("https://hub:8/a/b", "c").as_deref(), Some("https://hub:8/a/c"));
        assert_eq!(to("http://hub/a", "http://cdn/s").as_deref(), Some("http://cdn/s"));
        assert_eq!(to("https://hub/a", "http://cdn/s"), None);
        assert_eq!(to("http://hub/a", "file:///etc/passwd"), None);
        assert_eq!(to("http://hub/a", "http://a b"), None);
    }

    #[test]
    fn proxies_are_the_environments() {
        let variables = |set: &'static [(&str, &str)]| {
            Proxies::new(move |name| set.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).into()))
        };
        let host = |proxies: &Proxies, url: &str| proxies.of(&url.parse().unwrap()).unwrap().map(|p| p.host().to_owned());
        let proxies =
            variables(&[("HTTPS_PROXY", "http://one:3128"), ("ALL_PROXY", "two"), ("no_proxy", "hub, .in.side,10.0.0.1:8080")]);
        assert_eq!(host(&proxies, "https://huggingface.co/a").as_deref(), Some("one"));
        assert_eq!(host(&proxies, "http://huggingface.co/a").as_deref(), Some("two"));
        for url in ["https://hub/a", "https://a.hub", "https://in.side", "http://x.in.side", "http://10.0.0.1:8080/"] {
            assert_eq!(host(&proxies, url), None, "{url}");
        }
        assert!(["https://thehub/a", "http://10.0.0.1/"].iter().all(|url| host(&proxies, url).is_some()));
        assert_eq!(host(&variables(&[("all_proxy", "one"), ("NO_PROXY", "*")]), "https://hub"), None);
        let socks = variables(&[("https_proxy", "socks5://one:1080")]);
        assert!(socks.of(&"https://hub".parse().unwrap()).unwrap_err().to_string().contains("socks5"));
    }
}
