//! Changes of a running router, printed as they happen.

use crate::command::babel::objects::{changes, objects};
use crate::command::babel::service::Babel;
use crate::command::json;
use crate::proto::limits;

/// Prints every change until nobody reads.
pub async fn print_changes(mut babel: Babel) {
    let mut shown = Vec::new();
    while let Ok(dump) = babel.dump().await {
        let now = objects(&dump);
        for object in changes(&shown, &now) {
            if json::print(&object).is_err() {
                return;
            }
        }
        shown = now;
        // Changes come in bursts.
        tokio::time::sleep(limits::BABEL_MONITOR_PAUSE).await;
        if babel.changed().await.is_err() {
            return;
        }
    }
}
