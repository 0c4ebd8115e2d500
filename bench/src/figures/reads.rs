//! What size costs: lookups in small and large data, late pages, bytes. P8, P9, P10.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

use super::access::served;
use super::{Bench, Size, measured, ratios, single, sized};
use crate::control::small_schema;
use crate::figure::{Beside, Measured};
use crate::load::{Width, closed};
use crate::stats::{Interval, float};
use crate::target::{LookupTarget, PageTarget, Wire};
use crate::work::fsync_floor_us;
use crate::world::{Member, World};

const ONE: Width = Width { connections: 1, in_flight: 1 };

pub(super) async fn lookup(bench: &Bench) -> Result<Measured> {
    let folder = bench.work_folder("P8")?;
    let small = bench.copy(Size::Small, &folder, "small.db").await?;
    let large = bench.large().await?;
    let small_server = bench.sqlite_server(&small, &folder.join("small")).await?;
    let large_server = bench.sqlite_server(large, &folder.join("large")).await?;
    let target = async |server, size| -> Result<LookupTarget> {
        Ok(LookupTarget::new(Wire::connect(server, 1).await?, bench.world(size).clone()))
    };
    let (in_small, in_large) = (target(&small_server, Size::Small).await?, target(&large_server, Size::Large).await?);
    closed(&in_small, ONE, bench.time() / 2, 0).await?;
    closed(&in_large, ONE, bench.time() / 2, 0).await?;
    let floor = fsync_floor_us(&folder)?;
    let first = |round: usize| (u64::try_from(round).unwrap_or(0) + 1) * 1_000_003;
    let rounds = bench
        .rounds(
            "P8",
            async |round| Ok(served(&small_server, &in_small, ONE, bench.time(), first(round)).await?.0),
            async |round| Ok(served(&large_server, &in_large, ONE, bench.time(), first(round)).await?.0),
        )
        .await?;
    small_server.stop().await?;
    large_server.stop().await?;
    let users = bench.world(Size::Large).users;
    let setting = format!(
        "{users} users against {}, one client, SQLite; p50 holds the commit of the audit row, so CPU decides",
        bench.world(Size::Small).users
    );
    let mut figure = sized("P8", users, measured("P8", setting, rounds, |side| side.cpu_us)?);
    let p50 = Interval::of(&ratios(&figure.rounds, |side| side.p50_us));
    figure.beside.push(Beside {
        name: "p50, subject to control".to_owned(),
        subject: format!("{:.2}x, {:.2} to {:.2}", p50.median, p50.low, p50.high),
        control: String::new(),
    });
    Ok(Measured { fsync_us: Some(floor), ..figure })
}

/// The page that is asked for.
const PAGE: usize = 10_000;
/// Members of a page, where the workspace has enough for so many pages.
const PAGE_SIZE: usize = 20;
/// So much may the answers of two pages differ: later users have longer numbers in their names.
const MOST_APART: f64 = 0.15;

/// What decides the work of a page beside its place: Externals, and the homes that must be asked what they disclose.
fn make_up(world: &World, page: &[Member]) -> (usize, usize) {
    let externals: Vec<&Member> = page.iter().filter(|member| member.visit.is_some()).collect();
    (externals.len(), externals.iter().map(|member| world.home(member.user)).collect::<BTreeSet<_>>().len())
}

/// The last page up to `page`, in the latter half of the way to it, that is made up as the first one; pages count from 1.
fn alike(world: &World, members: &[Member], size: usize, page: usize) -> Option<usize> {
    let of = |number: usize| members.get((number - 1) * size..number * size).map(|page| make_up(world, page));
    let first = of(1)?;
    (2.max(page.div_ceil(2))..=page).rev().find(|number| of(*number) == Some(first))
}

pub(super) async fn pages(bench: &Bench) -> Result<Measured> {
    let folder = bench.work_folder("P9")?;
    let path = bench.large().await?;
    let world = bench.world(Size::Large);
    let members = world.members_of(0);
    let size = (members.len() / (PAGE + 1)).clamp(1, PAGE_SIZE);
    let page = alike(world, &members, size, PAGE.min(members.len() / size))
        .with_context(|| format!("no late page of {} members is made up as the first one", members.len()))?;
    let server = bench.sqlite_server(path, &folder).await?;
    let wire = Wire::connect(&server, 1).await?;
    let first = PageTarget::new(wire.clone(), world, &members, 0, size).await?;
    let late = PageTarget::new(wire, world, &members, (page - 1) * size, size).await?;
    let bytes = async |target: &PageTarget| -> Result<f64> {
        let run = closed(target, ONE, bench.time() / 2, 0).await?;
        Ok(float(run.answer_bytes) / float(run.calls))
    };
    let (first_bytes, late_bytes) = (bytes(&first).await?, bytes(&late).await?);
    ensure!(
        (first_bytes - late_bytes).abs() <= MOST_APART * first_bytes.max(late_bytes),
        "unequal work: the first page has {first_bytes:.0} bytes, the late one {late_bytes:.0}"
    );
    let rounds = bench
        .rounds(
            "P9",
            async |_| Ok(served(&server, &first, ONE, bench.time(), 0).await?.0),
            async |_| Ok(served(&server, &late, ONE, bench.time(), 0).await?.0),
        )
        .await?;
    server.stop().await?;
    let (externals, homes) = make_up(world, members.get(..size).unwrap_or_default());
    let setting = format!(
        "page {page} in a workspace of {} members, one client, SQLite; both pages have {size} members, {externals} Externals \
         from {homes} homes, {late_bytes:.0} and {first_bytes:.0} bytes",
        members.len()
    );
    measured("P9", setting, rounds, |side| side.p50_us)
}

pub(super) async fn bytes(bench: &Bench) -> Result<Measured> {
    let folder = bench.work_folder("P10")?;
    let product = bench.base(Size::Middle).await?;
    let (subject, control) = small_schema::compare(&product, &folder.join("small-schema.db")).await?;
    let setting = format!(
        "{subject:.0} against {control:.0} bytes a membership with roles, permissions, contacts typed, groups, units and all \
         indexes, {} users, SQLite",
        bench.world(Size::Middle).users
    );
    single("P10", setting, Some(control), subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_late_page_is_made_up_as_the_first_one() {
        let world = World::new(20_000, 7);
        let members = world.members_of(0);
        let last = members.len() / 20;
        let page = alike(&world, &members, 20, last).unwrap();
        let of = |number: usize| make_up(&world, &members[(number - 1) * 20..number * 20]);
        assert!(page > last / 2 && of(page) == of(1), "{page} of {last}: {:?} and {:?}", of(page), of(1));
        assert!(of(1).0 > 0 && of(1).1 > 0 && (1..=last).any(|number| of(number) != of(1)), "{:?}", of(1));
        assert_eq!(alike(&world, &members[..20], 20, 1), None);
    }
}
