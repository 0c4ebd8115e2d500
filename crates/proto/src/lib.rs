//! The gRPC contract of Domicile as Rust types, with the raw descriptors. The reference documentation stands in the
//! `.proto` files.

/// Which fields of a message are meant.
pub use prost_types::FieldMask;

/// Every file of the contract and what it imports, as compiled: with comments and with our method options.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/domicile.bin"));

/// Package `domicile.v1`.
#[expect(clippy::all, clippy::pedantic, clippy::allow_attributes, reason = "generated; documented in the .proto files")]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/domicile.v1.rs"));
}
