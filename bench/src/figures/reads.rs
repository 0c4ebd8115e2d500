//! What size costs: lookups in small and large data, late pages, bytes. P8, P9, P10.

use anyhow::{Result, ensure};

use super::access::served;
use super::{Bench, Size, measured};
use crate::control::small_schema;
use crate::figure::{Measured, Round, Side};
use crate::load::{Width, closed};
use crate::stats::Interval;
use crate::target::{LookupTarget, PageTarget, Wire};
use crate::work::fsync_floor_us;

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
    let setting = format!(
        "{} users against {}, one client, SQLite; a lookup commits its audit row",
        bench.world(Size::Large).users,
        bench.world(Size::Small).users
    );
    Ok(Measured { fsync_us: Some(floor), ..measured("P8", setting, rounds, |side| side.p50_us)? })
}

/// The page that is asked for.
const PAGE: usize = 10_000;
/// Members of a page, where the workspace has enough for so many pages.
const PAGE_SIZE: usize = 20;

pub(super) async fn pages(bench: &Bench) -> Result<Measured> {
    let folder = bench.work_folder("P9")?;
    let path = bench.large().await?;
    let world = bench.world(Size::Large);
    let members = world.members_of(0);
    let size = (members.len() / (PAGE + 1)).clamp(1, PAGE_SIZE);
    let page = PAGE.min(members.len() / size);
    ensure!(page > 1, "the largest workspace has {} members", members.len());
    let server = bench.sqlite_server(path, &folder).await?;
    let wire = Wire::connect(&server, 1).await?;
    let first = PageTarget::new(wire.clone(), world, &members, 0, size).await?;
    let late = PageTarget::new(wire, world, &members, (page - 1) * size, size).await?;
    closed(&first, ONE, bench.time() / 2, 0).await?;
    closed(&late, ONE, bench.time() / 2, 0).await?;
    let rounds = bench
        .rounds(
            "P9",
            async |_| Ok(served(&server, &first, ONE, bench.time(), 0).await?.0),
            async |_| Ok(served(&server, &late, ONE, bench.time(), 0).await?.0),
        )
        .await?;
    server.stop().await?;
    let setting =
        format!("page {page} of pages of {size} in a workspace of {} members, one client, SQLite", members.len());
    measured("P9", setting, rounds, |side| side.p50_us)
}

pub(super) async fn bytes(bench: &Bench) -> Result<Measured> {
    let folder = bench.work_folder("P10")?;
    let product = bench.base(Size::Middle).await?;
    let (subject, control) = small_schema::compare(&product, &folder.join("small-schema.db")).await?;
    let side = |bytes| Side { value: Some(bytes), ..Side::default() };
    let round = Round { control: Some(side(control)), subject: side(subject) };
    let setting = format!(
        "{subject:.0} against {control:.0} bytes a membership with roles, permissions and all indexes, {} users, SQLite",
        bench.world(Size::Middle).users
    );
    let figure = measured("P10", setting, vec![round], |side| side.value)?;
    let interval = Interval::exact(figure.interval.median);
    Ok(Measured { interval, ..figure })
}
