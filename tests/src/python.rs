//! The Python that `make test` prepares, for a client and a mail server of another make.

use std::path::PathBuf;

/// Its path, from `DOMICILE_TEST_PYTHON`. Without one the tests that need it do nothing; `make test` says so at its end.
pub fn python() -> Option<PathBuf> {
    std::env::var_os("DOMICILE_TEST_PYTHON").map(PathBuf::from)
}
