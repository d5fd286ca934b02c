//! What `tools/image` writes: an image that any tool loads, with one static program that runs as nobody.

// Elsewhere the Dockerfile builds it.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use serde_json::{Value, json};

/// The most that the image may hold, in bytes.
const MOST: u64 = 12_000_000;

const NAME: &str = concat!("ghcr.io/sarvam-operator/sarvam-operator:", env!("CARGO_PKG_VERSION"));

/// The image's tar, built the first time; its SBOM lies beside it.
static TAR: LazyLock<PathBuf> = LazyLock::new(|| run("tools/image", [""; 0]).trim().into());

/// What a program writes on its standard output; what it complains of goes through to ours.
fn run(program: impl AsRef<OsStr>, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
    let mut command = Command::new(program);
    let output = command.args(args).current_dir(env!("CARGO_MANIFEST_DIR")).stderr(Stdio::inherit()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?} ended with {}", output.status);
    String::from_utf8(output.stdout).unwrap_or_else(|_| panic!("{command:?} wrote no text"))
}

/// An unpacked tar. Its folder lies in the target folder and is made anew.
struct Unpacked(PathBuf);

impl Unpacked {
    fn new(tar: &Path, name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let into = [OsStr::new("--directory"), folder.as_os_str()];
        run("tar", [OsStr::new("--extract"), OsStr::new("--file"), tar.as_os_str()].into_iter().chain(into));
        Self(folder)
    }

    fn json(&self, file: &str) -> Value {
        let text = fs::read_to_string(self.0.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    /// The path of the blob that an OCI descriptor names, whose size and digest must be right.
    fn blob(&self, descriptor: &Value) -> String {
        let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let path = format!("blobs/sha256/{digest}");
        let file = self.0.join(&path);
        assert_eq!(descriptor["size"], fs::metadata(&file).unwrap().len(), "{path}");
        assert_eq!(run("sha256sum", [&file]).split(' ').next(), Some(digest), "{path}");
        path
    }
}

#[test]
fn the_tar_is_read_by_docker_and_by_tools_for_oci() {
    let image = Unpacked::new(&TAR, "image-layout");
    assert_eq!(image.json("oci-layout"), json!({"imageLayoutVersion": "1.0.0"}));
    let index = image.json("index.json");
    assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
    assert_eq!(index["manifests"][0]["annotations"]["io.containerd.image.name"], NAME);
    let manifest = image.json(&image.blob(&index["manifests"][0]));
    let (config, layer) = (image.blob(&manifest["config"]), image.blob(&manifest["layers"][0]));
    // Docker's own list says the same.
    assert_eq!(image.json("manifest.json"), json!([{"Config": config, "RepoTags": [NAME], "Layers": [layer]}]));
    // The layer is not compressed.
    assert_eq!(image.json(&config)["rootfs"]["diff_ids"], json!([manifest["layers"][0]["digest"]]));
}

#[test]
fn one_static_program_runs_as_nobody() {
    let image = Unpacked::new(&TAR, "image-config");
    let docker = image.json("manifest.json");
    let config = image.json(docker[0]["Config"].as_str().unwrap());
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Entrypoint"], json!(["/sarvam-operator"]));
    let label = |name: &str| config["config"]["Labels"][format!("org.opencontainers.image.{name}")].clone();
    assert_eq!(label("version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(label("licenses"), env!("CARGO_PKG_LICENSE"));
    assert_eq!(label("revision").as_str().unwrap().trim_end_matches("-dirty").len(), 40);

    let layer = image.0.join(docker[0]["Layers"][0].as_str().unwrap());
    let listed = run("tar", [OsStr::new("--list"), OsStr::new("--verbose"), OsStr::new("--file"), layer.as_os_str()]);
    // The mode, owner and name of each file.
    let files: Vec<_> = listed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    let files: Vec<_> = files.iter().map(|words| (words[0], words[1], *words.last().unwrap())).collect();
    let expected = [
        ("drwxr-xr-x", "0/0", "etc/"),
        ("drwxr-xr-x", "0/0", "etc/ssl/"),
        ("drwxr-xr-x", "0/0", "etc/ssl/certs/"),
        ("-rw-r--r--", "0/0", "etc/ssl/certs/ca-certificates.crt"),
        ("-rwxr-xr-x", "0/0", "sarvam-operator"),
    ];
    assert_eq!(files, expected);
    let size = fs::metadata(&layer).unwrap().len();
    assert!(size <= MOST, "the image has {size} bytes, more than {MOST}");

    let root = Unpacked::new(&layer, "image-root");
    let program = root.0.join("sarvam-operator");
    assert_eq!(interpreter(&fs::read(&program).unwrap()), None, "the program is not static");
    // It is the operator of this very checkout.
    let crds = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/crds/agents.sarvam.ai.yaml")).unwrap();
    assert!(run(&program, ["crds"]) == crds, "the image's program prints other CRDs than crds/ has");
    let roots = fs::read_to_string(root.0.join("etc/ssl/certs/ca-certificates.crt")).unwrap();
    assert!(roots.matches("-----BEGIN CERTIFICATE-----\n").count() > 50, "too few authorities:\n{roots}");
}

/// The program that must load this one, which only a static one has none of: the segment of type 3 of a 64-bit ELF file.
fn interpreter(elf: &[u8]) -> Option<&[u8]> {
    assert_eq!(&elf[..6], b"\x7fELF\x02\x01", "no 64-bit little-endian ELF file");
    let number =
        |at: usize, bytes: usize| elf[at..at + bytes].iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    let (table, entry_size, entries) = (number(0x20, 8), number(0x36, 2), number(0x38, 2));
    let entry = (0..entries).map(|entry| table + entry * entry_size).find(|entry| number(*entry, 4) == 3)?;
    let (offset, size) = (number(entry + 8, 8), number(entry + 0x20, 8));
    Some(&elf[offset..offset + size])
}

#[test]
fn a_dynamic_program_has_an_interpreter() {
    let this = fs::read(std::env::current_exe().unwrap()).unwrap();
    assert!(interpreter(&this).unwrap().starts_with(b"/lib"));
}

#[test]
fn the_sbom_names_what_is_in_the_image_and_nothing_else() {
    let text = fs::read_to_string(TAR.with_extension("cdx.json")).unwrap();
    let sbom: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&sbom["bomFormat"], &sbom["specVersion"]), (&json!("CycloneDX"), &json!("1.6")));
    let components = sbom["components"].as_array().unwrap();
    let names: BTreeSet<_> = components.iter().map(|it| it["name"].as_str().unwrap()).collect();
    for name in ["kube", "ring", "tokio", "glibc", "rust", "webpki-root-certs"] {
        assert!(names.contains(name), "{name} is missing");
    }
    // A macro, a build script's library, and a library of the tests.
    for name in ["serde_derive", "cc", "stateright"] {
        assert!(!names.contains(name), "{name} is not in the image");
    }
    for component in components {
        let is_crate = component["purl"].as_str().unwrap().starts_with("pkg:cargo/");
        assert_eq!(is_crate, component["hashes"][0]["content"].is_string(), "{component}");
        assert!(component["licenses"][0]["expression"].is_string(), "{component}");
    }
    // Each is described once, and who needs it as well.
    let described: Vec<_> = [&sbom["metadata"]["component"]].into_iter().chain(components).collect();
    let known: BTreeSet<_> = described.iter().map(|it| it["bom-ref"].as_str().unwrap()).collect();
    assert_eq!(known.len(), described.len());
    let needs = sbom["dependencies"].as_array().unwrap();
    assert_eq!(needs.iter().map(|it| it["ref"].as_str().unwrap()).collect::<BTreeSet<_>>(), known);
    for need in needs.iter().flat_map(|it| it["dependsOn"].as_array().unwrap()) {
        assert!(known.contains(need.as_str().unwrap()), "{need} is not described");
    }
}

#[test]
fn the_dockerfile_makes_the_same_image() {
    let read = |file: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let dockerfile = read("Dockerfile");
    let rust = read("rust-toolchain.toml");
    let rust = rust.lines().find_map(|line| line.strip_prefix("channel = \"")?.strip_suffix('"')).unwrap();
    for line in [
        format!("FROM rust:{rust}-bookworm AS build"),
        "USER 65532:65532".to_owned(),
        r#"ENTRYPOINT ["/sarvam-operator"]"#.to_owned(),
    ] {
        assert!(dockerfile.lines().any(|it| it == line), "the Dockerfile has no line {line:?}");
    }
    let version = format!("org.opencontainers.image.version=\"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(dockerfile.contains(&version), "the Dockerfile does not say {version}");
    // What tools/image builds with here, the Dockerfile builds with there.
    let goes = read(".dockerignore");
    for needed in [".cargo", "Cargo.lock", "Cargo.toml", "src", "tools/image"] {
        assert!(goes.lines().any(|it| it == format!("!{needed}")), "{needed} does not go to the build: .dockerignore");
    }
}
