//! The chart on a real node, from `helm install` to `helm uninstall` and back, while pods die and lines are edited.
//!
//! `make e2e` plays it on a node of its own, which needs root, or with `USE_EXISTING_CLUSTER=true` on the cluster of the current
//! kubeconfig; [`cluster`] says what that one needs.

mod chart;
mod cluster;
mod lines;
mod pods;

use std::sync::LazyLock;
use std::time::Instant;

use sarvam_testkit::enclosure;
use sarvam_testkit::error::{Error, Result};
use tokio::runtime::Runtime;

use chart::Release;
use cluster::{Cluster, Ground};
use lines::Lines;
use pods::Pods;

/// Says what happens now. libtest would keep it back if it were printed with `eprintln!`.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write;
        let seconds = $crate::BEGIN.elapsed().as_secs_f64();
        // Nobody reads it: then nobody misses it.
        let _ = writeln!(std::io::stderr(), "{seconds:6.1} s  {}", format_args!($($text)*));
    }};
}
use say;

static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The name of the test below.
const NAME: &str = "lines_stay_right_on_a_real_node";

#[test]
fn lines_stay_right_on_a_real_node() {
    LazyLock::force(&BEGIN);
    let ground = Ground::find().unwrap();
    if let Ground::Nothing(why) = &ground {
        return say!("e2e is left out: {why}");
    }
    if ground == Ground::Node && !enclosure::inside() {
        let image = cluster::image().unwrap();
        let status = enclosure::run(NAME, [(cluster::TAR, image)]).unwrap();
        assert!(status.success(), "it failed in its enclosure, see above");
        return;
    }
    Runtime::new().unwrap().block_on(async {
        let cluster = Cluster::up(ground).await.unwrap();
        let played = play(&cluster).await;
        cluster.leave(played.is_err()).await;
        played.unwrap();
    });
}

async fn play(cluster: &Cluster) -> Result<()> {
    let lines = Lines::new(cluster).await?;
    let release = Release::new(cluster, &lines).await?;
    let pods = Pods::new(cluster, &release);

    say!("helm install, with two replicas in a namespace of the restricted profile");
    let began = Instant::now();
    release.install().await?;
    say!("  installed; now a Secret, a Workspace and {} lines, every second one paused", lines::COUNT);
    lines.create().await?;
    lines.first_ready().await?;
    let first_ready = began.elapsed();
    say!("  {:.1} s from helm install to the first line Ready", first_ready.as_secs_f64());
    lines.are_right().await?;

    say!("resume and pause");
    for _ in 0..2 {
        lines.flip(0).await?;
        lines.are_right().await?;
    }

    say!("rollout restart of the operator, while lines are edited");
    lines.edited_while(pods.restart()).await?;
    lines.are_right().await?;

    say!("the leader's process is killed, while lines are edited");
    lines.edited_while(pods.kill_leader()).await?;
    lines.are_right().await?;

    say!("the leader's pod is evicted, while lines are edited");
    lines.edited_while(pods.evict_leader()).await?;
    lines.are_right().await?;

    say!("helm upgrade to a chart with a changed definition, while lines are edited");
    lines.edited_while(release.upgrade()).await?;
    lines.are_right().await?;

    say!("helm uninstall: objects stay, and lines stay as they are, also one that is edited then");
    let calls = lines.status_calls();
    release.uninstall().await?;
    pods.are_gone().await?;
    lines.flip(0).await?;
    if lines.status_calls() != calls {
        return Err(Error::new("an uninstall changed a line"));
    }

    say!("helm install again: it takes over the objects that were kept");
    release.install().await?;
    lines.are_right().await?;

    say!("helm install to the first line Ready took {:.1} s; lie-seconds 0; all is right", first_ready.as_secs_f64());
    Ok(())
}
