//! Compiles the contract. The raw descriptors are kept as they are: prost drops our method options, readers need them.

use std::error::Error;
use std::path::PathBuf;

use prost::Message;

const FILES: [&str; 13] = [
    "domicile/v1/access_service.proto",
    "domicile/v1/consistency.proto",
    "domicile/v1/group_service.proto",
    "domicile/v1/membership_service.proto",
    "domicile/v1/method_policy.proto",
    "domicile/v1/notification_service.proto",
    "domicile/v1/permission_service.proto",
    "domicile/v1/reason.proto",
    "domicile/v1/relationship_service.proto",
    "domicile/v1/role_service.proto",
    "domicile/v1/terms.proto",
    "domicile/v1/user_service.proto",
    "domicile/v1/workspace_service.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let mut compiler = protox::Compiler::new([&root])?;
    compiler.include_source_info(true).include_imports(true).open_files(FILES)?;
    let raw = compiler.encode_file_descriptor_set();
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("domicile.bin"), &raw)?;
    let descriptors = prost_types::FileDescriptorSet::decode(raw.as_slice())?;
    tonic_prost_build::configure()
        .build_client(std::env::var_os("CARGO_FEATURE_CLIENT").is_some())
        .build_server(std::env::var_os("CARGO_FEATURE_SERVER").is_some())
        .compile_fds(descriptors)?;
    Ok(())
}
