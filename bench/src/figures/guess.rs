//! Whether the time of an answer tells who has an account: R9. Searches for people who exist and for nobody are sent in turns
//! drawn by chance over one connection, and the figure is what somebody would win who guesses from the time of one of them.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use domicile_proto::v1::LookupOutcome;

use super::{Bench, Size, single};
use crate::figure::{Beside, Measured, figure};
use crate::load::Fault;
use crate::stats::{Interval, Verdict, advantage, float, median};
use crate::target::{LookupTarget, Wire};
use crate::world::{Account, World, mix};

/// Of each kind.
const SAMPLES: u64 = 10_000;
/// Not counted: the first ones fill caches.
const WARM_UP: u64 = 500;

/// People of elsewhere who can be linked to a workspace, all different, and as many addresses like theirs that nobody has.
fn addresses(world: &World, host: u64, count: u64) -> Result<(Vec<String>, Vec<String>)> {
    let usable = |user: &u64| {
        let home = world.home(*user);
        let elsewhere = world.memberships(*user).iter().all(|member| member.workspace != host);
        world.account(*user) == Account::Active && !world.is_suspended(home) && elsewhere
    };
    let wanted = usize::try_from(count)?;
    let there: Vec<String> = (0..world.users).rev().filter(usable).take(wanted).map(|user| world.email(user)).collect();
    if there.len() < wanted {
        bail!("{} people of {} can be found, and {count} are needed", there.len(), world.users);
    }
    Ok((there, (world.users..world.users + count).map(|user| world.email(user)).collect()))
}

fn microseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

pub(super) async fn by_time(bench: &Bench) -> Result<Measured> {
    let folder = bench.work_folder("R9")?;
    let path = bench.copy(Size::Middle, &folder, "data.db").await?;
    let server = bench.sqlite_server(&path, &folder).await?;
    let world = bench.world(Size::Middle);
    let samples = SAMPLES.min(world.users / 4);
    let (found, missing) = addresses(world, 0, samples)?;
    let target = LookupTarget::new(Wire::connect(&server, 1).await?, world.clone());
    let timed = async |email: &str, right| -> Result<f64> {
        let sent = Instant::now();
        match target.look(0, 0, email.to_owned(), right).await {
            Ok(_) => Ok(microseconds(sent.elapsed())),
            Err(Fault::Failed(why) | Fault::Wrong(why) | Fault::TurnedAway(why)) => bail!("{why}"),
        }
    };
    for email in found.iter().rev().take(usize::try_from(WARM_UP)?) {
        timed(email, LookupOutcome::Found).await?;
    }
    let (mut hits, mut misses) = (Vec::new(), Vec::new());
    for (number, (there, nowhere)) in (0_u64..).zip(found.iter().zip(&missing)) {
        // Each pair in an order of its own, so that nothing that comes and goes meets one kind more often.
        let first_hit = mix(world.seed ^ mix(number)).is_multiple_of(2);
        if first_hit {
            hits.push(timed(there, LookupOutcome::Found).await?);
        }
        misses.push(timed(nowhere, LookupOutcome::NotFound).await?);
        if !first_hit {
            hits.push(timed(there, LookupOutcome::Found).await?);
        }
    }
    server.stop().await?;
    let told = advantage(&hits, &misses);
    let setting = format!(
        "{} searches each of people who exist and of nobody, in turns, {} users, one client, SQLite; 0 % is a coin, 100 % is \
         knowing",
        hits.len(),
        world.users
    );
    let mut measured = single("R9", setting, None, 100.0 * told.advantage)?;
    measured.interval = Interval {
        low: 100.0 * (told.advantage - told.margin).max(0.0),
        high: 100.0 * (told.advantage + told.margin),
        coverage: 95.0,
        ..measured.interval
    };
    if let Some(figure) = figure("R9") {
        measured.verdict = Verdict::of(figure.better, figure.bar, figure.goal, &measured.interval);
    }
    let row = |name: &str, subject: String, control: String| Beside { name: name.to_owned(), subject, control };
    measured.beside = vec![
        row(
            "median of those who exist, of nobody, us",
            format!("{:.1}", median(&hits)),
            format!("{:.1}", median(&misses)),
        ),
        row("chance of such a difference without a cause (Mann-Whitney)", format!("{:.3}", told.chance), String::new()),
        row("samples", format!("{:.0}", float(samples)), format!("{:.0}", float(samples))),
    ];
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_exist_and_those_who_do_not_look_alike() {
        let world = World::new(4_000, 7);
        let (there, nowhere) = addresses(&world, 0, 500).unwrap();
        let known: std::collections::BTreeSet<String> = (0..world.users).map(|user| world.email(user)).collect();
        assert!(there.iter().all(|email| known.contains(email)) && !nowhere.iter().any(|email| known.contains(email)));
        let length = |all: &[String]| all.iter().map(String::len).sum::<usize>() / all.len();
        assert!(length(&there).abs_diff(length(&nowhere)) <= 1);
        assert!(addresses(&world, 0, 4_001).is_err());
    }
}
