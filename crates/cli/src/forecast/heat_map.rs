//! The calendar: hours across, days down, a character for how many Jobs start.
//!
//! On a terminal with colours it is shaded. Elsewhere a digit says the same: each stands
//! for a ninth of the busiest hour.

use std::io::Write;

use console::style;
use jiff::civil::Weekday;
use wasmjob::api::schedule::Zone;
use wasmjob::forecast::Days;

use super::text::heading;

/// Days with a row of their own; of more, the days of the week are added up.
const ROWS_MAX: usize = 31;

/// A label, and Jobs by hour.
type Row = (String, [u64; 24]);

/// Prints the map, if anything starts.
pub(super) fn print(
    days: &Days,
    zone: &Zone,
    color: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let rows = rows(days);
    let Some(most) = rows.iter().flat_map(|(_, hours)| hours).copied().max() else {
        return Ok(());
    };
    if most == 0 {
        return Ok(());
    }
    let what = match days.len() > ROWS_MAX {
        true => "Jobs by hour of the week, all weeks together",
        false => "Jobs by hour",
    };
    heading(&format!("{what} ({})", zone.name()), color, out)?;
    let width = rows.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    let hours: String = (0..24)
        .step_by(6)
        .map(|hour| format!("{hour:<6}"))
        .collect();
    writeln!(out, "{:width$}  {}", "", hours.trim_end())?;
    for (label, hours) in &rows {
        let cells: String = hours.iter().map(|jobs| cell(*jobs, most, color)).collect();
        let sum: u64 = hours.iter().sum();
        writeln!(out, "{label:width$}  {cells}  {sum}")?;
    }
    let legend = match color {
        true => format!("the brighter, the more; the busiest hour has {most}"),
        false => format!(". none, 1 to 9 in ninths of the busiest hour, which has {most}"),
    };
    writeln!(out, "{:width$}  {legend}", "")?;
    Ok(())
}

fn rows(days: &Days) -> Vec<Row> {
    if days.len() <= ROWS_MAX {
        let row = |(day, hours): (&jiff::civil::Date, &[u32; 24])| {
            let label = day.strftime("%a %Y-%m-%d").to_string();
            (label, hours.map(u64::from))
        };
        return days.iter().map(row).collect();
    }
    let mut week = WEEK.map(|(_, label)| (label.to_owned(), [0_u64; 24]));
    for (day, hours) in days {
        let place = WEEK
            .iter()
            .position(|(weekday, _)| *weekday == day.weekday());
        let Some((_, sums)) = place.and_then(|place| week.get_mut(place)) else {
            continue;
        };
        for (sum, jobs) in sums.iter_mut().zip(hours) {
            *sum = sum.saturating_add((*jobs).into());
        }
    }
    week.to_vec()
}

const WEEK: [(Weekday, &str); 7] = [
    (Weekday::Monday, "Mon"),
    (Weekday::Tuesday, "Tue"),
    (Weekday::Wednesday, "Wed"),
    (Weekday::Thursday, "Thu"),
    (Weekday::Friday, "Fri"),
    (Weekday::Saturday, "Sat"),
    (Weekday::Sunday, "Sun"),
];

/// Shades of green of a terminal's 256 colours, faint to bright.
const SHADES: [u8; 9] = [22, 28, 34, 40, 46, 82, 118, 154, 190];

fn cell(jobs: u64, most: u64, color: bool) -> String {
    // From 1 to 9: the ninth that it reaches into.
    let ninth = u128::from(jobs) * 9;
    let ninth = usize::try_from(ninth.div_ceil(u128::from(most.max(1))))
        .unwrap_or(0)
        .min(9);
    match ninth.checked_sub(1).and_then(|shade| SHADES.get(shade)) {
        None if color => style("·").dim().force_styling(true).to_string(),
        None => ".".to_owned(),
        Some(shade) if color => style("█").color256(*shade).force_styling(true).to_string(),
        Some(_) => ninth.to_string(),
    }
}
