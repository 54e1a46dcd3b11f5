//! Time zones by their IANA names, from the database in the binary.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::error::echo;

/// A time zone of the IANA database that is part of the binary.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Zone {
    time_zone: TimeZone,
}

/// Why a name stands for no time zone, in the words of Go's `time.LoadLocation`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UnknownZone {
    /// IANA has none of this name, in this spelling.
    #[error("unknown time zone {0}")]
    Unknown(String),
    /// As a path it would lead elsewhere.
    #[error("time: invalid location name")]
    InvalidName,
}

/// The longest name that is looked up; the longest of IANA has 32 bytes.
const NAME_BYTES_MAX: usize = 64;

/// What a machine is in whose zone nobody has set yet. A job that names it is in error.
const NO_ZONE: &str = "Factory";

impl Zone {
    /// Coordinated Universal Time.
    #[must_use]
    pub fn utc() -> Self {
        Self {
            time_zone: TimeZone::UTC,
        }
    }

    /// Finds a zone by name, as Go's `time.LoadLocation` does: the empty name and
    /// `UTC` are UTC, `Local` is `local`, and any other is a name (or a link) of the
    /// IANA database in exactly this spelling.
    ///
    /// # Errors
    ///
    /// If there is no such zone. No file is looked for, whatever the name.
    pub fn load(name: &str, local: &Self) -> Result<Self, UnknownZone> {
        match name {
            "" | "UTC" => return Ok(Self::utc()),
            "Local" => return Ok(local.clone()),
            _ => {}
        }
        if name.contains("..") || name.starts_with(['/', '\\']) {
            return Err(UnknownZone::InvalidName);
        }
        let unknown = || UnknownZone::Unknown(echo(name));
        if name.len() > NAME_BYTES_MAX || name == NO_ZONE {
            return Err(unknown());
        }
        let database = TimeZoneDatabase::bundled();
        let time_zone = database.get(name).map_err(|_| unknown())?;
        // The database looks names up whatever their case, and a file system does not.
        match time_zone.iana_name() == Some(name) {
            true => Ok(Self { time_zone }),
            false => Err(unknown()),
        }
    }

    /// The name of the zone.
    #[must_use]
    pub fn name(&self) -> &str {
        self.time_zone.iana_name().unwrap_or("UTC")
    }

    /// `at` as RFC 3339 writes it in this zone, cut to seconds: UTC gets a `Z`.
    #[must_use]
    pub fn rfc3339(&self, at: Timestamp) -> String {
        let offset = self.time_zone.to_offset(at);
        let local = offset.to_datetime(at).strftime("%Y-%m-%dT%H:%M:%S");
        // Offsets of a few seconds ended in 1972; RFC 3339 has none.
        let minutes = offset.seconds() / 60;
        match minutes {
            0 => format!("{local}Z"),
            _ => {
                let sign = if minutes < 0 { '-' } else { '+' };
                let minutes = minutes.abs();
                format!("{local}{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
        }
    }

    /// What a clock in this zone shows at `at`.
    #[must_use]
    pub fn civil(&self, at: Timestamp) -> DateTime {
        self.time_zone.to_offset(at).to_datetime(at)
    }

    /// Seconds to add to UTC at an instant given in seconds since 1970.
    pub(crate) fn offset(&self, seconds: i64) -> i64 {
        let clamped = seconds.clamp(
            Timestamp::MIN.as_second() + 1,
            Timestamp::MAX.as_second() - 1,
        );
        let at = Timestamp::from_second(clamped).unwrap_or(Timestamp::UNIX_EPOCH);
        self.time_zone.to_offset(at).seconds().into()
    }

    /// The first change of the offset after `seconds`, in seconds since 1970.
    pub(crate) fn change_after(&self, seconds: i64) -> Option<i64> {
        let at = Timestamp::from_second(seconds).ok()?;
        let mut changes = self.time_zone.following(at);
        Some(changes.next()?.timestamp().as_second())
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZoneDatabase;

    use super::{NO_ZONE, Zone};

    #[test]
    fn every_zone_of_the_database_loads_under_its_own_name_only() {
        let utc = Zone::utc();
        let mut count = 0;
        for name in TimeZoneDatabase::bundled().available() {
            if name.as_str() == NO_ZONE {
                continue;
            }
            assert_eq!(
                Zone::load(name.as_str(), &utc).unwrap().name(),
                name.as_str()
            );
            let lower = name.as_str().to_lowercase();
            assert!(lower == name.as_str() || Zone::load(&lower, &utc).is_err());
            count += 1;
        }
        // As many as Kubernetes' own list of names that must load.
        assert!(count >= 597, "{count} zones");
    }

    #[test]
    fn names_that_lead_elsewhere_are_no_zones() {
        let utc = Zone::utc();
        let hostile = [
            "../../etc/passwd",
            "/etc/localtime",
            "\\x",
            "utc",
            "local",
            "US/Pacific-New",
            " ",
            "Europe/Berlin ",
            "Europe",
            "Factory",
            "posix/Europe/Berlin",
            "\0",
            "EST5EDT,M3.2.0,M11.1.0",
            &"A/".repeat(1 << 19),
        ];
        for name in hostile {
            assert!(Zone::load(name, &utc).is_err(), "{name:?}");
        }
        let message = Zone::load("Mars/Base", &utc).unwrap_err().to_string();
        assert_eq!(message, "unknown time zone Mars/Base");
    }

    #[test]
    fn local_is_what_the_caller_says() {
        let tokyo = Zone::load("Asia/Tokyo", &Zone::utc()).unwrap();
        assert_eq!(Zone::load("Local", &tokyo).unwrap(), tokyo);
        assert_eq!(Zone::load("", &tokyo).unwrap(), Zone::utc());
        let at = "2026-01-01T00:00:00.9Z".parse().unwrap();
        assert_eq!(tokyo.rfc3339(at), "2026-01-01T09:00:00+09:00");
        assert_eq!(Zone::utc().rfc3339(at), "2026-01-01T00:00:00Z");
    }
}
