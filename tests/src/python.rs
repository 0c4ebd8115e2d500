//! The Python that `make test` prepares, for a client and a mail server of another make.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::process::Command;

/// Its path, from `DOMICILE_TEST_PYTHON`. Without one the tests that need it do nothing; `make test` says so at its end.
pub fn python() -> Option<PathBuf> {
    std::env::var_os("DOMICILE_TEST_PYTHON").map(PathBuf::from)
}

/// Stubs of the contract, made as the guide says.
pub async fn stubs(python: &Path) -> TempDir {
    let folder = tempfile::tempdir().expect("the contract is there");
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto");
    let files = std::fs::read_dir(proto.join("domicile/v1"))
        .expect("the contract is there")
        .map(|file| file.expect("the contract is there").path());
    let made = Command::new(python)
        .args(["-m", "grpc_tools.protoc", "-I"])
        .arg(&proto)
        .arg(format!("--python_out={}", folder.path().display()))
        .arg(format!("--grpc_python_out={}", folder.path().display()))
        .args(files)
        .output()
        .await
        .expect("the contract is there");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    folder
}
