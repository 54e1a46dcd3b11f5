//! What a person would like to know of what was done to the keys.

use std::fmt;
use std::path::PathBuf;

/// Why a certificate was replaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// There was none.
    None,
    /// It could not be read, or its key did not fit.
    Damaged,
    /// It lacked a name that the server has now.
    NamesChanged,
    /// Less than 30 days, or a third of its lifetime, were left.
    ExpiresSoon,
    /// It starts in the future: a clock was set back.
    NotYetValid,
    /// An authority signed it that we do not have.
    OtherAuthority,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "there was none",
            Self::Damaged => "the old one could not be read",
            Self::NamesChanged => "the old one lacked a name",
            Self::ExpiresSoon => "the old one expires soon",
            Self::NotYetValid => "the old one starts in the future",
            Self::OtherAuthority => "another authority signed the old one",
        })
    }
}

/// Something that a person would like to find in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// This is the first start: there are new authorities.
    MadeAuthorities,
    /// The server has a new certificate.
    ServerCertificate(Reason),
    /// The administrator has a new certificate; the kubeconfig must follow.
    AdminCertificate(Reason),
    /// A certificate is due for renewal and could not be renewed; the old one counts
    /// for now.
    NotRenewed {
        /// `server` or `admin`.
        name: &'static str,
        /// Why not.
        error: String,
    },
    /// The host's name cannot stand in a certificate, and was left out.
    HostnameLeftOut(String),
    /// Others could read this; now they cannot.
    MadePrivate(PathBuf),
    /// The authority in this file is not valid at this time, so clients refuse what it signed.
    AuthorityNotValid(PathBuf),
    /// The authority in this file has less than a year left.
    AuthorityExpiresSoon(PathBuf),
}

impl fmt::Display for Notice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MadeAuthorities => formatter.write_str("made new certificate authorities"),
            Self::ServerCertificate(reason) => {
                write!(formatter, "made a server certificate: {reason}")
            }
            Self::AdminCertificate(reason) => {
                write!(
                    formatter,
                    "made a certificate for the administrator: {reason}"
                )
            }
            Self::NotRenewed { name, error } => {
                write!(
                    formatter,
                    "the certificate `{name}` is due for renewal: {error}"
                )
            }
            Self::HostnameLeftOut(name) => {
                write!(
                    formatter,
                    "the server certificate is not for the host name {name:?}"
                )
            }
            Self::MadePrivate(path) => {
                write!(
                    formatter,
                    "others could read `{}`; now they cannot",
                    path.display()
                )
            }
            Self::AuthorityNotValid(path) => write!(
                formatter,
                "the certificate in `{}` is not valid at this time: look at the clock",
                path.display()
            ),
            Self::AuthorityExpiresSoon(path) => write!(
                formatter,
                "the authority in `{}` expires in less than a year",
                path.display()
            ),
        }
    }
}
