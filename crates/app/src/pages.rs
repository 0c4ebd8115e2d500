//! Lists that come page by page.

use crate::failure::Failure;
use crate::output::Output;

/// The most that a page holds.
const PAGE: u32 = 1000;

/// What was read of a list.
pub(crate) struct Listed<T> {
    pub(crate) items: Vec<T>,
    /// Whether there is more than was asked for.
    pub(crate) more: bool,
}

impl<T> Listed<T> {
    /// Says how to see the rest.
    pub(crate) fn tell_more(&self, output: &Output) -> Result<(), Failure> {
        if self.more {
            output.talk("There are more; raise --limit")?;
        }
        Ok(())
    }
}

/// Reads so many of a list at most, by pages of a size and the token of the page before.
pub(crate) async fn up_to<T>(
    limit: u32,
    mut page: impl AsyncFnMut(i32, String) -> Result<(Vec<T>, String), Failure>,
) -> Result<Listed<T>, Failure> {
    let mut items = Vec::new();
    let mut token = String::new();
    loop {
        let missing = limit.saturating_sub(u32::try_from(items.len()).unwrap_or(u32::MAX));
        if missing == 0 {
            return Ok(Listed { items, more: true });
        }
        let size = i32::try_from(missing.min(PAGE)).unwrap_or(i32::MAX);
        let (some, next) = page(size, token).await?;
        items.extend(some);
        if next.is_empty() {
            return Ok(Listed { items, more: false });
        }
        token = next;
    }
}

/// Reads a whole list.
pub(crate) async fn whole<T>(
    page: impl AsyncFnMut(i32, String) -> Result<(Vec<T>, String), Failure>,
) -> Result<Vec<T>, Failure> {
    Ok(up_to(u32::MAX, page).await?.items)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list of so many numbers whose token is the place of the next one.
    async fn read(length: u32, limit: u32) -> (Vec<u32>, bool, Vec<i32>) {
        let mut sizes = Vec::new();
        let listed = up_to(limit, async |size, token: String| {
            sizes.push(size);
            let first = token.parse().unwrap_or(0);
            let next = (first + u32::try_from(size).unwrap()).min(length);
            let token = if next == length { String::new() } else { next.to_string() };
            Ok(((first..next).collect(), token))
        });
        let Listed { items, more } = listed.await.unwrap();
        (items, more, sizes)
    }

    #[tokio::test]
    async fn a_list_is_read_up_to_its_limit_and_tells_whether_there_is_more() {
        for (length, limit, read_in, more) in [
            (0, 50, vec![50], false),
            (50, 50, vec![50], false),
            (51, 50, vec![50], true),
            (2500, u32::MAX, vec![1000, 1000, 1000], false),
            (2500, 1200, vec![1000, 200], true),
        ] {
            let read = read(length, limit).await;
            assert_eq!(read, ((0..length.min(limit)).collect(), more, read_in), "{length} {limit}");
        }
    }
}
