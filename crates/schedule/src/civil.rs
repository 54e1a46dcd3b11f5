//! Dates and times of a wall clock, as plain numbers.
//!
//! The search for a time asks for thousands of them, and must normalise as Go's
//! `time.Date` does, so the calendar is written out here (the proleptic Gregorian
//! one, in days since 1970-01-01).

/// What a clock on a wall shows, together with its calendar.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    /// 1 to 12.
    pub(crate) month: i64,
    /// 1 to 31.
    pub(crate) day: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
}

/// Seconds of a day.
pub(crate) const DAY: i64 = 86_400;

impl Civil {
    /// The reading of a clock that has run `seconds` since 1970-01-01T00:00:00.
    pub(crate) fn from_seconds(seconds: i64) -> Self {
        let (year, month, day) = date(seconds.div_euclid(DAY));
        let of_day = seconds.rem_euclid(DAY);
        Self {
            year,
            month,
            day,
            hour: of_day / 3600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
        }
    }

    /// The inverse of [`Civil::from_seconds`]. Months and days may be out of their
    /// range, as in Go: the 32nd of January is the 1st of February.
    pub(crate) fn to_seconds(self) -> i64 {
        let month0 = self.month - 1;
        let first = days(self.year + month0.div_euclid(12), month0.rem_euclid(12) + 1);
        (first + self.day - 1) * DAY + self.hour * 3600 + self.minute * 60 + self.second
    }

    /// Midnight at the begin of this day.
    pub(crate) fn midnight(self) -> Self {
        Self {
            hour: 0,
            minute: 0,
            second: 0,
            ..self
        }
    }

    /// 0 for Sunday to 6 for Saturday.
    pub(crate) fn weekday(self) -> i64 {
        // 1970-01-01 was a Thursday.
        (self.midnight().to_seconds().div_euclid(DAY) + 4).rem_euclid(7)
    }
}

/// Days from 1970-01-01 to the first of a month.
fn days(year: i64, month: i64) -> i64 {
    // Counted from March, so that the leap day is the last of its year.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day of a number of days since 1970-01-01.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::{Civil, DAY};

    #[test]
    fn the_calendar_agrees_with_jiff() {
        for day in (-800_000..800_000).step_by(17) {
            let seconds = day * DAY + 3_723;
            let ours = Civil::from_seconds(seconds);
            let theirs =
                jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::from_second(seconds).unwrap());
            assert_eq!(
                (ours.year, ours.month, ours.day),
                (
                    theirs.year().into(),
                    theirs.month().into(),
                    theirs.day().into()
                )
            );
            assert_eq!((ours.hour, ours.minute, ours.second), (1, 2, 3));
            let weekday = theirs.weekday().to_sunday_zero_offset();
            assert_eq!(ours.weekday(), weekday.into());
            assert_eq!(ours.to_seconds(), seconds);
        }
    }

    #[test]
    fn a_day_or_month_too_many_is_carried_over() {
        let mut day = Civil::from_seconds(0);
        (day.month, day.day) = (14, 32);
        let carried = Civil::from_seconds(day.to_seconds());
        assert_eq!((carried.year, carried.month, carried.day), (1971, 3, 4));
    }
}
