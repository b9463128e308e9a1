//! soon
use super::args::DemoArgs;
use super::fail::Fail;
pub(super) async fn run(_: DemoArgs) -> Result<(), Fail> {
    Ok(())
}
